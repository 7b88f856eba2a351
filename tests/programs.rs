//! Programs in an environment of their own: other settings than the installation's, or none.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, Result, bail, ensure};
use lockstep_testkit::databases::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::stage::{DEADLINE, Stage};

/// A program that will find these settings in its environment and no others.
pub(crate) fn with_settings(stage: &Stage, program: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(stage.installation.program(program));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LOCKSTEP_") {
            command.env_remove(name);
        }
    }
    command.envs(settings.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A program with the installation's settings, some of them replaced.
pub(crate) fn with_changed(stage: &Stage, program: &str, changed: &[(&str, &str)]) -> Command {
    let own = stage.installation.environment();
    let own: Vec<_> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
    with_settings(stage, program, &[&own, changed].concat())
}

/// Runs it to its end, which has to come soon.
pub(crate) async fn ended(command: &mut Command) -> Result<Output> {
    tokio::time::timeout(DEADLINE, command.output()).await.context("the program did not end")?.context("starting it")
}

/// A daemon whose log is read.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let log = std::env::temp_dir().join(format!("lockstep-log-{}", Uuid::new_v4().simple()));
        let file = std::fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let child = command.stdout(Stdio::null()).stderr(file).spawn().context("starting a daemon")?;
        Ok(Self { child, log })
    }

    /// What it has logged so far.
    pub(crate) fn logged(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    /// The address at which it serves health and metrics, from its log.
    pub(crate) async fn address(&self) -> Result<String> {
        let mut address = String::new();
        eventually("the daemon to say where it listens", DEADLINE, async || {
            let logged = self.logged()?;
            let Some((_, bound)) = logged.split_once("bound=") else { bail!("it logged {logged}") };
            bound.split_whitespace().next().unwrap_or_default().clone_into(&mut address);
            Ok(true)
        })
        .await?;
        Ok(address)
    }

    /// Ends it in good order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let id = self.child.id().context("the daemon has ended by itself")?;
        ensure!(Command::new("kill").arg(id.to_string()).status().await?.success(), "it could not be told to stop");
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await.context("it did not stop")??;
        ensure!(status.success(), "it ended with {status}:\n{}", self.logged()?);
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its place is the directory for such things: nothing is lost when it stays.
        let _ = std::fs::remove_file(&self.log);
    }
}

/// Status and body of what a daemon answers.
pub(crate) async fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await.context("no answer")??;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}

/// Makes a file that holds a secret, beside the log.
pub(crate) fn secret_file(directory: &Path, name: &str, secret: &str) -> Result<String> {
    let path = directory.join(format!("lockstep-{name}-{}", Uuid::new_v4().simple()));
    std::fs::write(&path, format!("{secret}\n"))?;
    Ok(path.display().to_string())
}
