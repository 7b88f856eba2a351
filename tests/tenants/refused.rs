//! What a tenant's own table refuses: a row is set aside for that destination alone; a table of another shape stops its mapping.

use std::time::Duration;

use anyhow::{Result, ensure};
use lockstep_testkit::databases::eventually;
use lockstep_worker::Limits;

use super::scene::Scene;
use crate::quarantine::{listed, quarantine};
use crate::stage::DEADLINE;

const REFUSE: &str = "ALTER TABLE users ADD CONSTRAINT no_hunter CHECK (display_name <> 'hunter2') NOT VALID";
const HUNTER: &str = r#"UPDATE "ProjectUser" SET "displayName" = 'hunter2' WHERE "projectUserId" = id('ada')"#;

#[tokio::test]
async fn tenants_constraint_sets_one_row_aside_for_that_destination_alone() -> Result<()> {
    let mut scene = Scene::begin().await?;
    let engines = scene.stage.id("engines").await?;
    let second = scene.stage.add_destination(&engines, &["users"]).await?;
    scene.stage.all_equal(&[&second]).await?;
    scene.troubled.sql(REFUSE).await?;
    scene.stage.sql(HUNTER).await?;
    scene
        .stage
        .sql(r#"UPDATE "ProjectUser" SET "displayName" = 'goes through' WHERE "projectUserId" = id('mary')"#)
        .await?;
    scene.stage.until("the row to be set aside", "SELECT count(*) FROM lockstep.quarantine", 1).await?;
    // Everywhere else it has arrived, and here everything else has.
    scene.stage.until_equal(&[&scene.healthy, &second]).await?;
    let entries = listed(&scene.stage).await?;
    let [entry] = &entries[..] else { anyhow::bail!("{entries:?}") };
    ensure!(entry["destination"] == scene.troubled.id.as_str() && entry["mapping"] == "users", "{entry}");
    let told = quarantine(&scene.stage, &["list"]).await?.stdout;
    ensure!(entry["code"] == "LS-0203" && told.contains("no_hunter") && !told.contains("hunter2"), "{told}");
    scene
        .stage
        .until_registered(
            &scene.troubled,
            "the others to go through",
            "failures = 0 AND NOT unfinished AND passed >= known",
        )
        .await?;
    let report = scene.stage.judged(&scene.troubled).await?;
    let users = report.mappings.iter().find(|mapping| mapping.mapping == "users");
    let different: usize = report.mappings.iter().map(|mapping| mapping.different.len()).sum();
    ensure!(different == 1 && users.is_some_and(|users| users.different[0].columns == ["display_name"]), "{report}");
    // As long as the tenant refuses it, it is refused anew; then it arrives.
    let before = entry["sequence"].as_i64().unwrap_or_default();
    quarantine(&scene.stage, &["retry", "--mapping", "users"]).await?;
    let anew = format!("SELECT count(*) FROM lockstep.quarantine WHERE sequence > {before}");
    scene.stage.until("it to be refused anew", &anew, 1).await?;
    scene.troubled.sql("ALTER TABLE users DROP CONSTRAINT no_hunter").await?;
    quarantine(&scene.stage, &["retry", "--all"]).await?;
    scene.stage.until("the entry to go", "SELECT count(*) FROM lockstep.quarantine", 0).await?;
    scene.until_recovered().await?;
    scene.stage.all_equal(&[&second]).await?;
    scene.end_with([second]).await
}

#[tokio::test]
async fn tenants_refused_rows_are_tried_again_at_the_destination_that_is_named() -> Result<()> {
    let mut scene = Scene::begin().await?;
    let second = scene.stage.add_destination(&scene.troubled.tenancy, &["users"]).await?;
    scene.stage.all_equal(&[&second]).await?;
    scene.troubled.sql(REFUSE).await?;
    second.sql(REFUSE).await?;
    scene.stage.sql(HUNTER).await?;
    let refused = |id: &str| format!("SELECT count(*) FROM lockstep.quarantine WHERE destination = '{id}'");
    for own in [&scene.troubled, &second] {
        scene.stage.until("the row to be set aside", &refused(&own.id), 1).await?;
    }
    scene.troubled.sql("ALTER TABLE users DROP CONSTRAINT no_hunter").await?;
    quarantine(&scene.stage, &["retry", "--destination", &scene.troubled.id]).await?;
    scene.stage.until("the entry of the one to go", &refused(&scene.troubled.id), 0).await?;
    scene.stage.until_equal(&[&scene.troubled]).await?;
    scene.stage.until("the other to refuse it still", &refused(&second.id), 1).await?;
    ensure!(!scene.stage.judged(&second).await?.equal());
    second.sql("ALTER TABLE users DROP CONSTRAINT no_hunter").await?;
    quarantine(&scene.stage, &["retry", "--destination", &second.id]).await?;
    scene.stage.until("the entry of the other to go", &refused(&second.id), 0).await?;
    scene.until_recovered().await?;
    scene.stage.all_equal(&[&second]).await?;
    scene.end_with([second]).await
}

/// A row that is refused while a table is filled does not keep the fill from its end.
#[tokio::test]
async fn tenants_constraint_sets_a_row_aside_that_a_fill_comes_to() -> Result<()> {
    let mut scene = Scene::begin().await?;
    scene.stage.sql(HUNTER).await?;
    scene.stage.all_equal(&[&scene.troubled]).await?;
    scene.troubled.sql(&format!("DELETE FROM users; {REFUSE}")).await?;
    let id = scene.troubled.id.clone();
    let resync = ["resync", "--destination", &id, "--mapping", "users"];
    scene.stage.installation.run("lockstep", &resync).await?;
    scene.stage.until("the row to be set aside", "SELECT count(*) FROM lockstep.quarantine", 1).await?;
    scene.stage.until_registered(&scene.troubled, "the fill to end", "failures = 0 AND NOT unfinished").await?;
    let report = scene.stage.judged(&scene.troubled).await?;
    let missing: usize = report.mappings.iter().map(|mapping| mapping.missing.len()).sum();
    ensure!(missing == 1, "only the row that is refused is missing\n{report}");
    scene.troubled.sql("ALTER TABLE users DROP CONSTRAINT no_hunter").await?;
    quarantine(&scene.stage, &["retry", "--all"]).await?;
    scene.until_recovered().await?;
    scene.end().await
}

/// Tables are looked at every second, where a worker otherwise looks once a minute.
fn look_often() -> Limits {
    Limits { tenant_tables_look_every: Duration::from_secs(1), ..Limits::default() }
}

/// The mapping `teams` of the troubled destination has stopped, with these words.
async fn until_teams_are_said_to_be(scene: &Scene, words: &str) -> Result<()> {
    let told = format!(
        "EXISTS (SELECT FROM lockstep.tenant_mapping m WHERE m.destination_id = d.id AND m.mapping_name = 'teams' AND m.state = 'stopped' AND m.error_code = 'LS-0213' AND m.error LIKE '%{words}%')"
    );
    scene.stage.until_registered(&scene.troubled, "the difference to be named", &told).await
}

/// All its other mappings go on, and everybody else.
async fn until_all_but_teams_go_on(scene: &mut Scene) -> Result<()> {
    let shown = scene.stage.shown(&scene.troubled).await?;
    ensure!(shown["stopped"] == serde_json::json!(["teams"]), "{shown}");
    scene.others_go_on().await?;
    eventually("its other mappings to go on", DEADLINE, async || {
        let report = scene.stage.judged(&scene.troubled).await?;
        for mapping in &report.mappings {
            ensure!(mapping.equal() == (mapping.mapping != "teams"), "{report}");
        }
        Ok(true)
    })
    .await
}

/// The alteration takes what is written, so that nothing fails: it is noticed since tables are looked at now and then.
#[tokio::test]
async fn tenants_table_that_was_altered_stops_its_mapping_and_no_other() -> Result<()> {
    let mut scene = Scene::with_limits(look_often()).await?;
    scene.troubled.sql("ALTER TABLE teams ALTER COLUMN created_at TYPE text").await?;
    // Only what is compared with a row that is there fails.
    const ANOTHER: &str = r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
        SELECT id('engines'), gen_random_uuid(), 'engines', 'main', 'another', now()"#;
    let stopped = format!(
        "SELECT count(*) FROM lockstep.tenant_mapping WHERE destination_id = '{}' AND state = 'stopped'",
        scene.troubled.id
    );
    eventually("a look at the tables", DEADLINE, async || {
        scene.stage.sql(ANOTHER).await?;
        Ok(scene.stage.number(&stopped).await? == 1)
    })
    .await?;
    until_teams_are_said_to_be(&scene, "created_at is text").await?;
    until_all_but_teams_go_on(&mut scene).await?;
    // Mended, it goes on with what has changed since.
    scene.troubled.sql("ALTER TABLE teams ALTER COLUMN created_at TYPE timestamp USING created_at::timestamp").await?;
    scene.edit().await?;
    scene.until_recovered().await?;
    scene.stage.until_mapping(&scene.troubled, "teams", "streaming").await?;
    scene.end().await
}

/// Tables and columns that the tenant takes away come back with their rows; a column then can be null, and so can one whose
/// NOT NULL the tenant took away.
#[tokio::test]
async fn tenants_table_that_is_gone_is_made_and_filled_again() -> Result<()> {
    let mut scene = Scene::begin().await?;
    scene
        .troubled
        .sql(
            "DROP TABLE users; ALTER TABLE teams DROP COLUMN display_name;
             ALTER TABLE contact_channels ALTER COLUMN value DROP NOT NULL",
        )
        .await?;
    scene.edit().await?;
    scene.until_recovered().await?;
    let can_be_null = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'teams'::regclass AND attname = 'display_name' AND NOT attnotnull";
    ensure!(scene.troubled.number(can_be_null).await? == 1, "a column that came later can be null");
    // Whatever a tenant adds is met and left alone.
    scene
        .troubled
        .sql(
            "ALTER TABLE users ADD COLUMN note text DEFAULT 'mine';
             CREATE INDEX ON users (display_name); CREATE VIEW people AS SELECT id, display_name FROM users;
             CREATE TABLE orders (id int PRIMARY KEY, buyer uuid REFERENCES users ON DELETE SET NULL);
             INSERT INTO orders SELECT 1, id FROM users LIMIT 1;
             UPDATE users SET note = 'edited'",
        )
        .await?;
    scene.edit().await?;
    scene.until_recovered().await?;
    ensure!(scene.troubled.number("SELECT count(*) FROM users WHERE note = 'edited'").await? == 3);
    ensure!(scene.troubled.number("SELECT count(*) FROM orders JOIN people ON people.id = buyer").await? == 1);
    scene.end().await
}

/// Something else in the place of a table is named, whatever it is, and that mapping stops there.
#[tokio::test]
async fn tenants_table_of_another_kind_is_named() -> Result<()> {
    const KINDS: [(&str, &str, &str); 4] = [
        ("UNLOGGED TABLE teams (LIKE kept INCLUDING ALL)", "it is unlogged", "TABLE"),
        ("TABLE teams (LIKE kept INCLUDING ALL) PARTITION BY HASH (id)", "it is partitioned", "TABLE"),
        ("FOREIGN TABLE teams (id uuid) SERVER elsewhere", "it is a foreign table", "FOREIGN TABLE"),
        ("VIEW teams AS SELECT * FROM kept", "it is a view", "VIEW"),
    ];
    let mut scene = Scene::with_limits(look_often()).await?;
    let role = scene.troubled.database.role().to_owned();
    // In one transaction each: where nothing is in its place, the table is made.
    let mut away = "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing; ALTER TABLE teams RENAME TO kept".to_owned();
    for (kind, named, drop) in KINDS {
        scene.troubled.sql(&format!("{away}; CREATE {kind}; ALTER TABLE teams OWNER TO {role}")).await?;
        scene.edit().await?;
        until_teams_are_said_to_be(&scene, named).await?;
        let tested = scene.stage.destination(&["test", &scene.troubled.id]).await?;
        ensure!(tested.code != Some(0) && tested.stdout.contains(named), "{tested:?}");
        away = format!("DROP {drop} teams");
    }
    until_all_but_teams_go_on(&mut scene).await?;
    scene.troubled.sql(&format!("{away}; ALTER TABLE kept RENAME TO teams")).await?;
    scene.until_recovered().await?;
    scene.stage.until_mapping(&scene.troubled, "teams", "streaming").await?;
    scene.end().await
}
