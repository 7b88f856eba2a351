//! The rows that are compared: a table with an integer key and twelve columns, in the source, in ClickHouse as Lockstep keeps it,
//! and in ClickHouse once more in the order of its key, for a tool that compares by ranges of keys.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use lockstep_destinations::ClickHouse;
use lockstep_destinations::clickhouse::Timeouts;
use lockstep_testkit::data::{Shape, seed_tables};
use lockstep_testkit::databases::{TestDatabase, unique_suffix};
use lockstep_testkit::installation::Installation;
use tokio_postgres::Client;

/// Rows that one statement makes.
const ROWS_PER_STATEMENT: u64 = 500_000;
/// Some millions of rows are copied and counted by statements.
const STATEMENT: Duration = Duration::from_secs(1800);

const CREATE: &str = r#"CREATE TABLE bench_rows (
    id bigint NOT NULL, "tenancyId" uuid NOT NULL, name text, email text NOT NULL, city text NOT NULL, kind text NOT NULL,
    note text, details text NOT NULL, amount bigint NOT NULL, points bigint, quantity integer NOT NULL, status integer NOT NULL,
    created_at timestamp(3) NOT NULL, updated_at timestamp(3) NOT NULL)"#;
const INDEX: &str = r#"ALTER TABLE bench_rows ADD PRIMARY KEY (id); CREATE INDEX ON bench_rows ("tenancyId", id)"#;

/// The columns beside the key, in their order, and the types of the mapping.
pub(super) const COLUMNS: [(&str, &str); 12] = [
    ("name", "text?"),
    ("email", "text"),
    ("city", "text"),
    ("kind", "text"),
    ("note", "text?"),
    ("details", "text"),
    ("amount", "int64"),
    ("points", "int64?"),
    ("quantity", "int32"),
    ("status", "int32"),
    ("created_at", "timestamp"),
    ("updated_at", "timestamp"),
];

/// How rows are spread over tenancies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spread {
    /// So many rows over so many tenancies.
    Evenly { rows: u64, tenancies: u32 },
    /// So many rows of one, and one of each of the others.
    OneHas { rows: u64, tenancies: u32 },
}

impl Spread {
    const fn tenancies(self) -> u32 {
        match self {
            Self::Evenly { tenancies, .. } | Self::OneHas { tenancies, .. } => tenancies,
        }
    }

    pub(super) fn rows(self) -> u64 {
        match self {
            Self::Evenly { rows, .. } => rows,
            Self::OneHas { rows, tenancies } => rows + u64::from(tenancies) - 1,
        }
    }

    /// Whose the n-th row is.
    fn owner(self) -> String {
        match self {
            Self::Evenly { tenancies, .. } => format!("n % {tenancies}"),
            Self::OneHas { tenancies, .. } => format!("CASE WHEN n < {tenancies} THEN n ELSE 0 END"),
        }
    }
}

/// Makes the rows, before capture.
pub(super) async fn seed(client: &Client, spread: Spread) -> anyhow::Result<()> {
    seed_tables(client, Shape { tenants: spread.tenancies(), rows: 1, seed: 31 }, &[]).await?;
    client.batch_execute(CREATE).await?;
    let mut from = 0;
    while from < spread.rows() {
        let to = (from + ROWS_PER_STATEMENT).min(spread.rows());
        let insert = format!(
            r#"INSERT INTO bench_rows SELECT n, s.tenancy_id, pg_temp.seed_first_name(n) || ' ' || pg_temp.seed_last_name(n),
    pg_temp.seed_email(n, 0), pg_temp.seed_last_name(n / 7), (ARRAY['free', 'team', 'growth', 'enterprise'])[1 + n % 4],
    CASE WHEN n % 3 = 0 THEN 'says "' || md5(n::text) || '"' END, '{{"plan": "größer", "tags": ["' || md5((n * 7)::text) || '"], "seats": ' || n % 50 || '}}',
    hashint8(n), CASE WHEN n % 5 > 0 THEN n * 3 END, n % 1000, n % 7, pg_temp.seed_moment(n, 1), pg_temp.seed_moment(n, 2)
FROM generate_series({from}::bigint, {to}::bigint - 1) n JOIN pg_temp.seed_tenancy s ON s.t = {owner}"#,
            owner = spread.owner()
        );
        client.batch_execute(&insert).await.context("making rows")?;
        from = to;
    }
    client.batch_execute(INDEX).await?;
    client.batch_execute("VACUUM ANALYZE").await.context("vacuuming")
}

/// The directory with the definition of the mapping.
fn definitions() -> anyhow::Result<PathBuf> {
    let directory = std::env::temp_dir().join(format!("lockstep-bench-{}", unique_suffix()));
    std::fs::create_dir(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let mut text = "# Rows that are compared.\nname = \"bench_rows\"\ntable = \"bench_rows\"\ntenant = { column = \"tenancyId\" }\nkey = [\"id\"]\n".to_owned();
    for (name, base) in std::iter::once(("id", "int64")).chain(COLUMNS) {
        text.push_str(&format!("\n[[columns]]\nname = \"{name}\"\ntype = \"{base}\"\ncolumn = \"{name}\"\n"));
    }
    std::fs::write(directory.join("bench_rows.toml"), text)?;
    Ok(directory)
}

/// An installation in which all rows have arrived, and where nothing runs any more.
pub(super) struct Filled {
    pub(super) installation: Installation,
    pub(super) client: Client,
    pub(super) clickhouse: ClickHouse,
    definitions: PathBuf,
}

impl Filled {
    pub(super) async fn create(spread: Spread) -> anyhow::Result<Self> {
        let database = TestDatabase::standalone().await?;
        let client = database.connect().await?;
        seed(&client, spread).await?;
        let definitions = definitions()?;
        let installation = Installation::around(database)?.with_mappings(definitions.clone());
        installation.succeed("lockstep", &["migrate"]).await?;
        let sequencer = installation.start("lockstep-sequencer", "bench-sequencer")?;
        let worker = installation.start("lockstep-worker", "bench-worker")?;
        installation.succeed("lockstep", &["wait", "--all", "--timeout", "3000"]).await?;
        worker.stop().await?;
        sequencer.stop().await?;
        let clickhouse = installation.clickhouse()?;
        let timeouts = Timeouts { statement: STATEMENT, ..clickhouse.timeouts() };
        let filled = Self { clickhouse: clickhouse.with_timeouts(timeouts), installation, client, definitions };
        let counted: Vec<(u64,)> =
            filled.clickhouse.fetch_rows(&format!("SELECT uniqExact(id) FROM {}", filled.kept())).await?;
        anyhow::ensure!(counted == [(spread.rows(),)], "ClickHouse holds {counted:?} rows of {}", spread.rows());
        Ok(filled)
    }

    /// The table as Lockstep keeps it.
    pub(super) fn kept(&self) -> String {
        format!("{}.bench_rows", self.installation.raw_database())
    }

    /// The same rows in the order of their key.
    pub(super) fn by_key(&self) -> String {
        format!("{}.bench_by_key", self.installation.raw_database())
    }

    pub(super) async fn copy_by_key(&self) -> anyhow::Result<()> {
        let columns = COLUMNS.map(|(name, _)| name).join(", ");
        let (copy, kept) = (self.by_key(), self.kept());
        let sql =
            format!("CREATE TABLE {copy} ENGINE = MergeTree ORDER BY id AS SELECT id, {columns} FROM {kept} FINAL");
        Ok(self.clickhouse.execute(&sql).await?)
    }

    /// Ten differences, the same in both tables: four rows lost, four with another value, two that nobody has.
    pub(super) async fn plant(&self, rows: u64) -> anyhow::Result<()> {
        let nth = |n: u64| (rows / 10 * n + n).to_string();
        let lost = [0, 2, 4, 6].map(nth).join(", ");
        let corrupt = [1, 3, 5, 7].map(nth).join(", ");
        let (kept, copy) = (self.kept(), self.by_key());
        for table in [&kept, &copy] {
            self.clickhouse.execute(&format!("DELETE FROM {table} WHERE id IN ({lost})")).await?;
        }
        // Two of the last, under other keys; what is replaced must not be what is looked for.
        let made_up = |from: &str| {
            let (one, other) = (nth(8), nth(9));
            format!("SELECT * REPLACE (id + {rows} AS id) FROM (SELECT * FROM {from} WHERE id IN ({one}, {other}))")
        };
        for statement in [
            format!(
                "INSERT INTO {kept} SELECT * REPLACE (quantity + 1 AS quantity) FROM {kept} FINAL WHERE id IN ({corrupt})"
            ),
            format!(
                "ALTER TABLE {copy} UPDATE quantity = quantity + 1 WHERE id IN ({corrupt}) SETTINGS mutations_sync = 2"
            ),
            format!("INSERT INTO {kept} {}", made_up(&format!("{kept} FINAL"))),
            format!("INSERT INTO {copy} {}", made_up(&copy)),
        ] {
            self.clickhouse.execute(&statement).await.with_context(|| statement.clone())?;
        }
        Ok(())
    }

    pub(super) async fn remove(self) -> anyhow::Result<()> {
        drop(self.client);
        std::fs::remove_dir_all(&self.definitions)?;
        self.installation.remove().await
    }
}
