//! A source database with capture, rows for it, and sequencers to number them.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use lockstep_core::secret::SecretUrl;
use lockstep_core::settings::Settings;
use lockstep_core::shutdown::Shutdown;
use lockstep_mappings::postgres::inbox;
use lockstep_mappings::{MappingSet, SourceTable};
use lockstep_queue::{Consumer, Topology, delete_queues_and_messages};
use lockstep_schema::{Source, attach};
use lockstep_sequencer::{Arguments, NEEDS, Numbering, Report, SequencerError};
use lockstep_testkit::databases::{TestDatabase, eventually, services, unique_suffix};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// Long enough for a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Whether everything that has its number is announced.
pub(crate) const ANNOUNCED: &str = "SELECT (SELECT max(sequence) FROM lockstep.announced) = (SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1)";
/// Whether nothing is left to be searched.
pub(crate) const EXPANDED: &str = "SELECT NOT EXISTS (SELECT FROM lockstep.expansion)";
/// Whether somebody waits to write down a pass, whose changes have their numbers by then.
pub(crate) const IN_A_PASS: &str =
    "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 'lockstep.pass'::regclass";
/// Keeps passes from being written down, in a transaction.
pub(crate) const HOLD_PASSES: &str = "BEGIN; LOCK TABLE lockstep.pass IN SHARE MODE";

pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    /// For the test's own statements.
    pub(crate) client: Client,
    mappings: Arc<MappingSet>,
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
        Self::with(MappingSet::built_in(), "").await
    }

    /// The standalone schema and what `statements` add to it, with the capture of these mappings.
    pub(crate) async fn with(mappings: MappingSet, statements: &str) -> Self {
        let database = TestDatabase::standalone().await.unwrap();
        let client = database.connect().await.unwrap();
        client.batch_execute(statements).await.unwrap();
        let mappings = Arc::new(mappings);
        let fixture = Self { database, client, mappings, prefix: format!("seq-test-{}", unique_suffix()) };
        fixture.migrate().await;
        fixture
    }

    /// Installs what is missing of capture, on a runtime of the kind that migrations need, whatever the test's own is.
    pub(crate) async fn migrate(&self) {
        self.migrate_relaxing(&[]).await;
    }

    /// The same, with triggers that name no column on some tables.
    pub(crate) async fn migrate_relaxing(&self, tables: &[&str]) {
        let (source, mappings) = (self.source(), Arc::clone(&self.mappings));
        let table = |name: &&str| SourceTable { schema: "public".to_owned(), name: (*name).to_owned() };
        let relaxed = tables.iter().map(table).collect();
        tokio::task::spawn_blocking(move || attach(&source, &mappings, &relaxed)).await.unwrap();
    }

    pub(crate) fn source(&self) -> Source {
        Source::new(&SecretUrl::new(self.database.url()), None).unwrap()
    }

    /// Numbers the changes, a pass whenever the test polls it.
    pub(crate) fn numbering(&self) -> Numbering {
        Numbering::new(self.source(), Arc::clone(&self.mappings))
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

    /// The last number that a user's changes have, -1 where it has none.
    pub(crate) async fn user_sequence(&self, tenancy: Uuid, number: i64) -> i64 {
        let sql = "SELECT max(c.sequence) FROM lockstep.change c JOIN lockstep.target t ON t.id = c.mapping AND t.name = 'users' WHERE c.tenancy_id = $1 AND c.uuid_1 = $2";
        self.number_of(sql, &[&tenancy, &user_id(number)]).await
    }

    /// Rows that have a number above `after`, each as often as it has one: mapping and key.
    pub(crate) async fn changes_after(&self, after: i64) -> Vec<(String, String)> {
        let sql = "SELECT t.name, concat_ws(' ', c.uuid_1, c.uuid_2, c.uuid_3, c.uuid_4, c.text_1, c.text_2, c.text_3, c.text_4)
            FROM lockstep.change c JOIN lockstep.target t ON t.id = c.mapping WHERE c.sequence > $1 ORDER BY 1, 2";
        self.client.query(sql, &[&after]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The last number that a pass has given.
    pub(crate) async fn head(&self) -> i64 {
        self.number("SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1").await
    }

    /// Works off what has to be searched, as the running sequencer does.
    pub(crate) async fn expand(&self) {
        let sequencer = self.run();
        self.until("expansions to be worked off", EXPANDED).await;
        sequencer.stop().await;
    }

    /// Lines that have no number yet. Both ways to count them say the same.
    pub(crate) async fn unseen(&self) -> i64 {
        const LIMIT: i64 = 10_000;
        let (all, counted) = (inbox::unseen(), inbox::count_unseen(LIMIT));
        let row = self.client.query_one(&format!("SELECT (SELECT count(*) FROM ({all}) l), ({counted})"), &[]).await;
        let row = row.unwrap();
        let (all, counted): (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(counted, all.min(LIMIT));
        all
    }

    /// Waits until a query returns true; null is not yet.
    pub(crate) async fn until(&self, what: &str, sql: &str) {
        let condition = async || Ok(self.client.query_one(sql, &[]).await?.get::<_, Option<bool>>(0) == Some(true));
        eventually(what, SOON, condition).await.unwrap();
    }
}

fn attach(source: &Source, mappings: &MappingSet, relaxed: &BTreeSet<SourceTable>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let wishes = attach::Wishes::relaxed(relaxed.clone());
    runtime.block_on(async {
        let live = attach::inspect(source, mappings).await.unwrap();
        let steps = attach::plan(mappings, &live, &wishes).unwrap();
        attach::apply(source, &steps, |_| {}).await.unwrap();
        let live = attach::inspect(source, mappings).await.unwrap();
        assert_eq!(attach::plan(mappings, &live, &wishes).unwrap(), [], "what was installed is not what is wanted");
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
pub(crate) async fn drain(numbering: &mut Numbering) -> Report {
    let mut total = Report::default();
    for _ in 0..1_000 {
        let report = numbering.poll().await.unwrap();
        if !report.passed {
            return total;
        }
        total.changes += report.changes;
        total.last_sequence = total.last_sequence.max(report.last_sequence);
        total.expansions += report.expansions;
        total.answered_fences += report.answered_fences;
        total.watch |= report.watch;
    }
    panic!("there was still something to do after 1,000 passes");
}
