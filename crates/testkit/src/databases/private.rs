//! A PostgreSQL server of a test's own: one that can be stopped, restored from a copy, or followed by a replica.

mod base_backup;
mod tools;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::process::{Child, Command};

use self::base_backup::base_backup;
pub use self::tools::{Tools, client_program};
use super::postgres::connect;
use super::{eventually, free_port, unique_suffix};

/// A server starts within a second or two, on a machine that is busy within some more; recovery comes on top.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// A fast shutdown ends clients and writes a checkpoint.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// Small, and without waiting for the disk: nothing of it has to survive the machine.
const SETTINGS: [&str; 11] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "shared_buffers=32MB",
    "max_connections=100",
    "fsync=off",
    "full_page_writes=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "hot_standby_feedback=on",
    // What is written while a replica is copied is there when it asks for it.
    "wal_keep_size=256MB",
    // In the data directory, not where a killed server would leave it behind.
    "dynamic_shared_memory_type=mmap",
];

/// A server and its directory, which goes with it. Its only user is `postgres`, without a password.
#[derive(Debug)]
pub struct PrivatePostgres {
    tools: Tools,
    /// Beside [`SETTINGS`], and above them.
    settings: Vec<&'static str>,
    /// Holds `data` and the log.
    home: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl PrivatePostgres {
    /// A new, empty server.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// A new, empty server with settings (`name=value`) that go before those of a test's server.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(settings: &[&'static str]) -> anyhow::Result<Self> {
        let mut server = Self::placed().await?;
        server.settings = settings.to_vec();
        let data = server.data();
        let mut initdb = server.tools.command("initdb");
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"]);
        run(initdb.arg(&data)).await?;
        server.launch().await?;
        Ok(server)
    }

    /// A streaming replica of this server, as it is now and from now on.
    ///
    /// # Errors
    /// When it cannot be copied, or does not start.
    pub async fn replica(&self) -> anyhow::Result<Self> {
        let mut server = Self::placed().await?;
        let data = server.data();
        base_backup(self, &data, server.tools.account).await?;
        server.launch().await?;
        Ok(server)
    }

    async fn placed() -> anyhow::Result<Self> {
        let tools = Tools::find()?;
        let home = std::env::temp_dir().join(format!("lockstep-postgres-{}", unique_suffix()));
        fs::DirBuilder::new().mode(0o700).create(&home).with_context(|| format!("creating {}", home.display()))?;
        if let Some((user, group)) = tools.account {
            chown(&home, Some(user), Some(group))?;
        }
        let port = free_port().await?;
        Ok(Self { tools, settings: Vec::new(), home, port, process: None })
    }

    /// Starts it again after [`stop`](Self::stop), at the same address, with whatever its data directory holds now.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn launch(&mut self) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "it runs already");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut postgres = self.tools.command("postgres");
        postgres.arg("-D").arg(self.data()).args(["-c", &format!("port={}", self.port)]);
        for setting in SETTINGS.iter().chain(&self.settings) {
            postgres.args(["-c", setting]);
        }
        // A Ctrl-C at the terminal is for the test, which removes it.
        postgres.stdout(log.try_clone()?).stderr(log).process_group(0).kill_on_drop(true);
        self.process = Some(postgres.spawn().context("starting PostgreSQL")?);
        let url = self.url();
        let answers = async || Ok(connect(&url).await?.query_one("SELECT 1", &[]).await.is_ok());
        let started = eventually("a private PostgreSQL to answer", START_DEADLINE, answers).await;
        started.with_context(|| fs::read_to_string(self.log()).unwrap_or_default())
    }

    /// Stops it in good order; clients are disconnected. Its data stay, to be copied or replaced.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        let id = process.id().context("it has ended by itself")?;
        let told = Command::new("kill").args(["-INT", &id.to_string()]).status().await?;
        ensure!(told.success(), "PostgreSQL could not be told to stop");
        let ended = tokio::time::timeout(STOP_DEADLINE, process.wait()).await;
        ended.with_context(|| format!("PostgreSQL did not stop within {STOP_DEADLINE:?}"))??;
        Ok(())
    }

    /// The data directory. While the server does not run it may be copied (`cp -a` keeps its owner) and replaced.
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The URL of the database that is always there, `postgres`.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of a database of this server.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// One of PostgreSQL's own programs, of this server's version; none where it is not installed.
    pub fn program(&self, name: &str) -> Option<Command> {
        self.tools.directory.join(name).is_file().then(|| self.tools.command(name))
    }

    fn log(&self) -> PathBuf {
        self.home.join("log")
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // Its children end when they notice that it is gone.
            let _ = process.start_kill();
        }
        // A temporary directory: nothing is lost when some of it stays.
        let _ = fs::remove_dir_all(&self.home);
    }
}

async fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.kill_on_drop(true).output().await.context("running a program of PostgreSQL's")?;
    ensure!(output.status.success(), "a program of PostgreSQL's failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_replica_follows_and_a_server_that_was_stopped_comes_back() {
        let mut server = PrivatePostgres::start().await.unwrap();
        let client = connect(&server.url()).await.unwrap();
        client.batch_execute("CREATE TABLE t (n bigint)").await.unwrap();
        let replica = server.replica().await.unwrap();
        client.batch_execute("INSERT INTO t VALUES (7)").await.unwrap();
        let reader = connect(&replica.url()).await.unwrap();
        eventually("the row to be replayed", START_DEADLINE, async || {
            Ok(reader.query_one("SELECT count(*) FROM t", &[]).await?.get::<_, i64>(0) == 1)
        })
        .await
        .unwrap();
        assert!(reader.batch_execute("INSERT INTO t VALUES (8)").await.is_err(), "a replica takes no writes");
        server.stop().await.unwrap();
        server.launch().await.unwrap();
        let client = connect(&server.url()).await.unwrap();
        assert_eq!(client.query_one("SELECT n FROM t", &[]).await.unwrap().get::<_, i64>(0), 7);
    }
}
