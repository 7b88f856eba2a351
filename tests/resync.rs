//! `lockstep resync`: whatever was done to ClickHouse by hand is mended, and readers see no gap.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use lockstep_testkit::data::Shape;
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Program;

use crate::stage::{DEADLINE, Stage};

/// Rows that are there with other values, in one mapping, of one project.
fn damage(mapping: &str, project: &str) -> String {
    let column = if mapping == "users" || mapping == "teams" { "display_name" } else { "value" };
    format!(
        "INSERT INTO {{raw}}.{mapping} SELECT * EXCEPT sync_created_at REPLACE ('damaged' AS {column}), now64(3) FROM {{raw}}.{mapping} FINAL WHERE project_id = '{project}'"
    )
}

/// Rows that nobody has in the source, of a number that was given out long ago.
fn addition(mapping: &str, project: &str) -> String {
    format!(
        "INSERT INTO {{raw}}.{mapping} SELECT * EXCEPT sync_created_at REPLACE (generateUUIDv4() AS id, 1 AS sync_sequence_id), now64(3) FROM {{raw}}.{mapping} FINAL WHERE project_id = '{project}' LIMIT 1"
    )
}

fn removal(mapping: &str, project: &str) -> String {
    format!("ALTER TABLE {{raw}}.{mapping} DELETE WHERE project_id = '{project}' SETTINGS mutations_sync = 1")
}

async fn resync(stage: &Stage, arguments: &[&str]) -> Result<String> {
    Ok(stage.installation.succeed("lockstep", &[&["resync"], arguments].concat()).await?.stdout)
}

async fn is_equal(stage: &Stage) -> Result<bool> {
    Ok(lockstep_oracle::compare(&stage.client, &stage.installation.endpoint()).await?.equal())
}

#[tokio::test]
async fn resync_mends_rows_that_were_damaged_removed_and_added_by_hand() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    for statement in [
        damage("users", "engines"),
        addition("users", "engines"),
        addition("teams", "compilers"),
        damage("contact_channels", "compilers"),
        removal("teams", "engines"),
        removal("email_outboxes", "compilers"),
        // Of a tenancy that there is not.
        addition("users", "engines")
            .replace("REPLACE (", "REPLACE ('nobody' AS project_id, ")
            .replace("WHERE project_id = 'engines'", ""),
    ] {
        stage.in_clickhouse(&statement).await?;
    }
    ensure!(!is_equal(&stage).await?, "nothing was damaged");
    let said = resync(&stage, &[]).await?;
    ensure!(said.contains("12 mappings") && said.contains("3 rows were in ClickHouse alone"), "{said}");
    stage.equal().await?;
    stage.verified().await?;
    assert_eq!(stage.number("SELECT sum(stale_rows)::bigint FROM lockstep.fill").await?, 3);
    stage.end(programs).await
}

#[tokio::test]
async fn resync_of_one_tenant_or_one_mapping_leaves_the_others_alone() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    for mapping in ["users", "teams"] {
        for project in ["engines", "compilers"] {
            stage.in_clickhouse(&damage(mapping, project)).await?;
            stage.in_clickhouse(&addition(mapping, project)).await?;
        }
    }
    let engines: String = stage.client.query_one("SELECT id('engines')::text", &[]).await?.get(0);
    let left = "SELECT (SELECT count() FROM {views}.users WHERE display_name = 'damaged' AND project_id = 'engines'), (SELECT count() FROM {views}.teams WHERE display_name = 'damaged' AND project_id = 'engines'), (SELECT count() FROM {views}.users WHERE display_name = 'damaged' AND project_id = 'compilers'), (SELECT count() FROM {views}.teams WHERE display_name = 'damaged' AND project_id = 'compilers') FORMAT TSV";
    assert_eq!(stage.seen(left).await?, "4\t3\t2\t2", "the damage is other than was thought");
    resync(&stage, &["--tenant", &engines, "--mapping", "users"]).await?;
    assert_eq!(stage.seen(left).await?, "0\t3\t2\t2");
    resync(&stage, &["--mapping", "users", "--destination", "clickhouse"]).await?;
    assert_eq!(stage.seen(left).await?, "0\t3\t0\t2");
    resync(&stage, &["--tenant", &engines]).await?;
    assert_eq!(stage.seen(left).await?, "0\t0\t0\t2");
    resync(&stage, &["--mapping", "teams", "--mapping", "users"]).await?;
    stage.equal().await?;
    let refused = stage.installation.run("lockstep", &["resync", "--destination", "elsewhere"]).await?;
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    stage.end(programs).await
}

/// Tenancies that differ only in their organisation share a location. What is the other's must not be taken for stale.
#[tokio::test]
async fn resync_of_a_tenant_keeps_the_rows_of_its_neighbour_at_the_same_place() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 5, rows: 20, seed: 81 }).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let sharing = r#"SELECT t."id"::text FROM "Tenancy" t JOIN "Tenancy" o USING ("projectId", "branchId") WHERE t."id" <> o."id" ORDER BY 1"#;
    let sharing: Vec<String> = stage.client.query(sharing, &[]).await?.iter().map(|row| row.get(0)).collect();
    assert_eq!(sharing.len(), 2, "no tenancies share a location");
    for tenant in &sharing {
        let said = resync(&stage, &["--tenant", tenant]).await?;
        ensure!(said.contains("of 2 tenancies") && said.contains("; 0 rows"), "{said}");
        ensure!(is_equal(&stage).await?, "rows of the neighbour are gone");
    }
    stage.equal().await?;
    stage.end(programs).await
}

/// Fills that are under way, of which nothing is shipped yet.
const BEGUN: &str = "SELECT count(*) FROM lockstep.fill WHERE finished_at IS NULL";

#[tokio::test]
async fn resync_never_shows_a_tenant_half_empty() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 3, rows: 400, seed: 82 }).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let tenant: String = stage.client.query_one(r#"SELECT max("id"::text) FROM "Tenancy""#, &[]).await?.get(0);
    // Whole mappings are filled again, those of a tenancy go through the stream.
    for (arguments, fills) in [(&[][..], 12), (&["--mapping", "users"], 1), (&["--tenant", &tenant], 0)] {
        is_watched(&stage, &programs[1], arguments, fills).await?;
        stage.equal().await?;
    }
    stage.end(programs).await
}

/// Readers look all the time, while what is exported again is on the way for long, and changes on the way.
async fn is_watched(stage: &Stage, worker: &Program, arguments: &[&str], fills: i64) -> Result<()> {
    let counts = "SELECT (SELECT count() FROM {views}.users), (SELECT count() FROM {views}.teams), (SELECT count() FROM {views}.contact_channels), (SELECT count() FROM {views}.email_outboxes) FORMAT TSV";
    let whole = stage.seen(counts).await?;
    let (done, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
    let watching = async {
        while !done.load(Ordering::Relaxed) {
            let seen = stage.seen(counts).await?;
            ensure!(seen == whole, "a reader saw {seen} of {whole}");
            looks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let more_looks = async || {
        let wanted = looks.load(Ordering::Relaxed) + 40;
        let looked = async || Ok(looks.load(Ordering::Relaxed) >= wanted);
        eventually("readers to look again and again", DEADLINE, looked).await
    };
    worker.signal("STOP").await?;
    let releasing = async {
        stage
            .until(
                "all of it to be asked for",
                &format!("SELECT ({BEGUN}) + (SELECT count(*) FROM lockstep.resync WHERE finished_at IS NULL)"),
                fills.max(1),
            )
            .await?;
        stage.numbered().await?;
        more_looks().await?;
        // None of these is the change any more that the command may wait for.
        stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'at ' || clock_timestamp()"#).await?;
        stage.numbered().await?;
        more_looks().await?;
        worker.signal("CONT").await
    };
    let resyncing = async {
        let said = resync(stage, arguments).await;
        done.store(true, Ordering::Relaxed);
        let said = said?;
        ensure!(said.contains("; 0 rows"), "{said}");
        Ok(())
    };
    let (watched, released, resynced) = futures_util::join!(watching, releasing, resyncing);
    watched?;
    released?;
    resynced?;
    Ok(())
}

/// Those of the fills, which a command that goes on does not draw again.
const FLOORS: &str = "SELECT sum(floor)::bigint FROM lockstep.fill";

#[tokio::test]
async fn resync_goes_on_where_it_was_killed() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.in_clickhouse(&addition("users", "engines")).await?;
    programs[1].signal("STOP").await?;
    let given_up = stage.installation.run("lockstep", &["resync", "--timeout", "3"]).await?;
    assert_eq!(given_up.code, Some(2), "{}", given_up.stderr);
    ensure!(given_up.stderr.contains("Run the same command again"), "{}", given_up.stderr);
    ensure!(
        stage.seen("SELECT count() FROM {views}.users").await? == "5",
        "something was removed before all had arrived"
    );
    let status = stage.installation.succeed("lockstep", &["status"]).await?.stdout;
    ensure!(status.contains("0 of 1 ranges"), "{status}");
    let floors = stage.number(FLOORS).await?;
    let again = stage.installation.run("lockstep", &["resync", "--timeout", "3"]).await?;
    ensure!(again.code == Some(2) && again.stderr.contains("Continuing"), "{again:?}");
    programs[1].signal("CONT").await?;
    stage.until("all fills to end", BEGUN, 0).await?;
    assert_eq!(stage.number(FLOORS).await?, floors, "it began anew");
    assert_eq!(stage.number("SELECT sum(stale_rows)::bigint FROM lockstep.fill").await?, 1);
    stage.equal().await?;
    stage.end(programs).await
}

/// Rows that cannot be searched are exported with their whole mapping, when that is possible again. Until then nobody knows
/// which rows of the destination are stale.
#[tokio::test]
async fn resync_removes_nothing_where_rows_were_not_exported() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let teams = stage.seen("SELECT count() FROM {views}.teams").await?;
    stage.in_clickhouse(&addition("teams", "engines")).await?;
    let engines: String = stage.client.query_one("SELECT id('engines')::text", &[]).await?.get(0);
    let resync_engines = ["resync", "--tenant", &engines, "--mapping", "teams", "--timeout", "20"];
    stage.sql(r#"ALTER TABLE "Team" RENAME COLUMN "teamId" TO "team_id""#).await?;
    let ended = stage.installation.run("lockstep", &resync_engines).await?;
    assert_eq!(ended.code, Some(2), "{}{}", ended.stdout, ended.stderr);
    let removed = "SELECT count() FROM {raw}.teams WHERE sync_is_deleted = 1";
    assert_eq!(stage.seen(removed).await?, "0", "rows were removed");
    stage.sql(r#"ALTER TABLE "Team" RENAME COLUMN "team_id" TO "teamId""#).await?;
    // The mapping goes on by itself, and is filled again; so the row that nobody has goes.
    stage.until_seen("the teams to be filled again", "SELECT count() FROM {views}.teams", &teams).await?;
    stage.installation.succeed("lockstep", &resync_engines).await?;
    stage.equal().await?;
    stage.end(programs).await
}

/// A row that nobody has is there with each of two tenants, and every number that is given from now on is refused of a row of the
/// first. Returns the query that tells how many users of these two are shown.
async fn refuse_one(stage: &Stage) -> Result<String> {
    let user = stage.seen("SELECT toString(min(id)) FROM {views}.users").await?;
    let one = stage.seen(&format!("SELECT project_id FROM {{views}}.users WHERE id = '{user}'")).await?;
    let other = if one == "engines" { "compilers" } else { "engines" };
    for project in [one.as_str(), other] {
        stage.in_clickhouse(&addition("users", project)).await?;
    }
    let refuse = format!("ALTER TABLE {{raw}}.users ADD CONSTRAINT nobody CHECK id != toUUID('{user}')");
    stage.in_clickhouse(&refuse).await?;
    Ok(format!(
        "SELECT countIf(project_id = '{one}'), countIf(project_id = '{other}'), countIf(id = '{user}') FROM {{views}}.users FORMAT TSV"
    ))
}

/// Lets the row pass again, and has it shipped.
async fn mend(stage: &Stage) -> Result<()> {
    stage.in_clickhouse("ALTER TABLE {raw}.users DROP CONSTRAINT nobody").await?;
    stage.installation.succeed("lockstep", &["quarantine", "retry", "--all"]).await?;
    stage.in_step().await
}

/// Where a row was refused nobody knows which rows of its tenant are stale. What other tenants have is told apart.
#[tokio::test]
async fn resync_with_a_refused_row_takes_nothing_of_its_tenant_for_stale_and_mends_the_others() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let users = stage.seen("SELECT count() FROM {views}.users").await?;
    let shown = refuse_one(&stage).await?;
    let before = stage.seen(&shown).await?;
    let held = stage.installation.run("lockstep", &["resync", "--mapping", "users"]).await?;
    ensure!(held.code == Some(2) && held.stderr.contains("quarantine"), "{held:?}");
    ensure!(held.stderr.contains("what ClickHouse alone has of their tenants is not removed"), "{held:?}");
    assert_eq!(stage.seen(&shown).await?, one_less_of_the_other(&before)?);
    mend(&stage).await?;
    resync(&stage, &["--mapping", "users"]).await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.users").await?, users);
    stage.equal().await?;
    stage.end(programs).await
}

/// The same, of [`refuse_one`]'s query.
fn one_less_of_the_other(shown: &str) -> Result<String> {
    let counts: Vec<u64> = shown.split('\t').map(str::parse).collect::<Result<_, _>>()?;
    let [one, other, user] = counts[..] else { anyhow::bail!("three counts, not {shown}") };
    Ok(format!("{one}\t{}\t{user}", other - 1))
}

#[tokio::test]
async fn rewind_with_a_refused_row_is_ended_by_the_same_command_once_it_is_mended() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let shown = refuse_one(&stage).await?;
    let before = stage.seen(&shown).await?;
    stage.in_clickhouse("INSERT INTO {raw}._stack_sync_metadata (tenancy_id, mapping_name, last_synced_sequence_id) SELECT tenancy_id, mapping_name, last_synced_sequence_id + 1000 FROM {raw}._stack_sync_metadata FINAL WHERE mapping_name = 'teams' LIMIT 1").await?;
    programs[1].signal("STOP").await?;
    let given_up = stage.installation.run("lockstep", &["rewind", "--timeout", "3"]).await?;
    assert_eq!(given_up.code, Some(2), "{given_up:?}");
    // One of its mappings is filled for another reason since: the others are not forgotten.
    stage.sql("UPDATE lockstep.fill SET reason = 'resync' WHERE mapping_name = 'teams'").await?;
    let looked = stage.installation.succeed("lockstep", &["rewind", "--dry-run"]).await?;
    ensure!(looked.stdout.contains("has not ended"), "{looked:?}");
    programs[1].signal("CONT").await?;
    let held = stage.installation.run("lockstep", &["rewind"]).await?;
    ensure!(held.code == Some(2) && held.stderr.contains("quarantine"), "{held:?}");
    assert_eq!(stage.seen(&shown).await?, one_less_of_the_other(&before)?);
    mend(&stage).await?;
    let looked = stage.installation.succeed("lockstep", &["rewind", "--dry-run"]).await?;
    ensure!(looked.stdout.contains("Rows of users were refused"), "{looked:?}");
    let said = stage.installation.succeed("lockstep", &["rewind"]).await?;
    ensure!(said.stdout.contains("1 rows were in ClickHouse alone"), "{said:?}");
    stage.equal().await?;
    let said = stage.installation.succeed("lockstep", &["rewind"]).await?;
    ensure!(said.stdout.contains("Nothing to mend"), "{said:?}");
    stage.end(programs).await
}
