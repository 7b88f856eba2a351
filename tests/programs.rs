//! Programs in an environment of their own: other settings than the installation's, or none.

use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context, Result};
use tokio::process::Command;
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

/// Makes a file that holds a secret, in a directory.
pub(crate) fn secret_file(directory: &Path, name: &str, secret: &str) -> Result<String> {
    let path = directory.join(format!("lockstep-{name}-{}", Uuid::new_v4().simple()));
    std::fs::write(&path, format!("{secret}\n"))?;
    Ok(path.display().to_string())
}
