//! Servers that refuse, messages that come twice or in another order, cascades and followers by the ten thousand.

use anyhow::{Context, Result, ensure};
use lockstep_core::freshness::ChangeTimes;
use lockstep_core::{SequenceId, TenancyId};
use lockstep_queue::{Publisher, TenantBatch, TenantHint, Topology};
use lockstep_testkit::data::{Shape, seed};
use lockstep_testkit::databases::{Memory, PrivateBroker, eventually};
use lockstep_testkit::installation::Program;
use uuid::Uuid;

use crate::background_edits::BackgroundEdits;
use crate::out_1::UNANNOUNCED;
use crate::stage::{DEADLINE, Stage};

/// Real `TOO_MANY_PARTS`: the server refuses inserts into two tables while the others go through, and takes them later.
#[tokio::test]
async fn outages_too_many_parts_are_waited_for() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    for table in ["users", "project_permissions"] {
        stage.in_clickhouse(&format!("SYSTEM STOP MERGES {{raw}}.{table}")).await?;
        let few = "parts_to_delay_insert = 1, parts_to_throw_insert = 1";
        stage.in_clickhouse(&format!("ALTER TABLE {{raw}}.{table} MODIFY SETTING {few}")).await?;
    }
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "displayName" = 'refused for a while';
               DELETE FROM "ProjectUserDirectPermission" WHERE "projectUserId" = id('ada');
               UPDATE "Team" SET "displayName" = 'goes through'"#,
        )
        .await?;
    stage
        .until_seen("another table", "SELECT count() FROM {views}.teams WHERE display_name = 'goes through'", "3")
        .await?;
    eventually("the worker to be refused", DEADLINE, async || {
        Ok(programs[1].get("/metrics").await?.1.contains("lockstep_worker_failures_total{kind=\"LS-02"))
    })
    .await?;
    ensure!(stage.seen("SELECT count() FROM {views}.users WHERE display_name = 'refused for a while'").await? == "0");
    for table in ["users", "project_permissions"] {
        let many = "parts_to_delay_insert = 1000, parts_to_throw_insert = 3000";
        stage.in_clickhouse(&format!("ALTER TABLE {{raw}}.{table} MODIFY SETTING {many}")).await?;
        stage.in_clickhouse(&format!("SYSTEM START MERGES {{raw}}.{table}")).await?;
    }
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}

/// Both programs as a role that may have no connection at all, then enough.
#[tokio::test]
async fn outages_too_many_connections_are_waited_for() -> Result<()> {
    let stage = Stage::small().await?;
    let role = format!("lockstep_limited_{}", Uuid::new_v4().simple());
    stage
        .sql(&format!(
            "CREATE ROLE {role} LOGIN CONNECTION LIMIT 0; GRANT pg_read_all_data, pg_write_all_data TO {role};
             GRANT USAGE ON SCHEMA lockstep TO {role}; GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA lockstep, public TO {role};
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA lockstep TO {role}"
        ))
        .await?;
    let url = stage.installation.database().url().replacen("://postgres@", &format!("://{role}@"), 1);
    ensure!(url.contains(&role), "the tests' own role is another one");
    let changed = [("LOCKSTEP_SOURCE_URL", url.as_str())];
    let daemons = [stage.start_with("lockstep-sequencer", &changed)?, stage.start_with("lockstep-worker", &changed)?];
    for daemon in &daemons {
        refused(daemon, 1).await?;
    }
    stage.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await?;
    stage.equal().await?;
    // Again, while they work: every connection is cut and no new one is to be had.
    let editor = BackgroundEdits::start(&stage, 61).await?;
    editor.go_on(10).await?;
    let before = [daemons[0].logged()?, daemons[1].logged()?].map(|log| log.matches("LS-0032").count());
    stage.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT 0")).await?;
    stage
        .number(&format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'"))
        .await?;
    for (daemon, before) in daemons.iter().zip(before) {
        refused(daemon, before + 1).await?;
    }
    stage.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await?;
    editor.stop().await?;
    stage.equal().await?;
    stage.verified().await?;
    for daemon in daemons {
        daemon.stop().await?;
    }
    stage.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await?;
    stage.end([]).await
}

/// Its connections were refused so many times, for being too many.
async fn refused(daemon: &Program, times: usize) -> Result<()> {
    let what = "connections to be refused";
    let condition = async || Ok(daemon.logged()?.matches("LS-0032").count() >= times);
    eventually(what, DEADLINE, condition).await
}

/// Every hint many times, backwards, for tenancies and mappings that are not there, and before there is anything to ship.
#[tokio::test]
async fn messages_that_come_again_and_in_any_order_change_nothing() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 6, rows: 20, seed: 12 }).await?;
    let programs = [stage.sequencer()?, stage.worker()?, stage.worker()?];
    let settings = stage.installation.settings();
    let topology = Topology::new(&settings.queue_prefix);
    let publisher = Publisher::connect(&settings.amqp_url, None, &topology).await?;
    let rows = stage.client.query(r#"SELECT "id" FROM "Tenancy""#, &[]).await?;
    let mut tenancies: Vec<_> = rows.iter().map(|row| TenancyId::new(row.get(0))).collect();
    tenancies.push(TenancyId::new(Uuid::new_v4()));
    let names: Vec<_> =
        ["users", "teams", "of_a_newer_version"].map(str::parse).into_iter().collect::<Result<_, _>>()?;
    let hints: Vec<TenantBatch> = tenancies
        .iter()
        .flat_map(|tenancy| {
            [Vec::new(), names.clone()].map(|mappings| TenantHint {
                tenancy: *tenancy,
                mappings,
                sequence: SequenceId::BASE,
                previous: Vec::new(),
                times: ChangeTimes::default(),
            })
        })
        .map(|hint| [hint.clone(), hint].into_iter().collect())
        .collect();
    let editor = BackgroundEdits::start(&stage, 71).await?;
    for round in 0..4 {
        let batches: Vec<_> = if round % 2 == 0 { hints.clone() } else { hints.iter().rev().cloned().collect() };
        publisher.publish(&batches).await?;
        editor.go_on(5).await?;
    }
    editor.stop().await?;
    publisher.close().await;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}

/// CAP-3: as many as a large platform may have open for one team.
#[tokio::test]
async fn cap_3_ten_thousand_open_invitations_follow_their_team() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage
        .sql(
            r#"INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "data", "expiresAt", "updatedAt")
               SELECT 'engines', 'main', gen_random_uuid(), 'TEAM_INVITATION', 'secret-' || n, jsonb_build_object('team_id', id('difference')), '2030-01-01', now()
               FROM generate_series(1, 10000) n"#,
        )
        .await?;
    // As autovacuum would within a minute: until then the planner takes any index that begins with project and branch.
    stage.sql(r#"ANALYZE "VerificationCode""#).await?;
    stage.equal().await?;
    for (what, statement, name) in [
        ("renamed", r#"UPDATE "Team" SET "displayName" = 'No. 2' WHERE "teamId" = id('difference')"#, "No. 2"),
        ("deleted", r#"DELETE FROM "Team" WHERE "teamId" = id('difference')"#, ""),
    ] {
        stage.sql(statement).await?;
        stage.equal().await?;
        let followed = format!("SELECT count() FROM {{views}}.team_invitations WHERE team_display_name = '{name}'");
        assert_eq!(stage.seen(&followed).await?, "10001", "{what}");
    }
    stage.verified().await?;
    stage.end(programs).await
}

/// CAP-1, CAP-2: everything that goes with a user, a team, or a table.
#[tokio::test]
async fn cascades_and_truncates_arrive() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let ada = "user_id = UUIDNumToString(MD5('ada'))";
    let analytical = "team_id = UUIDNumToString(MD5('analytical'))";
    type Gone<'a> = (&'a str, &'a [&'a str], &'a str);
    let cases: [(&str, Gone<'_>); 3] = [
        (
            r#"DELETE FROM "ProjectUser" WHERE "projectUserId" = id('ada')"#,
            (
                "a user",
                &[
                    "contact_channels",
                    "team_member_profiles",
                    "team_permissions",
                    "project_permissions",
                    "notification_preferences",
                    "session_replays",
                    "connected_accounts",
                ],
                ada,
            ),
        ),
        (
            r#"DELETE FROM "Team" WHERE "teamId" = id('analytical')"#,
            ("a team", &["team_member_profiles", "team_permissions"], analytical),
        ),
        (
            r#"TRUNCATE "ProjectUser" CASCADE"#,
            (
                "a table",
                &["users", "contact_channels", "team_member_profiles", "session_replays", "connected_accounts"],
                "1",
            ),
        ),
    ];
    for (statement, (what, mappings, condition)) in cases {
        stage.sql(statement).await?;
        stage.equal().await?;
        for mapping in mappings {
            let left = stage.seen(&format!("SELECT count() FROM {{views}}.{mapping} WHERE {condition}")).await?;
            assert_eq!(left, "0", "{mapping} of {what}");
        }
    }
    stage.verified().await.context("after all of it")?;
    stage.end(programs).await
}

/// A broker that is short of memory reads nothing from who publishes; one that is killed forgets who was connected.
#[tokio::test]
async fn outages_of_a_broker_that_is_short_of_memory_and_killed_cost_time_and_no_rows() -> Result<()> {
    let mut broker = PrivateBroker::start().await?;
    let stage = Stage::empty().await?;
    seed(&stage.client, Shape { tenants: 4, rows: 20, seed: 72 }).await?;
    let at_broker = [("LOCKSTEP_AMQP_URL", broker.url())];
    let start = |program| stage.installation.start_with(program, program, &at_broker);
    let programs = [start("lockstep-sequencer")?, start("lockstep-worker")?];
    stage.equal().await?;
    broker.kill().await?;
    broker.launch(Memory::Short).await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'while it was short'; DELETE FROM "Team""#).await?;
    // All the same.
    stage.numbered().await?;
    let held_up = async || Ok(programs[0].get("/readyz").await?.1.contains("queue: "));
    eventually("the sequencer to say that it cannot announce them", DEADLINE, held_up).await?;
    ensure!(stage.number(UNANNOUNCED).await? > 0, "they are called announced");
    broker.kill().await?;
    broker.launch(Memory::Enough).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await?;
    broker.kill().await
}
