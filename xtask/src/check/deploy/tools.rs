//! The programs that look at what is deployed: those of `deploy/requirements.txt` in a virtual environment of this checkout, and
//! promtool and systemd-analyze, which Debian has.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::deadline::wait_until;
use crate::install;
use crate::programs::{is_program, on_path};
use crate::progress::{Progress, Task};
use crate::workspace::{Workspace, write_whole};

/// Every package with its version and the hashes of its files.
const REQUIREMENTS: &str = "deploy/requirements.txt";

/// Fails where Python is too old, or cannot make virtual environments (Debian and Ubuntu ship that apart).
const ASK_PYTHON: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";

/// Of 300 MB on a slow line.
const INSTALL_LIMIT: Duration = Duration::from_secs(20 * 60);
const TOOL_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Unpacks promtool alone: the package would also install a server.
const FETCH_PROMTOOL: &str = "apt-get download prometheus || { apt-get update; apt-get download prometheus; }
dpkg -x prometheus_*.deb . && mv usr/bin/promtool promtool && rm -r usr etc lib var prometheus_*.deb";

/// Programs that are ready to be run.
pub(super) struct Tools<'a> {
    workspace: &'a Workspace,
    environment: PathBuf,
    promtool: PathBuf,
    systemd_analyze: PathBuf,
}

impl<'a> Tools<'a> {
    /// Installs what is missing; takes a minute or two in a fresh checkout.
    pub(super) fn ready(workspace: &'a Workspace) -> Result<Self> {
        let directory = workspace.directory.join("deploy-tools");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let progress = Progress::new();
        let environment = environment(workspace, &directory, &progress.task("python"))?;
        let promtool = promtool(workspace, &directory, &progress.task("promtool"))?;
        if on_path("systemd-analyze").is_none() {
            install::for_check(workspace, "systemd", "systemd-analyze")?;
        }
        let systemd_analyze = on_path("systemd-analyze").context("systemd-analyze is missing: install systemd")?;
        Ok(Self { workspace, environment, promtool, systemd_analyze })
    }

    /// A program of the virtual environment.
    pub(super) fn python(&self, name: &str) -> Command {
        self.command(&self.environment.join("bin").join(name))
    }

    pub(super) fn promtool(&self) -> Command {
        self.command(&self.promtool)
    }

    pub(super) fn systemd_analyze(&self) -> Command {
        self.command(&self.systemd_analyze)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.workspace.root).stdin(Stdio::null());
        command
    }
}

/// Runs a tool to its end, and shows what it said where it failed.
pub(super) fn passes(command: Command) -> Result<bool> {
    let complaint = complaint(command)?;
    complaint.iter().for_each(|said| eprint!("{said}"));
    Ok(complaint.is_none())
}

/// What a tool said, where it failed.
pub(super) fn complaint(mut command: Command) -> Result<Option<String>> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    let said = || [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    Ok((!output.status.success()).then(said))
}

/// The virtual environment, made anew where the requirements are others than those that it was made from.
fn environment(workspace: &Workspace, directory: &Path, task: &Task) -> Result<PathBuf> {
    let requirements = workspace.root.join(REQUIREMENTS);
    let wanted = fs::read_to_string(&requirements).with_context(|| format!("cannot read {REQUIREMENTS}"))?;
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
    let log = workspace.directory.join("logs/deploy-tools.log");
    task.say(&format!("installing {REQUIREMENTS} (a minute or two; see {})", workspace.shown(&log)));
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

/// Fetches promtool where it is missing, for tests that have metrics checked. Where that fails it is said, and those tests
/// will say it again.
pub(crate) fn promtool_for_tests(workspace: &Workspace) -> Option<PathBuf> {
    let directory = workspace.directory.join("deploy-tools");
    let task = Progress::new().task("promtool");
    let fetched = fs::create_dir_all(&directory)
        .map_err(anyhow::Error::from)
        .and_then(|()| promtool(workspace, &directory, &task));
    fetched.inspect_err(|error| task.end(&format!("{error:#}: tests of metrics will fail"))).ok()
}

fn promtool(workspace: &Workspace, directory: &Path, task: &Task) -> Result<PathBuf> {
    let own = directory.join("promtool");
    if let Some(promtool) = on_path("promtool").or_else(|| is_program(&own).then(|| own.clone())) {
        task.end("ready");
        return Ok(promtool);
    }
    task.say("fetching Debian's package prometheus");
    let log = workspace.directory.join("logs/promtool.log");
    let mut fetch = Command::new("sh");
    fetch.args(["-euc", FETCH_PROMTOOL]).current_dir(directory);
    run(fetch, &log, INSTALL_LIMIT)
        .context("promtool is missing: install it (Debian and Ubuntu: apt-get install prometheus); why")?;
    task.end("fetched");
    Ok(own)
}

fn run(mut command: Command, log: &Path, limit: Duration) -> Result<()> {
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
