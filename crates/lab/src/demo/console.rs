//! The console beside the demo's table, read-only.

use std::time::Duration;

use anyhow::Context;
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::{Installation, Program};
use tokio::process::Command;

/// How long it may take to listen.
const DEADLINE: Duration = Duration::from_secs(30);
/// What its log says before its address.
const AT: &str = "http://";

/// The console of the demo's installation, on a free port.
pub(super) struct Console(Program);

impl Console {
    /// Starts it.
    pub(super) fn start(installation: &Installation) -> anyhow::Result<Self> {
        let mut command = Command::new(installation.program("lockstep"));
        command.args(["console", "--console-listen", "127.0.0.1:0"]).envs(installation.environment());
        Ok(Self(installation.spawn(command, "demo-console")?))
    }

    /// Where it is, once it listens.
    pub(super) async fn address(&self) -> anyhow::Result<String> {
        let log = self.0.log();
        let said = || {
            let text = std::fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
            let line = text.lines().find_map(|line| line.split_once(AT).map(|(_, rest)| rest.to_owned()));
            anyhow::Ok(line.map(|rest| format!("{AT}{}", rest.split_whitespace().next().unwrap_or_default())))
        };
        eventually("the console to listen", DEADLINE, async || Ok(said()?.is_some())).await?;
        said()?.context("the console said no address")
    }

    /// Stops it.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.0.stop().await
    }
}
