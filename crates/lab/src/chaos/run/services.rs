//! Killing services and starting them again: `cargo xtask` owns them, and is asked to. Services that somebody else gave
//! are left alone.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::fault::{SERVICES, Service};

/// Where xtask is, as it says itself.
const XTASK_VARIABLE: &str = "LOCKSTEP_XTASK";
/// Which services it has started, by name, with commas between.
const PRIVATE_VARIABLE: &str = "LOCKSTEP_PRIVATE_SERVICES";

/// What may be restarted, and what is being.
pub(super) struct Services {
    xtask: Option<PathBuf>,
    private: Vec<Service>,
    restarting: JoinSet<anyhow::Result<()>>,
}

impl Services {
    pub(super) fn from_environment() -> Self {
        let private = std::env::var(PRIVATE_VARIABLE).unwrap_or_default();
        let is_private = |service: &Service| private.split(',').any(|name| name == service.name());
        Self {
            xtask: std::env::var_os(XTASK_VARIABLE).map(PathBuf::from),
            private: SERVICES.into_iter().filter(is_private).collect(),
            restarting: JoinSet::new(),
        }
    }

    /// Says which services are not restarted, if any.
    pub(super) fn why_not_all(&self) -> Option<String> {
        let left: Vec<_> =
            SERVICES.iter().filter(|service| !self.is_ours(**service)).map(|service| service.name()).collect();
        let why = "were not started by `cargo xtask up` of this checkout: their restarts are left out";
        (!left.is_empty()).then(|| format!("{} {why}", left.join(", ")))
    }

    pub(super) fn is_ours(&self, service: Service) -> bool {
        self.xtask.is_some() && self.private.contains(&service)
    }

    /// Kills it and starts it again, meanwhile.
    pub(super) fn restart(&mut self, service: Service) {
        let Some(xtask) = self.xtask.clone() else { return };
        self.restarting.spawn(async move {
            let mut command = Command::new(&xtask);
            command.args(["restart", service.name()]).stdin(Stdio::null()).kill_on_drop(true);
            let output = command.output().await.with_context(|| format!("starting {}", xtask.display()))?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{} could not be restarted:\n{said}", service.name());
            Ok(())
        });
    }

    /// Waits until all that were restarted answer.
    pub(super) async fn until_all_answer(&mut self) -> anyhow::Result<()> {
        while let Some(restarted) = self.restarting.join_next().await {
            restarted.context("restarting a service panicked")??;
        }
        Ok(())
    }
}
