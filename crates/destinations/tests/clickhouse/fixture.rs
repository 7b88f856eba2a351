//! A ClickHouse server and a database of the test's own.

use std::time::Duration;

use bytes::Bytes;
use lockstep_core::secret::SecretUrl;
use lockstep_core::settings::ClickHouseSettings;
use lockstep_destinations::{ClickHouse, DestinationError};
use lockstep_mappings::clickhouse::{TableDefinition, cursor_table};
use secrecy::SecretString;
use uuid::Uuid;

/// What a test gets.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) clickhouse: ClickHouse,
    /// A database that is dropped after the test, with the table of cursors.
    pub(crate) raw: String,
}

pub(crate) fn url() -> String {
    std::env::var("LOCKSTEP_CLICKHOUSE_URL")
        .expect("LOCKSTEP_CLICKHOUSE_URL is not set: run `cargo xtask test`, which starts the services and sets it")
}

pub(crate) fn settings(url: &str, raw: &str) -> ClickHouseSettings {
    ClickHouseSettings {
        url: SecretUrl::new(url),
        user: std::env::var("LOCKSTEP_CLICKHOUSE_USER").unwrap_or_else(|_| "default".to_owned()),
        password: SecretString::from(std::env::var("LOCKSTEP_CLICKHOUSE_PASSWORD").unwrap_or_default()),
        raw_database: raw.to_owned(),
        view_database: format!("{raw}_views"),
        cluster: None,
        fsync: false,
    }
}

/// Runs a test with a database of its own, and drops that whatever became of the test.
pub(crate) async fn with_database<F>(test: impl FnOnce(Fixture) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let raw = format!("lockstep_test_{}", Uuid::new_v4().simple());
    let clickhouse = ClickHouse::connect(&settings(&url(), &raw), None).unwrap();
    clickhouse.execute(&format!("CREATE DATABASE {raw}")).await.unwrap();
    for statement in cursor_table(clickhouse.databases()).create() {
        clickhouse.execute(&statement).await.unwrap();
    }
    let ended = tokio::spawn(test(Fixture { clickhouse: clickhouse.clone(), raw: raw.clone() })).await;
    clickhouse.execute(&format!("DROP DATABASE {raw} SYNC")).await.unwrap();
    if let Err(failed) = ended {
        std::panic::resume_unwind(failed.into_panic());
    }
}

impl Fixture {
    fn rows_table(&self) -> TableDefinition {
        let columns = [("id", "UInt64", ""), ("name", "String", "")];
        TableDefinition::new(self.clickhouse.databases(), "rows", &columns, "MergeTree()", "id")
    }

    /// A table `rows (id UInt64, name String)` that keeps every row.
    pub(crate) async fn create_rows_table(&self) -> String {
        for statement in self.rows_table().create() {
            self.clickhouse.execute(&statement).await.unwrap();
        }
        format!("{}.rows", self.raw)
    }

    /// The insert into that table.
    pub(crate) fn insert_rows(&self) -> String {
        self.rows_table().insert()
    }

    pub(crate) async fn number(&self, sql: &str) -> u64 {
        self.clickhouse.fetch_text(sql).await.unwrap().trim().parse().unwrap()
    }

    /// Waits until a query answers `expected`.
    pub(crate) async fn wait_for(&self, sql: &str, expected: u64, awaited: &str) {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        let reached = tokio::time::timeout(Duration::from_secs(20), async {
            while self.number(sql).await != expected {
                every.tick().await;
            }
        });
        assert!(reached.await.is_ok(), "waited 20 s for {awaited}: {sql} is not {expected}");
    }
}

/// Sends these chunks and ends the insert: one outcome, whether the server answers early or late.
pub(crate) async fn insert_all(
    clickhouse: &ClickHouse,
    statement: &str,
    chunks: impl IntoIterator<Item = Bytes>,
) -> Result<(), DestinationError> {
    let mut insert = clickhouse.insert(statement);
    for chunk in chunks {
        insert.send(chunk).await?;
    }
    insert.end().await
}

/// Rows of `rows` as `RowBinary`. The name has up to 127 bytes.
pub(crate) fn encode_rows(ids: std::ops::Range<u64>, name: &str) -> Bytes {
    let mut rows = Vec::new();
    for id in ids {
        rows.extend_from_slice(&id.to_le_bytes());
        rows.push(u8::try_from(name.len()).unwrap());
        rows.extend_from_slice(name.as_bytes());
    }
    Bytes::from(rows)
}
