//! Virtual environments of Python below `.lockstep`, made from files of requirements that name every package with its hashes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::deadline::wait_until;
use crate::install;
use crate::progress::Task;
use crate::workspace::{Workspace, write_whole};

/// Fails where Python is too old, or cannot make virtual environments (Debian and Ubuntu ship that apart).
const ASK_PYTHON: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";

/// Of 300 MB on a slow line.
pub(crate) const INSTALL_LIMIT: Duration = Duration::from_secs(20 * 60);
const TOOL_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The virtual environment in a directory, made anew where the requirements are others than those that it was made from.
pub(crate) fn environment(workspace: &Workspace, file: &str, directory: &Path, task: &Task) -> Result<PathBuf> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let requirements = workspace.root.join(file);
    let wanted = fs::read_to_string(&requirements).with_context(|| format!("cannot read {file}"))?;
    let (environment, made_from) = (directory.join("python"), directory.join("python.txt"));
    if fs::read_to_string(&made_from).is_ok_and(|made_from| made_from == wanted) {
        task.end("ready");
        return Ok(environment);
    }
    if !python_can() {
        install::for_check(workspace, "python3-venv", "Python 3.11 or later with venv")?;
    }
    if !python_can() {
        bail!(
            "python3 is missing, older than 3.11, or has no module venv (Debian and Ubuntu: apt-get install python3-venv)"
        );
    }
    let log = workspace.directory.join("logs/python.log");
    task.say(&format!("installing {file} (see {})", workspace.shown(&log)));
    let mut python = Command::new("python3");
    python.args(["-m", "venv", "--clear"]).arg(&environment);
    run(python, &log, TOOL_LIMIT)?;
    let mut pip = Command::new(environment.join("bin/pip"));
    // The file names every package: with dependencies resolved here, some would be installed without a hash.
    pip.args([
        "install",
        "--no-deps",
        "--require-hashes",
        "--no-input",
        "--disable-pip-version-check",
        "--requirement",
    ]);
    pip.arg(&requirements);
    run(pip, &log, INSTALL_LIMIT)?;
    write_whole(&made_from, &wanted)?;
    task.end("installed");
    Ok(environment)
}

fn python_can() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", ASK_PYTHON]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// Runs a program to its end within a limit, with all that it says in a log.
pub(crate) fn run(mut command: Command, log: &Path, limit: Duration) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
    match wait_until(limit, || Ok(child.try_wait()?))? {
        Some(status) if status.success() => Ok(()),
        Some(status) => {
            let said = fs::read_to_string(log)?;
            let lines: Vec<_> = said.lines().collect();
            bail!("{name} failed ({status}):\n{}", lines[lines.len().saturating_sub(12)..].join("\n"))
        }
        None => {
            child.kill().and_then(|()| child.wait())?;
            bail!("{name} was stopped: it took longer than {} s", limit.as_secs())
        }
    }
}
