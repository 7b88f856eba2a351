//! Calling cargo from a program that cargo has started.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;

/// Cargo in the workspace's root, without the variables that `cargo run` has set for xtask's own package: build scripts
/// that look at them would run anew each time.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&workspace.root);
    for (name, _) in std::env::vars_os() {
        let own =
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if own {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it with these arguments; what it prints goes to standard error, since standard output belongs to results.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(arguments).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("`cargo {}` failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// Whether cargo has this subcommand.
pub(crate) fn has(workspace: &Workspace, subcommand: &str) -> bool {
    let mut command = cargo(workspace);
    command.args([subcommand, "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What `cargo metadata` says of the workspace, dependencies not resolved: takes milliseconds and no network.
pub(crate) fn metadata(workspace: &Workspace) -> Result<Value> {
    let mut command = cargo(workspace);
    command.args(["metadata", "--no-deps", "--format-version", "1"]).stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed ({})", output.status);
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata has printed something else than JSON")
}

/// Where the binaries of a profile end up (`debug` or `release`), wherever the target directory is configured to be.
pub(crate) fn binaries(workspace: &Workspace, profile: &str) -> Result<PathBuf> {
    let metadata = metadata(workspace)?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(target).join(profile))
}

/// Becomes that program: Ctrl-C and every signal reach it, and its exit code is this program's. Returns only if it
/// cannot be started.
pub(crate) fn become_program(mut command: Command) -> Result<std::process::ExitCode> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))
}
