//! The first fill of a tenant's database, and those after it: changes made meanwhile win, whoever dies, and readers see no gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use lockstep_testkit::data::Shape;
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Program;
use tokio_postgres::Client;

use crate::background_edits::BackgroundEdits;
use crate::own_databases::{OwnDatabase, RECOVERED};
use crate::stage::Stage;

/// Tenancies of so many users, and about six times as many other rows; a fill of the larger tables takes several pages.
const LARGE: Shape = Shape { tenants: 2, rows: 3_000, seed: 91 };

/// The one that edits find: they draw an id, and take the first tenancy from there.
async fn edited_tenancy(stage: &Stage) -> Result<String> {
    Ok(stage.client.query_one(r#"SELECT max("id"::text) FROM "Tenancy""#, &[]).await?.get(0))
}

/// Where the fill of a mapping stands: its version, and its rows so far.
async fn fill(own: &OwnDatabase, mapping: &str) -> Result<Option<(i64, i64)>> {
    let query = "SELECT version, rows FROM _lockstep_fill WHERE mapping_name = $1 AND version IS NOT NULL";
    Ok(own.own.query_opt(query, &[&mapping]).await?.map(|row| (row.get(0), row.get(1))))
}

/// Lets nobody write into a table of a tenant until this is dropped. What is written waits, within its transaction.
async fn hold(own: &OwnDatabase, table: &str) -> Result<Client> {
    let holder = own.database.connect().await?;
    holder.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN SHARE MODE")).await?;
    Ok(holder)
}

/// Waits until so many sessions wait for a lock there.
async fn until_held(own: &OwnDatabase, sessions: i64) -> Result<()> {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("pages to wait for a lock", RECOVERED, async || Ok(own.number(waiting).await? == sessions)).await
}

/// A first fill whose first page of users waits: sequencer and worker, the database, and who holds the page up.
async fn held_at_the_first_page(stage: &Stage) -> Result<([Program; 2], OwnDatabase, Client)> {
    // Its tables are made meanwhile, and nobody fills that one before it is held.
    stage.installation.succeed("lockstep", &["pause", "mapping", "users"]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let own = stage.add_destination(&edited_tenancy(stage).await?, &[]).await?;
    let there = "SELECT count(*) FROM pg_tables WHERE tablename = 'users'";
    eventually("the table of users to be there", RECOVERED, async || Ok(own.number(there).await? > 0)).await?;
    let holder = hold(&own, "users").await?;
    stage.installation.succeed("lockstep", &["resume", "mapping", "users"]).await?;
    until_held(&own, 1).await?;
    Ok((programs, own, holder))
}

#[tokio::test]
async fn tenants_first_fill_goes_on_while_rows_change() -> Result<()> {
    let stage = Stage::seeded_with_tenants(LARGE).await?;
    let (programs, own, holder) = held_at_the_first_page(&stage).await?;
    let editor = BackgroundEdits::start(&stage, 92).await?;
    editor.go_on(50).await?;
    drop(holder);
    stage.until_mapping(&own, "users", "streaming").await?;
    editor.stop().await?;
    stage.all_equal(&[&own]).await?;
    let filled = format!(
        "SELECT count(*) FROM lockstep.tenant_mapping WHERE destination_id = '{}' AND state = 'streaming' AND filled_at IS NOT NULL AND total_rows IS NOT NULL",
        own.id
    );
    ensure!(stage.number(&filled).await? == 12, "the registry does not say that all is filled");
    ensure!(own.number("SELECT count(*) FROM _lockstep_fill").await? == 0, "a fill is left over");
    stage.end_with(programs, [own]).await
}

/// Killed in the middle of a page, and so in the middle of a fill: another one goes on where it was.
#[tokio::test]
async fn tenants_fill_is_resumed_after_a_worker_was_killed_within_a_page() -> Result<()> {
    let stage = Stage::seeded_with_tenants(LARGE).await?;
    let ([sequencer, worker], own, first) = held_at_the_first_page(&stage).await?;
    // Locks are given in the order in which they were asked for: the first page gets in, and the second waits.
    let (holder, ()) = tokio::try_join!(hold(&own, "users"), async {
        until_held(&own, 2).await?;
        drop(first);
        Ok(())
    })?;
    until_held(&own, 1).await?;
    let (version, rows) = fill(&own, "users").await?.context("no page of the users is there")?;
    worker.kill().await?;
    own.database.end_sessions().await?;
    // What was in hand is not there; what was there before is, and is not read again.
    let worker = stage.worker()?;
    until_held(&own, 1).await?;
    ensure!(fill(&own, "users").await? == Some((version, rows)), "the fill was begun anew, or went on beside its page");
    ensure!(rows > 0 && own.number("SELECT count(*) FROM users").await? == rows);
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'meanwhile'; DELETE FROM "Team""#).await?;
    drop(holder);
    stage.all_equal(&[&own]).await?;
    stage.end_with([sequencer, worker], [own]).await
}

#[tokio::test]
async fn tenants_fill_survives_workers_that_are_killed_at_any_moment() -> Result<()> {
    let stage = Stage::seeded_with_tenants(LARGE).await?;
    let sequencer = stage.sequencer()?;
    let mut worker = stage.worker()?;
    let editor = BackgroundEdits::start(&stage, 93).await?;
    let own = stage.add_destination(&edited_tenancy(&stage).await?, &[]).await?;
    let done = r#"SELECT coalesce(sum(rows), 0)::bigint + (SELECT 100000 * count(*) FROM "_stack_sync_metadata") FROM _lockstep_fill"#;
    let mut last = -1;
    for _ in 0..5 {
        eventually("the fills to get further", RECOVERED, async || Ok(own.number(done).await? > last)).await?;
        worker.kill().await?;
        last = own.number(done).await?;
        worker = stage.worker()?;
    }
    editor.stop().await?;
    stage.all_equal(&[&own]).await?;
    stage.end_with([sequencer, worker], [own]).await
}

/// Somebody who reads a tenant's table all the time.
struct Reader {
    task: tokio::task::JoinHandle<Result<(i64, i64)>>,
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
}

impl Reader {
    async fn start(own: &OwnDatabase, query: &'static str) -> Result<Self> {
        let client = own.database.connect().await?;
        let (stop, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopping, looking) = (Arc::clone(&stop), Arc::clone(&looks));
        let task = tokio::spawn(async move {
            let (mut fewest, mut most) = (i64::MAX, i64::MIN);
            while !stopping.load(Ordering::Relaxed) {
                let seen = client.query_one(query, &[]).await?.get(0);
                (fewest, most) = (fewest.min(seen), most.max(seen));
                looking.fetch_add(1, Ordering::Relaxed);
            }
            Ok((fewest, most))
        });
        Ok(Self { task, stop, looks })
    }

    /// The fewest and the most that were ever seen.
    async fn stop(self) -> Result<(i64, i64)> {
        ensure!(self.looks.load(Ordering::Relaxed) > 20, "hardly anything was seen");
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("the reader panicked")?
    }
}

#[tokio::test]
async fn tenants_readers_see_no_gap_while_a_table_is_filled_again() -> Result<()> {
    let stage = Stage::seeded_with_tenants(LARGE).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let own = stage.add_destination(&edited_tenancy(&stage).await?, &[]).await?;
    stage.all_equal(&[&own]).await?;
    let users = own.number("SELECT count(*) FROM users").await?;
    ensure!(users == 3_000);
    let reader = Reader::start(&own, "SELECT count(*) FROM users").await?;
    for _ in 0..2 {
        stage.installation.succeed("lockstep", &["resync", "--destination", &own.id]).await?;
    }
    ensure!(reader.stop().await? == (users, users), "a reader saw another number of users");
    stage.all_equal(&[&own]).await?;
    stage.end_with(programs, [own]).await
}

#[tokio::test]
async fn tenants_rows_that_were_altered_by_hand_are_right_again_after_a_resync() -> Result<()> {
    let stage = Stage::seeded_with_tenants(Shape { rows: 1_500, ..LARGE }).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let own = stage.add_destination(&edited_tenancy(&stage).await?, &[]).await?;
    stage.all_equal(&[&own]).await?;
    own.sql(
        "DELETE FROM users WHERE id::text < '4';
         UPDATE users SET display_name = 'altered' WHERE id::text > 'c';
         INSERT INTO users SELECT (gen_random_uuid()), u.display_name, u.profile_image_url, u.primary_email, u.primary_email_verified, u.signed_up_at,
             u.client_metadata, u.client_read_only_metadata, u.server_metadata, u.is_anonymous, u.restricted_by_admin, u.restricted_by_admin_reason, u.restricted_by_admin_private_details
         FROM users u LIMIT 50;
         INSERT INTO users SELECT '00000000-0000-0000-0000-000000000000', 'first', NULL, NULL, TRUE, now(), '{}', '{}', '{}', TRUE, TRUE, NULL, NULL;
         INSERT INTO users SELECT 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'last', NULL, NULL, TRUE, now(), '{}', '{}', '{}', TRUE, TRUE, NULL, NULL;
         TRUNCATE teams;
         INSERT INTO project_permissions SELECT user_id, permission_id || ' too', created_at FROM project_permissions;
         UPDATE contact_channels SET value = 'altered'",
    )
    .await?;
    let report = stage.judged(&own).await?;
    ensure!(report.mappings.iter().filter(|mapping| !mapping.equal()).count() == 4, "{report}");
    // Only what is asked for is filled again.
    let one = ["resync", "--destination", &own.id, "--mapping", "teams"];
    stage.installation.succeed("lockstep", &one).await?;
    let report = stage.judged(&own).await?;
    ensure!(report.mappings.iter().filter(|mapping| !mapping.equal()).count() == 3, "{report}");
    stage.installation.succeed("lockstep", &["resync", "--destination", &own.id]).await?;
    stage.all_equal(&[&own]).await?;
    stage.end_with(programs, [own]).await
}
