//! What makes Lockstep fill a tenant's tables again by itself: a column that a definition gains, and changes that are gone.

use anyhow::{Result, ensure};
use lockstep_testkit::proxy::Mode;

use crate::custom_mapping::{DEFINITION, with_invoices};
use crate::own_databases::OwnDatabase;
use crate::schema_changes::{WITHOUT_NOTE, redefine};
use crate::stage::Stage;

/// Invoices of the tenant whose note and number are those of the source.
async fn until_notes_are_equal(stage: &Stage, own: &OwnDatabase) -> Result<()> {
    let source = format!(
        r#"SELECT string_agg(concat("number", '=', "note"), ',' ORDER BY "number") FROM billing."Invoice" WHERE "tenancyId" = '{}'"#,
        own.tenancy
    );
    let theirs = "SELECT string_agg(concat(number, '=', note), ',' ORDER BY number) FROM invoices";
    stage.in_step().await?;
    let wanted: String = stage.client.query_one(&source, &[]).await?.get(0);
    let shown: String = own.own.query_one(theirs, &[]).await?.get(0);
    ensure!(shown == wanted, "{shown}, not {wanted}");
    Ok(())
}

#[tokio::test]
async fn tenants_column_that_a_definition_gains_arrives_with_every_row() -> Result<()> {
    let (stage, definitions) = with_invoices().await?;
    redefine(&definitions, DEFINITION, &[WITHOUT_NOTE])?;
    stage.migrate(&["--drop"]).await?;
    let before = [stage.sequencer()?, stage.worker()?];
    let own = stage.add_destination(&stage.id("engines").await?, &["invoices"]).await?;
    stage.in_step().await?;
    let notes = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'invoices'::regclass AND attname = 'note'";
    let rows = own.number("SELECT count(*) FROM invoices").await?;
    ensure!(rows > 1 && own.number(notes).await? == 0);
    own.sql("CREATE VIEW theirs AS SELECT cents FROM invoices").await?;

    definitions.write("invoices.toml", DEFINITION)?;
    stage.migrate(&[]).await?;
    for program in before {
        program.stop().await?;
    }
    let programs = [stage.sequencer()?, stage.worker()?];
    until_notes_are_equal(&stage, &own).await?;
    stage.sql(r#"UPDATE billing."Invoice" SET "note" = 'written later' WHERE "series" = 'A'"#).await?;
    until_notes_are_equal(&stage, &own).await?;
    ensure!(own.number("SELECT count(*) FROM invoices WHERE note = 'written later'").await? == 1);
    ensure!(own.number("SELECT count(*) FROM theirs").await? == rows, "a view of the tenant's is left alone");
    stage.end_with(programs, [own]).await
}

/// Changes of a partition that no destination will ask for any more.
const PARTITION: i64 = 16_777_216;

#[tokio::test]
async fn tenants_database_that_was_away_for_longer_than_changes_are_retained_is_filled_again() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    let away = stage.add_destination(&stage.id("engines").await?, &[]).await?;
    let there = stage.add_destination(&stage.id("compilers").await?, &[]).await?;
    stage.all_equal(&[&away, &there]).await?;
    away.database.proxy().set(Mode::Cut);
    stage
        .sql(r#"UPDATE "Team" SET "displayName" = 'missed'; DELETE FROM "ProjectUserRefreshToken"; DELETE FROM "ProjectUser" WHERE "projectUserId" = id('charles')"#)
        .await?;
    stage.until_registered(&away, "it to miss changes", "failures > 0 AND known > passed").await?;
    // What comes now is in another partition; everybody else has passed the one before.
    stage.sql(&format!("SELECT setval('lockstep.sequence', {})", 2 * PARTITION + 5)).await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'of the next partition'"#).await?;
    stage.until_equal(&[&there]).await?;
    let passed = format!("SELECT count(*) FROM lockstep.destination WHERE passed > {}", 2 * PARTITION);
    stage.until("ClickHouse to have passed it", &passed, 1).await?;
    // It counts as on its disk some minutes later.
    stage.sql("INSERT INTO lockstep.destination_passed (destination, passed, at) SELECT name, passed, now() - interval '10 minutes' FROM lockstep.destination").await?;
    let through = format!("NOT unfinished AND passed >= known AND passed > {}", 2 * PARTITION);
    stage.until_registered(&there, "it to have passed them", &through).await?;
    stage.installation.succeed("lockstep", &["settings", "set", "change_retention", "0 seconds"]).await?;
    // Old changes are looked for once a minute, and at the start.
    sequencer.stop().await?;
    let sequencer = stage.sequencer()?;
    let asked = |own: &OwnDatabase| {
        format!(
            "SELECT count(*) FROM lockstep.tenant_mapping WHERE destination_id = '{}' AND refill_requested_at IS NOT NULL",
            own.id
        )
    };
    stage.until("a refill of what was away", &asked(&away), 12).await?;
    ensure!(stage.number(&asked(&there)).await? == 0, "what was there is filled again");
    ensure!(sequencer.logged()?.contains("LS-0513") && sequencer.logged()?.contains(&away.id), "nobody is told");
    let shown = stage.shown(&away).await?;
    ensure!(shown["needs_refill"].as_array().is_some_and(|mappings| mappings.len() == 12), "{shown}");
    stage.installation.succeed("lockstep", &["settings", "set", "change_retention", "7 days"]).await?;
    away.database.proxy().set(Mode::Pass);
    stage.until_registered(&away, "it to be filled", "failures = 0 AND NOT unfinished AND passed >= known").await?;
    stage.all_equal(&[&away, &there]).await?;
    let shown = stage.shown(&away).await?;
    ensure!(shown["state"] == "in_step" && shown["needs_refill"] == serde_json::json!([]), "{shown}");
    stage.end_with([sequencer, worker], [away, there]).await
}
