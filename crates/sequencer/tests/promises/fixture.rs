//! A source database with capture, rows for it, and sequencers to stamp them.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use lockstep_core::secret::SecretUrl;
use lockstep_core::settings::Settings;
use lockstep_core::shutdown::Shutdown;
use lockstep_mappings::MappingSet;
use lockstep_queue::{Consumer, Topology, delete_queues_and_messages};
use lockstep_schema::{Source, attach};
use lockstep_sequencer::{Arguments, NEEDS, Report, SequencerError, Stamper};
use lockstep_testkit::databases::{TestDatabase, eventually, services, unique_suffix};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// Long enough for a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    /// For the test's own statements.
    pub(crate) client: Client,
    prefix: String,
}

/// A sequencer that runs as it does in production.
pub(crate) struct Running {
    shutdown: Shutdown,
    task: JoinHandle<Result<(), SequencerError>>,
}

impl Running {
    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Ends it without any farewell, as a crash would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

impl Fixture {
    /// The standalone schema with capture, without rows.
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::standalone().await.unwrap();
        let client = database.connect().await.unwrap();
        let fixture = Self { database, client, prefix: format!("seq-test-{}", unique_suffix()) };
        let source = fixture.source();
        tokio::task::spawn_blocking(move || attach(&source)).await.unwrap();
        fixture
    }

    pub(crate) fn source(&self) -> Source {
        Source::new(&SecretUrl::new(self.database.url()), None).unwrap()
    }

    /// A stamper that the test drives pass by pass.
    pub(crate) fn stamper(&self) -> Stamper {
        Stamper::new(self.source(), Arc::new(MappingSet::load(None).unwrap()))
    }

    pub(crate) fn settings(&self, amqp_url: &str) -> Settings {
        let url = self.database.url();
        let prefix = self.prefix.as_str();
        let (clickhouse, raw) = (services().unwrap().clickhouse_url, self.raw_database());
        let broker = ["--amqp-url", amqp_url, "--queue-prefix", prefix];
        let destination = ["--clickhouse-url", &clickhouse, "--clickhouse-raw-database", &raw];
        let line = [&["sequencer", "--source-url", url, "--listen", ""][..], &broker, &destination].concat();
        Arguments::try_parse_from(line).unwrap().settings.resolve(NEEDS).unwrap()
    }

    pub(crate) fn run(&self) -> Running {
        self.run_with_broker(&services().unwrap().amqp_url)
    }

    pub(crate) fn run_with_broker(&self, amqp_url: &str) -> Running {
        let shutdown = Shutdown::new();
        let task = tokio::spawn(lockstep_sequencer::run(self.settings(amqp_url), shutdown.clone()));
        Running { shutdown, task }
    }

    /// The program itself, as a process with this installation's settings and no others.
    pub(crate) fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep-sequencer"));
        command.env_clear();
        command.env("LOCKSTEP_SOURCE_URL", self.database.url());
        command.env("LOCKSTEP_AMQP_URL", services().unwrap().amqp_url);
        command.env("LOCKSTEP_QUEUE_PREFIX", &self.prefix);
        let services = services().unwrap();
        command.env("LOCKSTEP_CLICKHOUSE_URL", services.clickhouse_url);
        command.env("LOCKSTEP_CLICKHOUSE_USER", services.clickhouse_user);
        command.env("LOCKSTEP_CLICKHOUSE_PASSWORD", services.clickhouse_password);
        command.env("LOCKSTEP_CLICKHOUSE_RAW_DATABASE", self.raw_database());
        command
    }

    /// A ClickHouse database that no test has made, unless it says so: then nothing was shipped yet.
    pub(crate) fn raw_database(&self) -> String {
        self.prefix.replace('-', "_")
    }

    fn topology(&self) -> Topology {
        Topology::new(&self.prefix)
    }

    /// Receives what sequencers announce.
    pub(crate) async fn consumer(&self) -> Consumer {
        let url = SecretUrl::new(services().unwrap().amqp_url);
        Consumer::connect(&url, None, &self.topology(), 100).await.unwrap()
    }

    /// Removes the database, and the queues where a sequencer ran.
    pub(crate) async fn remove(self) {
        let url = SecretUrl::new(services().unwrap().amqp_url);
        delete_queues_and_messages(&url, None, &self.topology()).await.unwrap();
        drop(self.client);
        self.database.remove().await.unwrap();
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.number_of(sql, &[]).await
    }

    /// The one `bigint` that a query returns, -1 where it is null.
    pub(crate) async fn number_of(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> i64 {
        self.client.query_one(sql, parameters).await.unwrap().get::<_, Option<i64>>(0).unwrap_or(-1)
    }

    /// A tenancy with its own project. Ids of lower numbers sort first.
    pub(crate) async fn tenancy(&self, number: u128) -> Uuid {
        let id = Uuid::from_u128(number);
        self.execute(&format!(
            r#"INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES ('p{number}', 'P', false, now());
            INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES ('{id}', 'p{number}', 'main', 'TRUE', now())"#
        ))
        .await;
        id
    }

    /// Users `from..from + count` of a tenancy.
    pub(crate) async fn users(&self, tenancy: Uuid, from: i64, count: i64) {
        insert_users(&self.client, tenancy, from, count).await;
    }

    pub(crate) async fn user_sequence(&self, tenancy: Uuid, number: i64) -> i64 {
        let sql = r#"SELECT "sequenceId" FROM "ProjectUser" WHERE "tenancyId" = $1 AND "projectUserId" = $2"#;
        self.number_of(sql, &[&tenancy, &user_id(number)]).await
    }

    /// Flagged users of a tenancy.
    pub(crate) async fn flagged_users(&self, tenancy: Uuid) -> i64 {
        let sql = r#"SELECT count(*) FROM "ProjectUser" WHERE "tenancyId" = $1 AND "shouldUpdateSequenceId""#;
        self.number_of(sql, &[&tenancy]).await
    }

    /// The mappings that the outbox names for a tenancy; none if the tenancy is not in it.
    pub(crate) async fn outbox(&self, tenancy: Uuid) -> Option<Vec<String>> {
        let sql = "SELECT mappings FROM lockstep.outbox WHERE tenancy_id = $1";
        self.client.query_opt(sql, &[&tenancy]).await.unwrap().map(|row| row.get(0))
    }

    /// Waits until a query returns true; null is not yet.
    pub(crate) async fn until(&self, what: &str, sql: &str) {
        let condition = async || Ok(self.client.query_one(sql, &[]).await?.get::<_, Option<bool>>(0) == Some(true));
        eventually(what, SOON, condition).await.unwrap();
    }
}

/// Installs capture, on a runtime of the kind that migrations need, whatever the test's own is.
fn attach(source: &Source) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mappings = MappingSet::load(None).unwrap();
        let live = attach::inspect(source, &mappings).await.unwrap();
        attach::apply(source, &attach::plan(&mappings, &live).unwrap(), |_| {}).await.unwrap();
    });
}

pub(crate) fn user_id(number: i64) -> Uuid {
    Uuid::from_u128(u128::from(number.unsigned_abs()) << 64 | 1)
}

pub(crate) async fn insert_users(client: &Client, tenancy: Uuid, from: i64, count: i64) {
    const INSERT: &str = r#"
INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "updatedAt")
SELECT $1::uuid, (lpad(to_hex(n), 16, '0') || '0000000000000001')::uuid, $1::uuid::text, 'main', now()
FROM generate_series($2::bigint, $2 + $3::bigint - 1) n"#;
    client.execute(INSERT, &[&tenancy, &from, &count]).await.unwrap();
}

/// Polls until a poll finds nothing to do. Returns what all of them did together.
pub(crate) async fn drain(stamper: &mut Stamper) -> Report {
    let mut total = Report::default();
    for _ in 0..1_000 {
        let report = stamper.poll().await.unwrap();
        if report == Report::default() {
            return total;
        }
        total.stamped_rows += report.stamped_rows;
        total.announced_tenancies += report.announced_tenancies;
        total.finished_touches += report.finished_touches;
        total.answered_fences += report.answered_fences;
    }
    panic!("there was still something to do after 1,000 passes");
}
