//! A whole Lockstep of its own: a source database, two ClickHouse databases, queues, and the real programs as processes.

mod program;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};
use lockstep_core::settings::{BuiltInMappings, MappingSources, Settings};
use lockstep_destinations::ClickHouse;
use lockstep_oracle::Endpoint;
use lockstep_queue::{Topology, delete_queues_and_messages};
use tokio::process::Command;

pub use program::{Finished, Program};

use crate::databases::{Services, TestDatabase, services};
use crate::in_process;
use crate::tenant_database::{KEY, KeyFile, PASSWORD_MARK};

/// Where the programs are; `cargo xtask` says so in this variable.
const PROGRAMS_VARIABLE: &str = "LOCKSTEP_BIN_DIR";

/// An installation that nothing else uses. [`Installation::remove`] leaves nothing behind.
pub struct Installation {
    database: TestDatabase,
    services: Services,
    suffix: String,
    programs: PathBuf,
    logs: PathBuf,
    mappings: MappingSources,
    cluster: Option<String>,
    keys: Option<KeyFile>,
    /// What its commands have printed, and the logs of its daemons.
    printed: Mutex<String>,
    started: Mutex<Vec<PathBuf>>,
}

impl Installation {
    /// An empty source database and names for everything else; nothing is created in ClickHouse or RabbitMQ yet.
    ///
    /// # Errors
    /// When no services are known, or Postgres refuses.
    pub async fn create() -> anyhow::Result<Self> {
        Self::around(TestDatabase::create().await?)
    }

    /// As [`Installation::create`], with a source database that is there already, on whatever server.
    ///
    /// # Errors
    /// When no services are known.
    pub fn around(database: TestDatabase) -> anyhow::Result<Self> {
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        let logs = crate::databases::checkout().join(".lockstep/logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
        Ok(Self {
            database,
            services: services()?,
            suffix,
            programs: programs()?,
            logs,
            mappings: MappingSources::default(),
            cluster: None,
            keys: None,
            printed: Mutex::default(),
            started: Mutex::default(),
        })
    }

    /// The same with a key file of its own, and leave to reach tenants' databases on this machine, without TLS where they
    /// have none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn with_tenant_databases(mut self) -> anyhow::Result<Self> {
        self.keys = Some(KeyFile::create()?);
        Ok(self)
    }

    /// The same with definitions of its own beside the built-in ones.
    #[must_use]
    pub fn with_mappings(mut self, directory: PathBuf) -> Self {
        self.mappings.directory = Some(directory);
        self
    }

    /// The same without any built-in mapping.
    #[must_use]
    pub fn without_built_in_mappings(mut self) -> Self {
        self.mappings.built_in = BuiltInMappings::Only(BTreeSet::new());
        self
    }

    /// The same with another ClickHouse, whose user `default` has no password.
    #[must_use]
    pub fn with_clickhouse(mut self, url: &str) -> Self {
        self.services.clickhouse_url = url.to_owned();
        self.services.clickhouse_user = "default".to_owned();
        self.services.clickhouse_password = String::new();
        self
    }

    /// The same with tables that are spread over a cluster of that name.
    #[must_use]
    pub fn on_cluster(mut self, name: &str) -> Self {
        self.cluster = Some(name.to_owned());
        self
    }

    /// The source database.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Where its services are, without anything in between.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The ClickHouse database of raw tables and cursors.
    pub fn raw_database(&self) -> String {
        format!("lockstep_raw_{}", self.suffix)
    }

    /// The ClickHouse database of views.
    pub fn view_database(&self) -> String {
        format!("lockstep_views_{}", self.suffix)
    }

    /// What the names of its queues start with.
    pub fn queue_prefix(&self) -> String {
        format!("lockstep-{}", self.suffix)
    }

    /// Its views, for the oracle.
    pub fn endpoint(&self) -> Endpoint {
        self.services.views(self.view_database())
    }

    /// Its settings, for programs that run inside this process.
    pub fn settings(&self) -> Settings {
        let mut settings = in_process::settings(&self.database, &self.services, &self.suffix, self.mappings.clone());
        settings.clickhouse.cluster.clone_from(&self.cluster);
        if let Some(keys) = &self.keys {
            settings.destinations = keys.settings();
        }
        settings
    }

    /// A client for its ClickHouse.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn clickhouse(&self) -> anyhow::Result<ClickHouse> {
        Ok(ClickHouse::connect(&self.settings().clickhouse, None)?)
    }

    /// The environment in which its programs run.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("LOCKSTEP_SOURCE_URL", self.database.url().to_owned()),
            ("LOCKSTEP_AMQP_URL", self.services.amqp_url.clone()),
            ("LOCKSTEP_CLICKHOUSE_URL", self.services.clickhouse_url.clone()),
            ("LOCKSTEP_CLICKHOUSE_USER", self.services.clickhouse_user.clone()),
            ("LOCKSTEP_CLICKHOUSE_PASSWORD", self.services.clickhouse_password.clone()),
            ("LOCKSTEP_CLICKHOUSE_RAW_DATABASE", self.raw_database()),
            ("LOCKSTEP_CLICKHOUSE_VIEW_DATABASE", self.view_database()),
            ("LOCKSTEP_QUEUE_PREFIX", self.queue_prefix()),
        ];
        if let Some(cluster) = &self.cluster {
            variables.push(("LOCKSTEP_CLICKHOUSE_CLUSTER", cluster.clone()));
        }
        if let Some(keys) = &self.keys {
            variables.extend(keys.environment());
        }
        if let Some(directory) = &self.mappings.directory {
            variables.push(("LOCKSTEP_MAPPINGS_DIR", directory.display().to_string()));
        }
        if self.mappings.built_in != BuiltInMappings::All {
            variables.push(("LOCKSTEP_BUILT_IN_MAPPINGS", "none".to_owned()));
        }
        variables
    }

    /// Where one of the programs is, for tests that start it in an environment of their own.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Runs a program to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Finished> {
        self.run_with_input(name, arguments, "").await
    }

    /// As [`Installation::run`], with something to read on standard input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run_with_input(&self, name: &str, arguments: &[&str], input: &str) -> anyhow::Result<Finished> {
        let finished = program::run(&self.programs.join(name), arguments, &self.environment(), input).await?;
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        printed.push_str(&finished.stdout);
        printed.push_str(&finished.stderr);
        Ok(finished)
    }

    /// Everything that its commands have printed and its daemons have logged so far.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn said(&self) -> anyhow::Result<String> {
        let mut said = self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for log in self.started.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            said.push_str(&std::fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?);
        }
        Ok(said)
    }

    /// Runs a program that has to succeed.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub async fn succeed(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Finished> {
        let finished = self.run(name, arguments).await?;
        ensure!(
            finished.code == Some(0),
            "{name} {} ended with {:?}:\n{}",
            arguments.join(" "),
            finished.code,
            finished.stderr
        );
        Ok(finished)
    }

    /// Starts a daemon. It logs to a file of its own, serves health and metrics, and is killed when the [`Program`] is dropped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, name: &str, label: &str) -> anyhow::Result<Program> {
        self.start_with::<&str>(name, label, &[])
    }

    /// As [`Installation::start`], with variables that go before those of [`Installation::environment`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with<V: AsRef<OsStr>>(
        &self,
        name: &str,
        label: &str,
        variables: &[(&str, V)],
    ) -> anyhow::Result<Program> {
        let mut command = Command::new(self.program(name));
        command.envs(self.environment()).env("LOCKSTEP_LISTEN", "127.0.0.1:0");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        self.spawn(command, label)
    }

    /// As [`Installation::start`], with arguments and an environment of the caller's.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, command: Command, label: &str) -> anyhow::Result<Program> {
        let log = self.logs.join(format!("{label}-{}.log", &self.suffix[..8]));
        self.started.lock().unwrap_or_else(PoisonError::into_inner).push(log.clone());
        Program::start(command, &log)
    }

    /// Removes all that it made, on all three services. So ends every test that has one, and it has failed where any program has
    /// said the password of a tenant's database, or the key that these are encrypted with.
    ///
    /// # Errors
    /// When a secret was said, or one of the services refuses.
    pub async fn remove(self) -> anyhow::Result<()> {
        let said = self.said()?;
        ensure!(!said.contains(PASSWORD_MARK), "a program has said the password of a tenant's database");
        ensure!(!said.contains(KEY), "a program has said a key");
        let settings = self.settings();
        let clickhouse = self.clickhouse()?;
        for database in [self.raw_database(), self.view_database()] {
            clickhouse.execute(&format!("DROP DATABASE IF EXISTS {database} SYNC")).await?;
        }
        delete_queues_and_messages(&settings.amqp_url, None, &Topology::new(&settings.queue_prefix)).await?;
        self.database.remove().await
    }
}

/// Beside this program, where nobody says otherwise: cargo puts tests one directory deeper.
pub(crate) fn programs() -> anyhow::Result<PathBuf> {
    if let Some(directory) = std::env::var_os(PROGRAMS_VARIABLE).filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(directory));
    }
    let this = std::env::current_exe().context("finding this program")?;
    let directory = this.parent().context("this program is in no directory")?;
    let directory = if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
    ensure!(directory.join("lockstep").exists(), "the programs are not built: run `cargo xtask test`");
    Ok(directory.to_owned())
}
