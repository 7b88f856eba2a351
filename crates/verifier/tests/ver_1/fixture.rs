//! Both sides for one test, and the hands that fill them: numbering and shipping, each as one plain step.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::TryStreamExt;
use lockstep_core::settings::{MappingSources, Settings};
use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::{ClickHouse, Destination, Moment, WriteWindow};
use lockstep_mappings::clickhouse::{Databases, raw_table};
use lockstep_mappings::codec::{CodecError, CopyReader, Row, append_row_binary};
use lockstep_mappings::postgres::fetch::{PageLimits, ReadFrom, former_locations, page};
use lockstep_mappings::postgres::fill::{BlockRange, range};
use lockstep_mappings::postgres::{expand, inbox};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_testkit::databases::{TestDatabase, services, unique_suffix};
use lockstep_testkit::in_process;
use lockstep_verifier::{Finding, MappingReport, Report, Verdict, VerifyError, VerifyOptions, verify};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// The snapshot of the last pass, and one of now: each its `xmax` and what had not ended.
const SNAPSHOTS: &str = "
SELECT pg_snapshot_xmax(p.consumed)::text::bigint, ARRAY(SELECT pg_snapshot_xip(p.consumed)::text::bigint),
  pg_snapshot_xmax(n)::text::bigint, ARRAY(SELECT pg_snapshot_xip(n)::text::bigint), n::text
FROM lockstep.pass p, pg_current_snapshot() n ORDER BY p.id DESC LIMIT 1";
const PASS: &str = "
INSERT INTO lockstep.pass (last_sequence, consumed)
SELECT GREATEST(last_sequence, $1), $2::text::pg_snapshot FROM lockstep.pass ORDER BY id DESC LIMIT 1";
const LAST: &str = "SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1";

/// More than any test has, in one page.
const LIMITS: PageLimits = PageLimits { tenancy_rows: 1_000_000, total_rows: 10_000_000 };

/// A source database with capture, and ClickHouse tables; nothing runs between them. Both are dropped with it.
pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    pub(crate) client: Client,
    pub(crate) clickhouse: ClickHouse,
    pub(crate) settings: Settings,
    pub(crate) set: MappingSet,
    pub(crate) databases: Databases,
}

impl Fixture {
    /// Standalone, with capture, empty. `prepare` runs before capture is attached: its rows are those that a fill has to
    /// find, and its tables can be mapped by a definition.
    pub(crate) async fn create(prepare: &str, definition: Option<(&str, &str)>) -> anyhow::Result<Self> {
        let database = TestDatabase::standalone().await?;
        let client = database.connect().await?;
        client.batch_execute(prepare).await.context("preparing the source")?;
        let suffix = unique_suffix();
        let directory = definition.map(|(name, text)| {
            let directory = std::env::temp_dir().join(format!("lockstep-{suffix}"));
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join(name), text).unwrap();
            directory
        });
        let settings = in_process::settings(
            &database,
            &services()?,
            &suffix,
            MappingSources { directory, ..MappingSources::default() },
        );
        let set = MappingSet::load(&settings.mappings)?;
        let clickhouse = in_process::install(&settings, &set).await?;
        let databases = clickhouse.databases().clone();
        Ok(Self { database, client, clickhouse, settings, set, databases })
    }

    pub(crate) fn mapping(&self, name: &str) -> &Mapping {
        self.set.iter().find(|mapping| mapping.name.as_str() == name).unwrap()
    }

    pub(crate) async fn run(&self, sql: &str) -> anyhow::Result<()> {
        self.client.batch_execute(sql).await.with_context(|| sql.to_owned())
    }

    /// In the raw database; `{t}` is the table.
    pub(crate) async fn in_clickhouse(&self, table: &str, sql: &str) -> anyhow::Result<()> {
        let sql = sql.replace("{t}", &format!("{}.{table}", self.databases.raw));
        self.clickhouse.execute(&sql).await.with_context(|| sql)
    }

    /// What the sequencer does, until nothing waits: passes, and the expansions that follow from them.
    pub(crate) async fn number(&self) -> anyhow::Result<()> {
        self.pass().await?;
        while self.expand().await? {
            self.pass().await?;
        }
        Ok(())
    }

    /// One pass: every line gets its number, or becomes an expansion.
    pub(crate) async fn pass(&self) -> anyhow::Result<()> {
        self.run("BEGIN").await?;
        let row = self.client.query_one(SNAPSHOTS, &[]).await?;
        let (xmax, running): (i64, Vec<i64>) = (row.get(0), row.get(1));
        let (new_xmax, new_running, consumed): (i64, Vec<i64>, String) = (row.get(2), row.get(3), row.get(4));
        let snapshots: [&(dyn ToSql + Sync); 4] = [&xmax, &running, &new_xmax, &new_running];
        let large: Vec<i64> = Vec::new();
        let parameters = [&snapshots[..], &[&large]].concat();
        let last: Option<i64> = self.client.query_one(&inbox::number_new(&self.set), &parameters).await?.get(0);
        for note in inbox::note_tenancies() {
            self.client.execute(&note, &snapshots).await?;
        }
        self.client.execute(PASS, &[&last, &consumed]).await?;
        self.run("COMMIT").await
    }

    /// Works off all expansions; returns whether there were any.
    async fn expand(&self) -> anyhow::Result<bool> {
        self.run("BEGIN").await?;
        let rows = self.client.query("SELECT id FROM lockstep.expansion", &[]).await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let xid: i64 = self.client.query_one("SELECT txid_current()", &[]).await?.get(0);
        for expand in expand::statements(&self.set, inbox::inbox_of(xid)) {
            self.client.execute(&expand.sql, &[&ids]).await?;
        }
        self.client.execute("DELETE FROM lockstep.expansion WHERE id = ANY($1)", &[&ids]).await?;
        self.run("COMMIT").await?;
        Ok(!ids.is_empty())
    }

    /// What the worker does with announced tenants: every change, then the cursors.
    pub(crate) async fn ship(&self) -> anyhow::Result<()> {
        let tenancies = self.tenancies().await?;
        let after = SequenceId::BASE;
        let work: Vec<_> = tenancies.iter().map(|&tenancy| ReadFrom { tenancy, after }).collect();
        for mapping in self.set.iter() {
            self.copy(mapping, &page(mapping, &work, LIMITS)).await?;
        }
        self.advance(i64::MAX).await
    }

    /// What the worker does for tenancies that moved: tombstones where their rows were.
    pub(crate) async fn ship_former_locations(&self) -> anyhow::Result<()> {
        let (after, up_to) = (SequenceId::BASE, SequenceId::new(i64::MAX));
        let work: Vec<_> =
            self.tenancies().await?.into_iter().map(|tenancy| (ReadFrom { tenancy, after }, up_to)).collect();
        for mapping in self.set.iter() {
            self.copy(mapping, &former_locations(mapping, &work)).await?;
        }
        Ok(())
    }

    /// What the worker does with the base, all of it.
    pub(crate) async fn ship_base(&self) -> anyhow::Result<()> {
        for mapping in self.set.iter() {
            let name = mapping.name.as_str();
            let floor = "SELECT floor FROM lockstep.fill WHERE mapping_name = $1";
            let floor = SequenceId::new(self.client.query_one(floor, &[&name]).await?.get(0));
            self.copy(mapping, &range(mapping, BlockRange { first: 0, end: u32::MAX }, floor)).await?;
        }
        self.end_fills().await
    }

    pub(crate) async fn end_fills(&self) -> anyhow::Result<()> {
        self.run("UPDATE lockstep.fill SET finished_at = now()").await
    }

    /// As if whatever waits had never been noticed: a trigger was off, or capture came later. Where tenancies are is known.
    pub(crate) async fn forget_lines(&self) -> anyhow::Result<()> {
        self.run(
            r#"TRUNCATE lockstep.inbox_0, lockstep.inbox_1;
            INSERT INTO lockstep.tenancy_location (tenancy_id, project_id, branch_id)
            SELECT "id", "projectId", "branchId" FROM "Tenancy" ON CONFLICT DO NOTHING"#,
        )
        .await
    }

    /// Cursors of all tenancies and mappings: at most to the last number.
    pub(crate) async fn advance(&self, to: i64) -> anyhow::Result<()> {
        self.advance_of(&self.tenancies().await?, to).await
    }

    pub(crate) async fn advance_of(&self, tenancies: &[TenancyId], to: i64) -> anyhow::Result<()> {
        let last: i64 = self.client.query_one(LAST, &[]).await?.get(0);
        let mut cursors = Vec::new();
        for &tenancy in tenancies {
            for mapping in self.set.iter() {
                cursors.push((tenancy, mapping.name.clone(), SequenceId::new(to.min(last))));
            }
        }
        if !cursors.is_empty() {
            let window = WriteWindow::new(Moment::now(), Duration::from_secs(3600));
            self.clickhouse.advance(&cursors, window).await?;
        }
        Ok(())
    }

    async fn tenancies(&self) -> anyhow::Result<Vec<TenancyId>> {
        let rows = self.client.query(r#"SELECT "id" FROM "Tenancy" ORDER BY 1"#, &[]).await?;
        Ok(rows.iter().map(|row| TenancyId::new(row.get(0))).collect())
    }

    async fn copy(&self, mapping: &Mapping, sql: &str) -> anyhow::Result<()> {
        let mut stream = Box::pin(self.client.copy_out(sql).await?);
        let mut reader = CopyReader::default();
        let mut rows = Vec::new();
        while let Some(message) = stream.try_next().await? {
            reader.rows(&message, |fields| {
                append_row_binary(mapping, &Row::read(fields, mapping)?, &mut rows)?;
                Ok::<_, CodecError>(())
            })?;
        }
        if !rows.is_empty() {
            let mut sink = self.clickhouse.insert(&raw_table(mapping, &self.databases).insert());
            sink.send(Bytes::from(rows)).await?;
            sink.end().await?;
        }
        Ok(())
    }

    pub(crate) async fn verify(&self) -> Result<Report, VerifyError> {
        self.verify_with(VerifyOptions { settle: Duration::ZERO, ..VerifyOptions::default() }).await
    }

    pub(crate) async fn verify_with(&self, options: VerifyOptions) -> Result<Report, VerifyError> {
        verify(&self.settings, &options).await
    }

    /// Verifies, and expects this of one mapping and equality of all others.
    pub(crate) async fn expect(&self, verdict: Verdict, mapping: &str) -> MappingReport {
        let report = self.verify().await.unwrap();
        assert_eq!(report.verdict, verdict, "{}", report.to_text());
        let (this, others): (Vec<_>, Vec<_>) = report.mappings.iter().partition(|other| other.name == mapping);
        assert!(others.iter().all(|other| other.equal), "{}", report.to_text());
        this[0].clone()
    }

    /// Verifies, and expects one finding, of one mapping.
    pub(crate) async fn expect_one(&self, verdict: Verdict, mapping: &str) -> Finding {
        let found = self.expect(verdict, mapping).await;
        assert_eq!(found.findings.len(), 1, "{found:?}");
        assert_eq!(found.differences() + found.in_flight, 1, "{found:?}");
        found.findings[0].clone()
    }

    /// Verifies, and expects that all is equal.
    pub(crate) async fn expect_equal(&self) -> Report {
        let report = self.verify().await.unwrap();
        assert_eq!(report.verdict, Verdict::Equal, "{}", report.to_text());
        assert!(report.mappings.iter().all(|mapping| mapping.equal && mapping.findings.is_empty()));
        report
    }
}

impl Drop for Fixture {
    /// The thread is there because a destructor cannot await. The source database drops itself.
    fn drop(&mut self) {
        let (settings, databases) = (self.settings.clone(), self.databases.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let clickhouse = ClickHouse::connect(&settings.clickhouse, None)?;
                for name in [databases.raw, databases.views] {
                    clickhouse.execute(&format!("DROP DATABASE IF EXISTS {name} SYNC")).await?;
                }
                if let Some(directory) = settings.mappings.directory {
                    std::fs::remove_dir_all(directory)?;
                }
                Ok::<_, anyhow::Error>(())
            })
        });
        if !matches!(dropping.join(), Ok(Ok(()))) {
            tracing::warn!(database = self.databases.raw, "a test database was left behind");
        }
    }
}

/// The environment of a program that works on this installation.
pub(crate) fn environment(settings: &Settings) -> Vec<(&'static str, String)> {
    use secrecy::ExposeSecret;
    vec![
        ("LOCKSTEP_SOURCE_URL", settings.source_url.expose().to_owned()),
        ("LOCKSTEP_CLICKHOUSE_URL", settings.clickhouse.url.expose().to_owned()),
        ("LOCKSTEP_CLICKHOUSE_USER", settings.clickhouse.user.clone()),
        ("LOCKSTEP_CLICKHOUSE_PASSWORD", settings.clickhouse.password.expose_secret().to_owned()),
        ("LOCKSTEP_CLICKHOUSE_RAW_DATABASE", settings.clickhouse.raw_database.clone()),
        ("LOCKSTEP_CLICKHOUSE_VIEW_DATABASE", settings.clickhouse.view_database.clone()),
    ]
}

/// The n-th id of a test.
pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 + n)
}

/// A project with one tenancy (`id(n)`, project `p<n>`, branch `main`).
pub(crate) fn tenancy(n: u128) -> String {
    format!(
        r#"INSERT INTO "Project" ("id", "displayName", "description", "isProductionMode", "updatedAt")
             VALUES ('p{n}', 'Project', '', TRUE, now());
           INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
             VALUES ('{}', 'p{n}', 'main', 'TRUE', now());"#,
        id(n)
    )
}

/// Teams of a tenancy: `id(n)` for each n, named `Team <n>`.
pub(crate) fn teams(tenancy: u128, numbers: impl IntoIterator<Item = u128>) -> String {
    let rows: Vec<_> = numbers
        .into_iter()
        .map(|n| format!("('{}', '{}', 'p{tenancy}', 'main', 'Team {n}', now())", id(tenancy), id(n)))
        .collect();
    format!(
        r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt") VALUES {};"#,
        rows.join(", ")
    )
}
