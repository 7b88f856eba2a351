//! `lockstep mapping`: a definition that is written from a table fits it, what is wrong is said at once, and what is derived
//! can be read without a database.

use anyhow::{Context, Result, ensure};
use lockstep_mappings::MappingSet;
use lockstep_testkit::databases::SOURCE_SCHEMA;
use serde_json::Value;

use super::{OTHER_STYLES, insert, table};
use crate::custom_mapping::Definitions;
use crate::programs::{ended, with_settings};
use crate::stage::Stage;

/// What no definition can export as it is, beside names that need care.
const ODD: &str = r#"ALTER TABLE "Everything" ADD "outline" polygon, ADD "project_id" text, ADD "Größe (cm)" integer, ADD "sync_at" timestamp(3)"#;

async fn init(stage: &Stage, table: &str, file: &str) -> Result<String> {
    let written = stage.installation.succeed("lockstep", &["mapping", "init", "--table", table, "--to", file]).await?;
    Ok(written.stderr)
}

#[tokio::test]
async fn mapping_init_writes_a_definition_that_fits_its_table() -> Result<()> {
    let definitions = Definitions::new(&[])?;
    let stage = definitions.stage().await?;
    for sql in [SOURCE_SCHEMA, include_str!("../world.sql"), &table(), ODD, OTHER_STYLES, &insert(0)] {
        stage.sql(sql).await?;
    }
    let file = definitions.path("everything.toml").display().to_string();
    let said = init(&stage, "Everything", &file).await?;
    ensure!(said.contains("Column outline is a comment only: no type of a definition takes polygon"), "{said}");
    let text = std::fs::read_to_string(&file)?;
    for line in [
        "key = [\"place\", \"day\"]",
        "# outline: no type",
        "name = \"row_project_id\"",
        "name = \"gr_e_cm\"",
        "type = \"numeric(20,4)?\"",
        "type = \"timestamp_us?[]\"",
        "name = \"row_sync_at\"\ntype = \"timestamp?\"",
    ] {
        ensure!(text.contains(line), "{line} is not in\n{text}");
    }
    let again = ["mapping", "init", "--table", "Everything", "--to", &file];
    let refused = stage.installation.run("lockstep", &again).await?;
    ensure!(refused.code == Some(78) && refused.stderr.contains("LS-0045"), "{refused:?}");
    stage.installation.succeed("lockstep", &["mapping", "check"]).await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.everything").await?, "10");
    stage.verified().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn mapping_init_serves_every_table_of_the_platform() -> Result<()> {
    let (definitions, set) = (Definitions::new(&[])?, MappingSet::built_in());
    let stage = definitions.stage().await?;
    stage.sql(SOURCE_SCHEMA).await?;
    for (source, _) in set.by_source() {
        let file = definitions.path(&format!("{}.toml", source.name)).display().to_string();
        init(&stage, &source.name, &file).await?;
        stage.installation.succeed("lockstep", &["mapping", "check", &file]).await?;
    }
    // All of them together, and the built-in ones.
    stage.installation.succeed("lockstep", &["mapping", "check"]).await?;
    stage.migrate(&[]).await?;
    for (table, code) in [("Nothing", "LS-0043"), ("Project", "LS-0044")] {
        let refused = stage.installation.run("lockstep", &["mapping", "init", "--table", table]).await?;
        ensure!(refused.code == Some(78) && refused.stderr.contains(code), "{table}: {refused:?}");
    }
    stage.end([]).await
}

#[tokio::test]
async fn mapping_check_says_everything_at_once() -> Result<()> {
    let invoices = include_str!("../custom_mapping/invoices.toml");
    let misfit = invoices.replace("column = \"isPaid\"", "column = \"paid\"");
    let wrong =
        "name = \"wrong\"\ntable = \"Team\"\ntenant = { column = \"tenancyId\" }\nkey = [\"id\"]\ncolumns = []\n";
    let definitions = Definitions::new(&[("invoices.toml", &misfit), ("wrong.toml", wrong)])?;
    let stage = definitions.stage().await?;
    for sql in [SOURCE_SCHEMA, include_str!("../world.sql"), include_str!("../custom_mapping/invoices.sql")] {
        stage.sql(sql).await?;
    }
    let check = async |which: &[&str], code: i32| {
        let arguments = [&["mapping", "check", "--output", "json"], which].concat();
        let checked = stage.installation.run("lockstep", &arguments).await?;
        assert_eq!(checked.code, Some(code), "{which:?}: {checked:?}");
        let report: Value = serde_json::from_str(&checked.stdout).with_context(|| checked.stdout.clone())?;
        let findings = report["findings"].as_array().context("findings")?;
        let file =
            |finding: &Value| finding["file"].as_str().and_then(|file| file.rsplit('/').next()).map(str::to_owned);
        Ok::<_, anyhow::Error>(findings.iter().filter_map(file).collect::<Vec<_>>())
    };
    let all = check(&[], 1).await?;
    assert_eq!(all.iter().filter(|file| *file == "wrong.toml").count(), 2, "{all:?}");
    assert_eq!(all.iter().filter(|file| *file == "invoices.toml").count(), 1, "{all:?}");
    assert_eq!(check(&["invoices"], 1).await?, ["invoices.toml"]);
    assert_eq!(check(&["users"], 0).await?, [""; 0]);
    // One that may be meant is wrong.
    assert_eq!(check(&["nothing"], 1).await?, ["wrong.toml", "wrong.toml"]);
    // A file anywhere, whose name is taken.
    let elsewhere = Definitions::new(&[("mine.toml", invoices)])?;
    let file = elsewhere.path("mine.toml").display().to_string();
    assert_eq!(check(&[&file], 1).await?, ["mine.toml"]);
    std::fs::remove_file(definitions.path("wrong.toml"))?;
    let unknown = stage.installation.run("lockstep", &["mapping", "check", "nothing"]).await?;
    ensure!(unknown.code == Some(78) && unknown.stderr.contains("LS-0040"), "{unknown:?}");
    stage.end([]).await
}

#[tokio::test]
async fn mapping_show_needs_no_database() -> Result<()> {
    let stage = Stage::of(lockstep_testkit::installation::Installation::create().await?).await?;
    let show =
        async |name: &str| ended(with_settings(&stage, "lockstep", &[]).args(["mapping", "show", name, "--sql"])).await;
    let shown = show("users").await?;
    ensure!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let text = String::from_utf8(shown.stdout)?;
    for statement in [
        "CREATE TRIGGER \"lockstep_users_updated\"",
        "-- fetch: a page of changes\nCOPY (",
        "-- compare: all rows of Postgres\nCOPY (",
        "CREATE TABLE IF NOT EXISTS `analytics_internal`.`users`",
        "CREATE ROW POLICY OR REPLACE `lockstep_only_own_place` ON `default`.`users`",
        "CREATE OR REPLACE VIEW `default`.`users`",
    ] {
        ensure!(text.contains(statement), "{statement} is not in\n{text}");
    }
    let unknown = show("nothing").await?;
    assert_eq!(unknown.status.code(), Some(78));
    stage.end([]).await
}
