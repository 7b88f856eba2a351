//! A PostgreSQL of a test's own, whose data can be copied and put back.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::{Tools, connect, eventually};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::stage::DEADLINE;

/// The server, where it runs, and its directory, which goes with it.
pub(super) struct Server {
    process: Option<Child>,
    tools: Tools,
    home: PathBuf,
    port: u16,
}

impl Server {
    /// Starts one that is empty.
    pub(super) async fn start() -> Result<Self> {
        // Not below the checkout, which its account may not be able to enter.
        let home = Path::new("/var/tmp").join(format!("lockstep-postgres-{}", Uuid::new_v4().simple()));
        std::fs::create_dir(&home).with_context(|| format!("creating {}", home.display()))?;
        let tools = Tools::find()?;
        if let Some((user, group)) = tools.account {
            chown(&home, Some(user), Some(group))?;
        }
        // Free a moment ago; taking it is up to the server.
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let mut server = Self { process: None, tools, home, port };
        let mut initdb = server.tools.command("initdb");
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C", "--pgdata"]);
        let made = initdb.arg(server.data()).output().await.context("running initdb")?;
        ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        server.go().await?;
        Ok(server)
    }

    /// Starts the server again.
    pub(super) async fn go(&mut self) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.home.join("log"))?;
        let mut command = self.tools.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "shared_buffers=32MB"] {
            command.args(["-c", setting]);
        }
        command.stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        self.process = Some(command.spawn().context("starting PostgreSQL")?);
        let answers = async || Ok(!self.connect().await?.is_closed());
        let started = eventually("PostgreSQL to answer", DEADLINE, answers).await;
        started.with_context(|| std::fs::read_to_string(self.home.join("log")).unwrap_or_default())
    }

    /// Stops it in good order, whoever is connected.
    pub(super) async fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        let id = process.id().context("it has ended by itself")?.to_string();
        ensure!(Command::new("kill").args(["-INT", &id]).status().await?.success(), "it could not be told to stop");
        let status = tokio::time::timeout(DEADLINE, process.wait()).await.context("it does not stop")??;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// Copies the data of a server that was stopped.
    pub(super) async fn keep(&self) -> Result<()> {
        copy(&self.data(), &self.backup()).await
    }

    /// Puts the copy back.
    pub(super) async fn put_back(&self) -> Result<()> {
        std::fs::remove_dir_all(self.data())?;
        copy(&self.backup(), &self.data()).await
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    pub(super) async fn connect(&self) -> Result<Client> {
        connect(&self.url()).await
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn backup(&self) -> PathBuf {
        self.home.join("backup")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.start_kill();
        }
        // A temporary directory: nothing is lost when some of it stays.
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

async fn copy(from: &Path, to: &Path) -> Result<()> {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().await.context("running cp")?;
    ensure!(done.success(), "{} could not be copied", from.display());
    Ok(())
}
