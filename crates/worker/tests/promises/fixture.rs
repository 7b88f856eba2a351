//! A source database with capture, ClickHouse databases and a queue, all of the test's own.

use std::sync::Arc;
use std::time::Duration;

use lockstep_core::freshness::ChangeTimes;
use lockstep_core::health::Health;
use lockstep_core::settings::{MappingSources, Settings};
use lockstep_core::shutdown::Shutdown;
use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::{ClickHouse, Destination, Selection};
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::Databases;
use lockstep_mappings::postgres::Target;
use lockstep_oracle::{Endpoint, compare};
use lockstep_queue::{Publisher, QueueDepths, TenantBatch, TenantHint, Topology, delete_queues_and_messages, depths};
use lockstep_schema::Source;
use lockstep_testkit::databases::{TestDatabase, eventually, services, unique_suffix};
use lockstep_testkit::in_process;
use lockstep_testkit::passes::{Passes, RunningSequencer};
use lockstep_worker::{Flushed, Flusher, Hints, Limits, Mappings, WorkerError, run_to};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use uuid::Uuid;

/// For anything that should happen within moments, on a machine that is busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What a test gets.
pub(crate) struct WorkerFixture {
    pub(crate) database: TestDatabase,
    /// A connection of the application's.
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) clickhouse: ClickHouse,
    pub(crate) set: MappingSet,
    pub(crate) databases: Databases,
    passes: Mutex<Passes>,
}

/// A worker in this process.
pub(crate) struct Running {
    shutdown: Shutdown,
    worker: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.worker.await.unwrap().unwrap();
    }

    /// Ends it where it stands.
    pub(crate) async fn kill(self) {
        self.worker.abort();
        assert!(self.worker.await.unwrap_err().is_cancelled());
    }
}

impl WorkerFixture {
    /// With the standalone schema, attached, without rows.
    pub(crate) async fn new() -> Self {
        let fixture = Self::attached_to(TestDatabase::standalone().await.unwrap()).await;
        fixture.filled().await;
        fixture
    }

    /// Around a database that has source tables.
    pub(crate) async fn attached_to(database: TestDatabase) -> Self {
        let settings =
            in_process::settings(&database, &services().unwrap(), &unique_suffix(), MappingSources::default());
        let set = MappingSet::built_in();
        let clickhouse = in_process::install(&settings, &set).await.unwrap();
        let databases = clickhouse.databases().clone();
        let client = database.connect().await.unwrap();
        let passes = Mutex::new(Passes::new(Source::new(&settings.source_url, None).unwrap(), &set));
        Self { database, client, settings, clickhouse, set, databases, passes }
    }

    /// There is nothing that a fill would have to do.
    pub(crate) async fn filled(&self) {
        self.run_sql("DELETE FROM lockstep.fill_range; UPDATE lockstep.fill SET finished_at = clock_timestamp()").await;
    }

    pub(crate) async fn run_sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    pub(crate) fn mappings(&self) -> Arc<Mappings> {
        Arc::new(Mappings::new(&self.set))
    }

    pub(crate) fn flusher(&self, limits: Limits) -> Flusher<ClickHouse> {
        self.flusher_to(self.clickhouse.clone(), limits)
    }

    pub(crate) fn flusher_to<D: Destination>(&self, destination: D, limits: Limits) -> Flusher<D> {
        let source = Source::new(&self.settings.source_url, None).unwrap();
        Flusher::new(source, destination, self.mappings(), limits, Health::default())
    }

    /// Everything may have changes, for these tenancies.
    pub(crate) fn hints(&self, tenancies: &[TenancyId]) -> Hints {
        self.numbered(tenancies, SequenceId::BASE)
    }

    /// The same, with changes up to this number.
    pub(crate) fn numbered(&self, tenancies: &[TenancyId], up_to: SequenceId) -> Hints {
        let mut hints = Hints::default();
        let mappings = self.mappings();
        tenancies.iter().for_each(|tenancy| hints.add(*tenancy, mappings.all(), up_to));
        hints
    }

    /// Gives everything its number that was written, and what depends on it.
    pub(crate) async fn pass(&self) {
        self.passes.lock().await.until_done().await.unwrap();
    }

    /// Gives what was written its number, and nothing that would have to be searched.
    pub(crate) async fn pass_once(&self) {
        self.passes.lock().await.number().await.unwrap();
    }

    /// Numbers what was written, and flushes once; all of it must get through.
    pub(crate) async fn pass_and_flush(&self, tenancies: &[TenancyId]) -> Flushed {
        self.pass().await;
        let flushed = self.flusher(Limits::default()).flush(&self.hints(tenancies)).await;
        assert!(flushed.failed.is_empty() && flushed.retry.is_empty(), "{flushed:?}");
        flushed
    }

    pub(crate) async fn tenancies(&self) -> Vec<TenancyId> {
        let rows = self.client.query(r#"SELECT "id" FROM "Tenancy" ORDER BY "id""#, &[]).await.unwrap();
        rows.iter().map(|row| TenancyId::new(row.get::<_, Uuid>(0))).collect()
    }

    /// What a query on ClickHouse answers, `{raw}` and `{views}` being the databases.
    pub(crate) async fn ask(&self, sql: &str) -> String {
        self.clickhouse.fetch_text(&self.with_databases(sql)).await.unwrap().trim_end_matches('\n').to_owned()
    }

    /// A statement that changes something in ClickHouse.
    pub(crate) async fn change(&self, sql: &str) {
        self.clickhouse.execute(&self.with_databases(sql)).await.unwrap();
    }

    fn with_databases(&self, sql: &str) -> String {
        sql.replace("{raw}", &self.databases.raw).replace("{views}", &self.databases.views)
    }

    pub(crate) async fn cursor(&self, tenancy: TenancyId, mapping: &str) -> SequenceId {
        let name = mapping.parse().unwrap();
        let cursors = self.clickhouse.cursors(Selection::These(&[tenancy]), Selection::All).await.unwrap();
        cursors.get(&(tenancy, name)).copied().unwrap_or_default()
    }

    /// The twelve views show exactly what the source holds.
    pub(crate) async fn assert_equal(&self) {
        let report = compare(&self.client, &self.endpoint()).await.unwrap();
        assert!(report.equal(), "{report}");
    }

    pub(crate) async fn eventually_equal(&self) {
        let equal = eventually("the twelve views to hold what the source holds", DEADLINE, async || {
            let report = compare(&self.client, &self.endpoint()).await?;
            if report.equal() { Ok(true) } else { anyhow::bail!("\n{report}") }
        });
        equal.await.unwrap();
    }

    fn endpoint(&self) -> Endpoint {
        services().unwrap().views(&self.databases.views)
    }

    pub(crate) fn start(&self) -> Running {
        self.start_to(self.clickhouse.clone(), Limits::default())
    }

    pub(crate) fn start_to<D: Destination>(&self, destination: D, limits: Limits) -> Running {
        let (settings, shutdown) = (self.settings.clone(), Shutdown::new());
        let stop = shutdown.clone();
        Running { shutdown, worker: tokio::spawn(async move { run_to(&settings, limits, destination, stop).await }) }
    }

    fn topology(&self) -> Topology {
        Topology::new(&self.settings.queue_prefix)
    }

    /// A sequencer that makes passes, searches and announces, as in production.
    pub(crate) fn start_sequencer(&self) -> RunningSequencer {
        RunningSequencer::start(&self.settings)
    }

    /// Announces tenancies, each with these mappings (none: all), as numbered up to now.
    pub(crate) async fn announce(&self, tenancies: &[TenancyId], mappings: &[&str]) {
        self.announce_up_to(tenancies, mappings, self.head().await).await;
    }

    /// Announces tenancies as a sequencer does that tells no number.
    pub(crate) async fn announce_old(&self, tenancies: &[TenancyId]) {
        self.announce_up_to(tenancies, &[], SequenceId::BASE).await;
    }

    async fn announce_up_to(&self, tenancies: &[TenancyId], mappings: &[&str], sequence: SequenceId) {
        let publisher = Publisher::connect(&self.settings.amqp_url, None, &self.topology()).await.unwrap();
        let mappings: Vec<_> = mappings.iter().map(|name| name.parse().unwrap()).collect();
        let hint = |tenancy: &TenancyId| TenantHint {
            tenancy: *tenancy,
            mappings: mappings.clone(),
            sequence,
            previous: Vec::new(),
            times: ChangeTimes::default(),
        };
        let batch: TenantBatch = tenancies.iter().map(hint).collect();
        publisher.publish(&[batch]).await.unwrap();
        publisher.close().await;
    }

    /// The last number that was given out.
    pub(crate) async fn head(&self) -> SequenceId {
        SequenceId::new(self.number("SELECT max(last_sequence) FROM lockstep.pass").await)
    }

    /// What stands for a mapping in `lockstep.change`.
    pub(crate) fn target(&self, mapping: &str) -> i32 {
        Target::row(self.set.iter().find(|one| one.name.as_str() == mapping).unwrap()).id()
    }

    /// The last change of a row with this key.
    pub(crate) async fn last_change(&self, key: Uuid) -> i64 {
        self.number(&format!("SELECT max(sequence) FROM lockstep.change WHERE uuid_1 = '{key}'")).await
    }

    /// Keeps workers from sweeping, where it is told apart who has announced what.
    pub(crate) async fn without_sweeps(&self) {
        self.client.execute("SELECT pg_advisory_lock($1)", &[&lockstep_worker::SWEEP_LOCK]).await.unwrap();
    }

    pub(crate) async fn depths(&self) -> QueueDepths {
        depths(&self.settings.amqp_url, None, &self.topology()).await.unwrap()
    }

    /// Waits until a query on ClickHouse answers this.
    pub(crate) async fn eventually(&self, what: &str, sql: &str, expected: &str) {
        eventually(what, DEADLINE, async || Ok(self.ask(sql).await == expected)).await.unwrap();
    }

    /// Removes everything.
    pub(crate) async fn remove(self) {
        for database in [&self.databases.views, &self.databases.raw] {
            self.clickhouse.execute(&format!("DROP DATABASE IF EXISTS {database} SYNC")).await.unwrap();
        }
        // Where no worker was started there are none.
        let _ = delete_queues_and_messages(&self.settings.amqp_url, None, &self.topology()).await;
        drop(self.client);
        self.database.remove().await.unwrap();
    }
}
