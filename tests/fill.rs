//! Fills: rows that were there before capture arrive beside the stream, whoever is killed, whatever changes meanwhile, and
//! are not written to.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::data::{Shape, seed};
use serde_json::Value;

use crate::background_edits::BackgroundEdits;
use crate::stage::Stage;

/// Who writes to users and channels, by the names of their programs.
const WRITERS: &str = r#"
CREATE TABLE writer (name text);
CREATE FUNCTION tell_writer() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO writer VALUES (current_setting('application_name')); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON "ProjectUser" FOR EACH ROW EXECUTE FUNCTION tell_writer();
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON "ContactChannel" FOR EACH ROW EXECUTE FUNCTION tell_writer();
ALTER TABLE "ProjectUser" ENABLE ALWAYS TRIGGER tell;
ALTER TABLE "ContactChannel" ENABLE ALWAYS TRIGGER tell"#;

/// Six times that are not all of them.
const LET_SOME_GO: &str = r#"
UPDATE lockstep.fill_range SET claimed_until = now()
WHERE (mapping_name, destination, first_block) IN (
    SELECT mapping_name, destination, first_block FROM lockstep.fill_range
    WHERE finished_at IS NULL AND claimed_until > now() ORDER BY first_block LIMIT 25)"#;

#[tokio::test]
async fn fill_is_whole_whoever_is_killed_and_whatever_changes_meanwhile() -> Result<()> {
    let stage = Stage::before_capture().await?;
    seed(&stage.client, Shape { tenants: 6, rows: 700, seed: 10 }).await?;
    stage.sql(WRITERS).await?;
    stage.migrate(&[]).await?;
    stage
        .sql(
            "-- Small ranges, so that there is much to share, and to be killed in. All are held until they are let go.
               WITH cut AS (DELETE FROM lockstep.fill_range RETURNING *)
               INSERT INTO lockstep.fill_range (mapping_name, destination, first_block, end_block, claimed_until)
               SELECT mapping_name, destination, b, CASE WHEN b < 120 THEN b + 8 ELSE end_block END, now() + interval '1 hour' FROM cut, generate_series(0, 120, 8) b",
        )
        .await?;
    let sequencer = stage.sequencer()?;
    let mut workers = vec![stage.worker()?, stage.worker()?];
    let editor = BackgroundEdits::start(&stage, 101).await?;
    for kill in 0..6 {
        let done = "SELECT count(*) FROM lockstep.fill_range WHERE finished_at IS NOT NULL";
        let more = format!("SELECT (({done}) > {})::int::bigint", stage.number(done).await? + 5);
        // Those of the dead too: five minutes do the same to them.
        stage.sql(LET_SOME_GO).await?;
        stage.until("more ranges to be shipped", &more, 1).await?;
        workers.remove(kill % 2).kill().await?;
        editor.go_on(5).await?;
        workers.push(stage.worker()?);
    }
    ensure!(filled(&stage).await? < 12, "everything was filled before the last worker was killed");
    editor.stop().await?;
    stage.sql("UPDATE lockstep.fill_range SET claimed_until = now() WHERE finished_at IS NULL").await?;
    stage.equal().await?;
    stage.verified().await?;
    ensure!(stage.number("SELECT count(*) FROM writer").await? > 0, "nobody edited a user");
    let ours = "SELECT count(*) FROM writer WHERE name LIKE 'lockstep %'";
    assert_eq!(stage.number(ours).await?, 0, "rows were written to");
    assert_eq!(filled(&stage).await?, 12);
    workers.push(sequencer);
    stage.end(workers).await
}

/// How many mappings `lockstep status` shows as filled.
async fn filled(stage: &Stage) -> Result<usize> {
    let status = stage.installation.succeed("lockstep", &["status", "--output", "json"]).await?;
    let status: Value = serde_json::from_str(&status.stdout).context("the JSON of `lockstep status`")?;
    let mappings = status["mappings"].as_array().context("mappings")?;
    Ok(mappings.iter().filter(|mapping| mapping["filled"] == true).count())
}

#[tokio::test]
async fn fill_never_wins_over_what_came_later() -> Result<()> {
    let stage = Stage::before_capture().await?;
    seed(&stage.client, Shape { tenants: 4, rows: 100, seed: 11 }).await?;
    stage.migrate(&[]).await?;
    // The stream is first: nobody may take a range before it has arrived.
    stage.sql("UPDATE lockstep.fill_range SET claimed_until = now() + interval '1 hour'").await?;
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "displayName" = 'later' WHERE left("projectUserId"::text, 1) < '4';
               DELETE FROM "ProjectUser" WHERE left("projectUserId"::text, 1) > 'c';
               CREATE TABLE again AS SELECT * FROM "ProjectUserDirectPermission" ORDER BY "id" LIMIT 20;
               DELETE FROM "ProjectUserDirectPermission" p USING again a WHERE p."id" = a."id";
               INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
               SELECT gen_random_uuid(), "tenancyId", "projectUserId", "permissionId", now() FROM again"#,
        )
        .await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let later = stage.number(r#"SELECT count(*) FROM "ProjectUser" WHERE "displayName" = 'later'"#).await?;
    stage
        .until_seen(
            "the changed users",
            "SELECT count() FROM {views}.users WHERE display_name = 'later'",
            &later.to_string(),
        )
        .await?;
    stage.sql("UPDATE lockstep.fill_range SET claimed_until = now()").await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}
