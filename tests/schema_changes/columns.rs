//! Columns that are gained or lost: the table is changed in place.

use anyhow::Result;
use lockstep_testkit::data::{Shape, seed};

use super::readers::Readers;
use super::{filled, planned, redefine};
use crate::background_edits::BackgroundEdits;
use crate::custom_mapping::{DEFINITION, with_invoices};
use crate::stage::Stage;

/// What an installation lacks that was made before these columns came.
const GAINED: [(&str, &[&str]); 3] = [
    ("email_outboxes", &["finished_sending_at", "sent_at"]),
    ("connected_accounts", &["id", "email"]),
    ("notification_preferences", &["id"]),
];

/// Makes the ClickHouse side, and what is written down about it, as it was before.
async fn make_older(stage: &Stage) -> Result<()> {
    for (mapping, columns) in GAINED {
        let gained: Vec<_> = columns.iter().map(|column| format!("'{column}'")).collect();
        let left = format!(
            "SELECT arrayStringConcat(groupArray(name), ', ') FROM system.columns
             WHERE database = '{{views}}' AND table = '{mapping}' AND name NOT IN ({})",
            gained.join(", ")
        );
        let left = stage.seen(&left).await?;
        let view = format!("SELECT {left} FROM {{raw}}.{mapping} FINAL WHERE sync_is_deleted = 0");
        stage.in_clickhouse(&format!("CREATE OR REPLACE VIEW {{views}}.{mapping} AS {view}")).await?;
        for column in columns {
            stage.in_clickhouse(&format!("ALTER TABLE {{raw}}.{mapping} DROP COLUMN {column}")).await?;
        }
        stage
            .sql(&format!("UPDATE lockstep.definition SET exported = 'before' WHERE mapping_name = '{mapping}'"))
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn schema_changes_an_installation_from_before_gains_columns_while_it_is_read() -> Result<()> {
    let stage = Stage::empty().await?;
    seed(&stage.client, Shape { tenants: 5, rows: 40, seed: 11 }).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    make_older(&stage).await?;
    stage.in_clickhouse("ALTER TABLE {views}.email_outboxes COMMENT COLUMN subject 'it''s the subject'").await?;
    let mut least = Vec::new();
    for (mapping, _) in GAINED {
        // Edits delete some rows meanwhile.
        least.push((
            mapping,
            stage.seen(&format!("SELECT count() FROM {{views}}.{mapping}")).await?.parse::<u64>()? / 2,
        ));
    }
    let plans = planned(&stage, &[]).await?;
    let actions: Vec<_> = plans.iter().map(|(table, action, _)| (table.as_str(), action.as_str())).collect();
    assert_eq!(
        actions,
        [
            ("email_outboxes", "columns_added"),
            ("notification_preferences", "columns_added"),
            ("connected_accounts", "columns_added")
        ]
    );
    assert!(plans.iter().all(|(.., rows)| *rows > 0), "{plans:?}");
    let doctor = stage.installation.run("lockstep", &["doctor"]).await?;
    assert_eq!(doctor.code, Some(1));
    assert!(doctor.stdout.contains("connected_accounts differs from its definition"), "{}", doctor.stdout);

    let readers = Readers::start(&stage, &least)?;
    let edits = BackgroundEdits::start(&stage, 5).await?;
    edits.go_on(20).await?;
    stage.migrate(&[]).await?;
    edits.go_on(20).await?;
    for (mapping, _) in GAINED {
        filled(&stage, mapping).await?;
    }
    readers.go_on().await?;
    edits.stop().await?;
    stage.equal().await?;
    readers.stop().await?;
    stage.verified().await?;
    let comment = "SELECT comment FROM system.columns WHERE database = '{views}' AND table = 'email_outboxes' AND name = 'subject'";
    assert_eq!(stage.seen(comment).await?, "it\\'s the subject");
    assert!(stage.migrate(&[]).await?.stdout.starts_with("Nothing to do"));
    stage.end(programs).await
}

/// A definition without one of its columns.
pub(crate) const WITHOUT_NOTE: (&str, &str) =
    ("[[columns]]\nname = \"note\"\ntype = \"text?\"\ncolumn = \"note\"\n", "");

/// Programs with the definitions of before run on while `lockstep migrate` is run and the new ones are started.
#[tokio::test]
async fn schema_changes_programs_of_before_neither_fail_nor_lose() -> Result<()> {
    let (stage, definitions) = with_invoices().await?;
    redefine(&definitions, DEFINITION, &[WITHOUT_NOTE])?;
    stage.migrate(&["--drop"]).await?;
    let before = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.verified().await?;

    definitions.write("invoices.toml", DEFINITION)?;
    stage.migrate(&[]).await?;
    // A sequencer of before knows all that is captured; a worker of before leaves the mapping to others.
    stage.sql(r#"UPDATE billing."Invoice" SET "note" = 'written meanwhile', "cents" = 7 WHERE "series" = 'A'"#).await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'Augusta' WHERE "projectUserId" = id('ada')"#).await?;
    let users = "SELECT count() FROM {views}.users WHERE display_name = 'Augusta'";
    stage.until_seen("the other mappings to go on", users, "1").await?;
    stage.numbered().await?;
    let after = [stage.worker()?];
    stage.equal().await?;
    let notes = "SELECT count() FROM {views}.invoices WHERE note = 'written meanwhile' AND cents = 7";
    assert_eq!(stage.seen(notes).await?, "2");
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.quarantine").await?, 0);
    for program in before {
        program.stop().await?;
    }
    let sequencer = stage.sequencer()?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(after.into_iter().chain([sequencer])).await
}

#[tokio::test]
async fn schema_changes_a_lost_column_goes_from_the_view_at_once_and_from_the_table_when_asked() -> Result<()> {
    let (stage, definitions) = with_invoices().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    for program in programs {
        program.stop().await?;
    }
    redefine(
        &definitions,
        DEFINITION,
        &[WITHOUT_NOTE, ("name = \"cents\"\n", "name = \"cents\"\nalias = \"amount\"\n")],
    )?;
    assert_eq!(planned(&stage, &[]).await?, [("invoices".to_owned(), "columns_kept".to_owned(), 4)]);
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let columns = |database: &str, column: &str| {
        format!(
            "SELECT count() FROM system.columns WHERE database = '{{{database}}}' AND table = 'invoices' AND name = '{column}'"
        )
    };
    assert_eq!(stage.seen(&columns("views", "note")).await?, "0");
    assert_eq!(stage.seen(&columns("raw", "note")).await?, "1");
    assert_eq!(stage.seen("SELECT countIf(amount = cents) FROM {views}.invoices").await?, "4");
    assert_eq!(stage.seen(&columns("raw", "amount")).await?, "0", "a second name is the view's alone");
    let doctor = stage.installation.run("lockstep", &["doctor"]).await?;
    assert!(doctor.stdout.contains("column note is"), "{}", doctor.stdout);
    assert!(stage.migrate(&[]).await?.stdout.starts_with("Nothing to do"));
    stage.migrate(&["--drop"]).await?;
    assert_eq!(stage.seen(&columns("raw", "note")).await?, "0");
    stage.sql(r#"UPDATE billing."Invoice" SET "cents" = 8"#).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}
