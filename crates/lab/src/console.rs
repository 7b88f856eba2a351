//! The console of an installation, read-only: the demo shows it, and a benchmark measures it.

use std::time::Duration;

use anyhow::Context;
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::{Installation, Program};
use tokio::process::Command;

/// How long it may take to listen.
const DEADLINE: Duration = Duration::from_secs(30);
/// What its log says before its address.
const AT: &str = "http://";

/// The console of an installation, on a free port.
pub(crate) struct Console(Program);

impl Console {
    /// Starts it, with variables that go before those of the installation.
    pub(crate) fn start(installation: &Installation, label: &str, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut command = Command::new(installation.program("lockstep"));
        command.args(["console", "--console-listen", "127.0.0.1:0"]).envs(installation.environment());
        command.envs(variables.iter().copied());
        Ok(Self(installation.spawn(command, label)?))
    }

    /// Where it is, once it listens.
    pub(crate) async fn address(&self) -> anyhow::Result<String> {
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
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.0.stop().await
    }
}
