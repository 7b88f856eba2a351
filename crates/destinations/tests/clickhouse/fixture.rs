//! A ClickHouse server and a database of the test's own.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lockstep_core::secret::SecretUrl;
use lockstep_core::settings::ClickHouseSettings;
use lockstep_destinations::{ClickHouse, DestinationError, Moment, PageStart, PageWriter, WriteLimits, WriteWindow};
use lockstep_mappings::clickhouse::{Databases, cursor_table, raw_table};
use lockstep_mappings::codec::{CodecError, CopyReader, Row};
use lockstep_mappings::{Mapping, MappingSet};
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
    }
}

pub(crate) fn databases(raw: &str) -> Databases {
    Databases { raw: raw.to_owned(), views: format!("{raw}_views"), cluster: None }
}

/// For what was read just now, and may be written for an hour.
pub(crate) fn fresh() -> WriteWindow {
    WriteWindow::new(Moment::now(), Duration::from_secs(3600))
}

/// Runs a test with a database of its own, and drops that whatever became of the test.
pub(crate) async fn with_database<F>(test: impl FnOnce(Fixture) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let raw = format!("lockstep_test_{}", Uuid::new_v4().simple());
    let clickhouse = ClickHouse::connect(&settings(&url(), &raw), None).unwrap();
    clickhouse.execute(&format!("CREATE DATABASE {raw}")).await.unwrap();
    for statement in cursor_table(&databases(&raw)).create() {
        clickhouse.execute(&statement).await.unwrap();
    }
    let ended = tokio::spawn(test(Fixture { clickhouse: clickhouse.clone(), raw: raw.clone() })).await;
    clickhouse.execute(&format!("DROP DATABASE {raw} SYNC")).await.unwrap();
    if let Err(failed) = ended {
        std::panic::resume_unwind(failed.into_panic());
    }
}

impl Fixture {
    /// A table `rows (id UInt64, name String)` that keeps every row.
    pub(crate) async fn create_rows_table(&self) -> String {
        let table = format!("{}.rows", self.raw);
        self.clickhouse
            .execute(&format!("CREATE TABLE {table} (id UInt64, name String) ENGINE = MergeTree ORDER BY id"))
            .await
            .unwrap();
        table
    }

    /// The table of a mapping.
    pub(crate) async fn create_things(&self) -> Things {
        const DEFINITION: &str = r#"name = "things"
table = "Thing"
tenant = { column = "tenancyId" }
key = ["id"]
columns = [{ name = "id", type = "int64", column = "id" }]
"#;
        let set = MappingSet::from_texts(&[("things.toml".into(), DEFINITION.into())]).unwrap();
        let mapping = Arc::new(set.iter().next().unwrap().clone());
        for statement in raw_table(&mapping, &databases(&self.raw)).create() {
            self.clickhouse.execute(&statement).await.unwrap();
        }
        Things { mapping }
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

/// A mapping whose rows are numbers.
pub(crate) struct Things {
    mapping: Arc<Mapping>,
}

impl Things {
    /// A page that was read just now.
    pub(crate) fn page(&self) -> PageStart<'_> {
        PageStart { mapping: &self.mapping, from: &[], window: fresh(), limits: WriteLimits::default() }
    }

    /// Pushes rows with these numbers, each its own sequence too, as they come from `COPY`.
    pub(crate) async fn push(&self, page: &mut impl PageWriter, ids: Range<i64>) -> Result<(), DestinationError> {
        let mut copy = CopyReader::default();
        let mut message = [b"PGCOPY\n\xff\r\n\0".as_slice(), &[0; 8]].concat();
        for id in ids {
            message.extend(6_i16.to_be_bytes());
            let id = id.to_be_bytes();
            for field in [Uuid::from_u128(1).as_bytes().as_slice(), b"project", b"main", &id, &id, &[0, 0]] {
                message.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
                message.extend(field);
            }
            let pushed = copy.rows::<CodecError>(&message, |fields| page.push(&Row::read(fields, &self.mapping)?));
            pushed.unwrap();
            message.clear();
            if page.is_full() {
                page.send().await?;
            }
        }
        Ok(())
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
pub(crate) fn encode_rows(ids: Range<u64>, name: &str) -> Bytes {
    let mut rows = Vec::new();
    for id in ids {
        rows.extend_from_slice(&id.to_le_bytes());
        rows.push(u8::try_from(name.len()).unwrap());
        rows.extend_from_slice(name.as_bytes());
    }
    Bytes::from(rows)
}
