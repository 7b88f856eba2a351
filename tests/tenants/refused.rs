//! What a tenant's own table refuses: a row is set aside for that destination alone; a table of another shape stops its mapping.

use anyhow::{Result, ensure};

use super::scene::Scene;
use crate::quarantine::{listed, quarantine};

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

#[tokio::test]
async fn tenants_table_that_was_altered_stops_its_mapping_and_no_other() -> Result<()> {
    let mut scene = Scene::begin().await?;
    scene.troubled.sql("ALTER TABLE teams ALTER COLUMN created_at TYPE text").await?;
    scene.others_go_on().await?;
    scene.stage.until_mapping(&scene.troubled, "teams", "stopped").await?;
    let shown = scene.stage.shown(&scene.troubled).await?;
    ensure!(shown["stopped"] == serde_json::json!(["teams"]), "{shown}");
    let code = "EXISTS (SELECT FROM lockstep.tenant_mapping m WHERE m.destination_id = d.id AND m.error_code = 'LS-0213' AND m.error LIKE '%created_at%')";
    scene.stage.until_registered(&scene.troubled, "the difference to be named", code).await?;
    // All others of this destination go on.
    scene.edit().await?;
    let users = "SELECT count(*) FROM users WHERE display_name LIKE 'edit %'";
    let own = &scene.troubled;
    lockstep_testkit::databases::eventually("the users to go on", crate::stage::DEADLINE, async || {
        let last = r#"SELECT count(DISTINCT "displayName") FROM "ProjectUser""#;
        ensure!(scene.stage.number(last).await? == 1);
        let shown: String = own.own.query_one("SELECT min(display_name) FROM users", &[]).await?.get(0);
        let wanted: String =
            scene.stage.client.query_one(r#"SELECT min("displayName") FROM "ProjectUser""#, &[]).await?.get(0);
        Ok(own.number(users).await? == 3 && shown == wanted)
    })
    .await?;
    let report = scene.stage.judged(&scene.troubled).await?;
    for mapping in &report.mappings {
        ensure!(mapping.equal() == (mapping.mapping != "teams"), "{report}");
    }
    scene.others_go_on().await?;
    // Mended, it goes on with what has changed since.
    scene.troubled.sql("ALTER TABLE teams ALTER COLUMN created_at TYPE timestamp USING created_at::timestamp").await?;
    scene.edit().await?;
    scene.until_recovered().await?;
    scene.stage.until_mapping(&scene.troubled, "teams", "streaming").await?;
    scene.end().await
}

/// Tables and columns that the tenant takes away come back with their rows.
#[tokio::test]
async fn tenants_table_that_is_gone_is_made_and_filled_again() -> Result<()> {
    let mut scene = Scene::begin().await?;
    scene.troubled.sql("DROP TABLE users; ALTER TABLE teams DROP COLUMN display_name").await?;
    scene.edit().await?;
    scene.until_recovered().await?;
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
