//! Programs as processes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A daemon finishes what it has in hand within this time, or is broken.
const STOP_TIMEOUT: Duration = Duration::from_secs(45);
/// No program of ours that ends by itself takes longer in a test.
const RUN_TIMEOUT: Duration = Duration::from_secs(600);
/// For an answer over HTTP, on a machine that is busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Runs a program to its end.
pub(super) async fn run(
    path: &Path,
    arguments: &[&str],
    environment: &[(&'static str, String)],
    input: &str,
) -> anyhow::Result<Finished> {
    let mut command = Command::new(path);
    command
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("starting {}", path.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading it says why itself.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = tokio::time::timeout(RUN_TIMEOUT, child.wait_with_output())
        .await
        .with_context(|| format!("{} did not end within {RUN_TIMEOUT:?}", path.display()))?
        .with_context(|| format!("waiting for {}", path.display()))?;
    Ok(Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A daemon that runs.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    pub(super) fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            // A Ctrl-C at the terminal is for the demo, which stops its programs in order.
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("starting {:?}", command.as_std().get_program()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it has logged so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn logged(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log).with_context(|| format!("reading {}", self.log.display()))
    }

    /// Status and body of what it answers at `/livez`, `/readyz` or `/metrics`.
    ///
    /// # Errors
    /// When it does not serve them, or not yet.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let logged = self.logged()?;
        let address = logged.split_once("bound=").and_then(|(_, bound)| bound.split_whitespace().next());
        let address = address.context("the program does not say where it listens")?;
        let mut stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        tokio::time::timeout(ANSWER_TIMEOUT, stream.read_to_string(&mut answer)).await.context("no answer")??;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((status, body.to_owned()))
    }

    /// The value of one of its metrics, by its name with labels; `None` as long as nothing was counted.
    ///
    /// # Errors
    /// As with [`Program::get`].
    pub async fn metric(&self, name: &str) -> anyhow::Result<Option<f64>> {
        let (_, metrics) = self.get("/metrics").await?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map(str::parse).transpose()?)
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Sends a signal, by its name without `SIG`.
    ///
    /// # Errors
    /// When the process is gone.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.child.id().context("the program has ended already")?;
        let status = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().await?;
        if !status.success() {
            bail!("SIG{name} could not be sent");
        }
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it ends with a failure, or not in time.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.signal("TERM").await?;
        let status = tokio::time::timeout(STOP_TIMEOUT, self.child.wait())
            .await
            .with_context(|| format!("a program did not stop within {STOP_TIMEOUT:?}; see {}", self.log.display()))??;
        if !status.success() {
            bail!("a program ended with {status}; see {}", self.log.display());
        }
        Ok(())
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}
