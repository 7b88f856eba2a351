//! APP-1: the application does not notice Lockstep: no error, no wait, no row, no right more than without it.

mod isolation;
mod rights;

use anyhow::{Result, ensure};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Installation;
use lockstep_testkit::{attached, edits};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_postgres::Client;

use crate::stage::{DEADLINE, Stage};

/// Every way of writing, as [`rights`] uses it too.
const WAYS: &str = include_str!("app_1/ways.sql");

/// Places, versions and lockers of all rows of the platform.
async fn rows(client: &Client) -> Result<String> {
    const TABLES: &str = "SELECT string_agg(format('SELECT %1$L AS source, ctid::text AS place, xmin::text AS version, xmax::text AS locker FROM %1$I', relname), ' UNION ALL ')
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
    let all: String = client.query_one(TABLES, &[]).await?.try_get(0)?;
    let digest = format!("SELECT md5(string_agg(r::text, '|' ORDER BY r)) FROM ({all}) r");
    Ok(client.query_one(&digest, &[]).await?.try_get(0)?)
}

#[tokio::test]
async fn app_1_no_row_of_the_platform_is_written() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    attached::former_sync(&stage.client).await?;
    let untouched = rows(&stage.client).await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.installation.succeed("lockstep", &["resync", "--mapping", "users"]).await?;
    stage.equal().await?;
    stage.migrate(&["--relax"]).await?;
    stage.migrate(&[]).await?;
    assert_eq!(rows(&stage.client).await?, untouched, "a row of the platform was written, or locked");
    let mut rng = StdRng::seed_from_u64(15);
    for _ in 0..100 {
        edits::one(&stage.client, &mut rng).await?;
    }
    let edited = rows(&stage.client).await?;
    stage.equal().await?;
    assert_eq!(rows(&stage.client).await?, edited, "a row was written after the application's own edits");
    stage.installation.succeed("lockstep", &["detach", "--yes"]).await?;
    assert_eq!(rows(&stage.client).await?, edited, "a row was written by `lockstep detach`");
    stage.end(programs).await
}

/// Those ways of writing that this server knows: PostgreSQL 14 has no MERGE.
async fn ways(stage: &Stage) -> Result<Vec<&'static str>> {
    let has_merge = stage.number("SELECT current_setting('server_version_num')::bigint").await? >= 150_000;
    Ok(WAYS.split("\n\n").filter(|way| has_merge || !way.contains("MERGE")).collect())
}

/// Whoever waits for anything longer than this is refused.
const WAITS_FOR_NOTHING: &str = "SET lock_timeout = '100ms'";

#[tokio::test]
async fn app_1_writes_wait_for_no_pass_and_no_truncation_of_an_inbox() -> Result<()> {
    let stage = Stage::small().await?;
    stage.sql(WAITS_FOR_NOTHING).await?;
    let ways = ways(&stage).await?;
    let (first, second) = ways.split_at(ways.len() / 2);
    // Nobody writes into the inbox whose turn it is not; what truncates it has the whole of it.
    let truncating = stage.connect().await?;
    let bit = stage.number("SELECT txid_current() >> 15 & 1").await?;
    truncating.batch_execute(&format!("BEGIN; TRUNCATE lockstep.inbox_{}", 1 - bit)).await?;
    for way in first {
        stage.sql(way).await?;
    }
    truncating.batch_execute("ROLLBACK").await?;
    let held = [("FAILPOINTS", "sequencer::pass_commit::before=return(hang)".to_owned())];
    let sequencer = stage.installation.start_with("lockstep-sequencer", "held", &held)?;
    let in_a_pass = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid IN
        (SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lockstep sequencer %' AND state = 'idle in transaction')";
    eventually("a pass that stands still", DEADLINE, async || Ok(stage.number(in_a_pass).await? > 0)).await?;
    for way in second {
        stage.sql(way).await?;
    }
    ensure!(stage.number(in_a_pass).await? > 0, "the pass went on");
    sequencer.kill().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.end(programs).await
}

/// Rows that nobody may update, old rows that a constraint would refuse, and a trigger that counts in another captured table.
const HOSTILE: &str = r#"
CREATE FUNCTION sealed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD."tsxSource" = 'sealed' THEN RAISE EXCEPTION 'sealed'; END IF; RETURN NEW; END $$;
CREATE TRIGGER sealed BEFORE UPDATE ON "EmailOutbox" FOR EACH ROW EXECUTE FUNCTION sealed();
ALTER TABLE "ProjectUser" ADD CONSTRAINT has_picture CHECK ("profileImageUrl" IS NOT NULL) NOT VALID;
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE "Team" SET "serverMetadata" = jsonb_build_object('changes', COALESCE(("serverMetadata" ->> 'changes')::int, 0) + 1) WHERE "teamId" = NEW."teamId";
    RETURN NULL; END $$;
CREATE TRIGGER bump AFTER UPDATE ON "TeamMember" FOR EACH ROW EXECUTE FUNCTION bump()"#;

#[tokio::test]
async fn app_1_what_refuses_or_counts_updates_stops_nothing() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(include_str!("world.sql")).await?;
    stage.sql(HOSTILE).await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage
        .sql(
            r#"INSERT INTO "EmailOutbox" ("tenancyId", "id", "createdWith", "emailDraftId", "tsxSource", "to", "extraRenderVariables", "isHighPriority", "shouldSkipDeliverabilityCheck", "scheduledAt", "updatedAt")
            SELECT id(project), id(source), 'DRAFT', 'd', source, '{}', '{}', FALSE, FALSE, '2025-01-01', now() FROM (VALUES ('engines', 'sealed'), ('compilers', 'open')) m (project, source);
            UPDATE "ContactChannel" SET "value" = 'new-grace@example.com' WHERE "projectUserId" = id('grace');
            UPDATE "TeamMember" SET "displayName" = 'counted'; UPDATE "TeamMember" SET "updatedAt" = now()"#,
        )
        .await?;
    stage.equal().await?;
    stage.installation.succeed("lockstep", &["resync", "--mapping", "team_member_profiles"]).await?;
    stage.equal().await?;
    let counted = r#"SELECT sum(("serverMetadata" ->> 'changes')::int) FROM "Team""#;
    assert_eq!(stage.number(counted).await?, 8, "Lockstep's own work fired the platform's triggers");
    stage.end(programs).await
}
