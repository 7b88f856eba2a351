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
