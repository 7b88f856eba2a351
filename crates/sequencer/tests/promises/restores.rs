//! SEQ-1 where the sequence or the tables of schema lockstep went back: it is found out before a number is given.

use std::io::Write;
use std::sync::{Arc, Mutex};

use lockstep_destinations::ClickHouse;
use lockstep_mappings::clickhouse::{Databases, create_databases, cursor_table, source_table};
use lockstep_testkit::databases::services;
use tracing_subscriber::fmt::MakeWriter;

use super::fixture::{Fixture, drain};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// Everything runs on this one thread, where the log is caught.
#[tokio::test(flavor = "current_thread")]
async fn seq_1_a_sequence_that_was_set_back_is_moved_on_and_that_is_said() {
    let fixture = Fixture::new().await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 100).await;
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    let before = fixture.head().await;
    for (value, user) in [(5, 200), (1, 201)] {
        fixture.execute(&format!("SELECT setval('lockstep.sequence', {value})")).await;
        fixture.users(tenancy, user, 1).await;
        drain(&mut numbering).await;
        assert!(fixture.user_sequence(tenancy, user).await > before);
    }
    assert!(log.text().contains("LS-0507"), "{}", log.text());
    let twice = "SELECT count(*) - count(DISTINCT sequence) FROM lockstep.change";
    assert_eq!(fixture.number(twice).await, 0, "a number was handed out twice");
    fixture.remove().await;
}

#[tokio::test]
async fn seq_1_a_sequence_that_was_set_far_ahead_goes_on_from_there() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut numbering = fixture.numbering();
    for (value, user) in [(16_777_215_i64, 0), (1 << 50, 1), ((1 << 50) + 16_777_210, 2)] {
        fixture.execute(&format!("SELECT setval('lockstep.sequence', {value})")).await;
        fixture.users(tenancy, user, 10).await;
        drain(&mut numbering).await;
        assert!(fixture.user_sequence(tenancy, user).await > value);
        fixture.execute(r#"DELETE FROM "ProjectUser""#).await;
    }
    fixture.remove().await;
}

/// A dump of schema lockstep alone, loaded into the database while everything runs.
#[tokio::test]
async fn seq_1_after_an_older_copy_of_our_tables_every_line_that_is_there_has_a_number_again() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    fixture.users(tenancy, 0, 3).await;
    drain(&mut numbering).await;
    fixture.execute("CREATE SCHEMA copy; CREATE TABLE copy.pass AS TABLE lockstep.pass; CREATE TABLE copy.change AS TABLE lockstep.change; CREATE TABLE copy.sequence AS TABLE lockstep.sequence").await;
    let copied = fixture.head().await;
    fixture.users(tenancy, 10, 5).await;
    drain(&mut numbering).await;
    let before = fixture.head().await;
    fixture
        .execute(
            "BEGIN; DELETE FROM lockstep.pass; DELETE FROM lockstep.change;
            INSERT INTO lockstep.pass OVERRIDING SYSTEM VALUE SELECT * FROM copy.pass; INSERT INTO lockstep.change SELECT * FROM copy.change;
            SELECT setval('lockstep.sequence', last_value) FROM copy.sequence; COMMIT",
        )
        .await;
    assert_eq!(fixture.head().await, copied);
    fixture.users(tenancy, 20, 1).await;
    drain(&mut numbering).await;
    // What was numbered since the copy was made is in the inbox still: all of it has numbers again.
    for user in [10, 11, 12, 13, 14, 20] {
        assert!(fixture.user_sequence(tenancy, user).await > copied, "user {user} is lost");
    }
    assert!(before > copied);
    assert_eq!(fixture.unseen().await, 0);
    fixture.remove().await;
}

/// The same, where what was numbered since then has been shipped: those numbers must not be given out again.
#[tokio::test]
async fn src_1_an_older_copy_of_our_tables_gives_out_no_number_that_was_shipped() {
    let fixture = Fixture::new().await;
    let settings = fixture.settings(&services().unwrap().amqp_url);
    let clickhouse = ClickHouse::connect(&settings.clickhouse, None).unwrap();
    let databases = Databases::from(&settings.clickhouse);
    let tables = [cursor_table(&databases).create(), source_table(&databases).create()].concat();
    for statement in create_databases(&databases).iter().chain(&tables) {
        clickhouse.execute(statement).await.unwrap();
    }
    let tenancy = fixture.tenancy(1).await;
    let mut numbering = fixture.numbering().guarded_by(clickhouse.clone());
    drain(&mut numbering).await;
    fixture
        .execute("CREATE SCHEMA copy; CREATE TABLE copy.pass AS TABLE lockstep.pass; CREATE TABLE copy.sequence AS TABLE lockstep.sequence")
        .await;
    fixture.users(tenancy, 0, 5).await;
    drain(&mut numbering).await;
    let raw = &databases.raw;
    let shipped = format!(
        "INSERT INTO `{raw}`.`{}` (tenancy_id, mapping_name, last_synced_sequence_id) VALUES ('{tenancy}', 'users', {})",
        lockstep_mappings::clickhouse::cursor_table_name(),
        fixture.head().await
    );
    clickhouse.execute(&shipped).await.unwrap();
    fixture
        .execute(
            "BEGIN; DELETE FROM lockstep.pass; INSERT INTO lockstep.pass OVERRIDING SYSTEM VALUE SELECT * FROM copy.pass;
            SELECT setval('lockstep.sequence', last_value) FROM copy.sequence; COMMIT",
        )
        .await;
    let before = fixture.number("SELECT count(*) FROM lockstep.change").await;
    fixture.users(tenancy, 10, 1).await;
    let refused = async {
        for _ in 0..3 {
            if let Err(error) = numbering.poll().await {
                return Some(error);
            }
        }
        None
    };
    let error = refused.await.unwrap();
    assert!(error.to_string().starts_with("LS-0510") && error.is_retryable(), "{error}");
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.change").await, before);
    clickhouse.execute(&format!("DROP DATABASE `{raw}`")).await.unwrap();
    fixture.remove().await;
}

/// Transaction ids of another server, or of another database, say nothing here.
#[tokio::test]
async fn seq_1_lines_of_a_copy_in_another_database_are_numbered_anew() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 3).await;
    drain(&mut fixture.numbering()).await;
    // As a dump that was loaded leaves it: consumed far ahead of this server's transactions.
    fixture.execute("UPDATE lockstep.origin SET system_identifier = '1'; INSERT INTO lockstep.pass (last_sequence, consumed) SELECT max(last_sequence), '1000000000:1000000000:' FROM lockstep.pass").await;
    fixture.users(tenancy, 10, 2).await;
    let before = fixture.head().await;
    assert_eq!(drain(&mut fixture.numbering()).await.changes, 5);
    assert_eq!(fixture.changes_after(before).await.len(), 5);
    let home = "SELECT count(*) FROM lockstep.origin o, pg_control_system() s WHERE o.system_identifier = s.system_identifier::text";
    assert_eq!(fixture.number(home).await, 1);
    fixture.remove().await;
}
