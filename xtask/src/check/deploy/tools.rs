//! The programs that look at what is deployed: those of `deploy/requirements.txt` in a virtual environment of this checkout, and
//! promtool and systemd-analyze, which Debian has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::install;
use crate::programs::{is_program, on_path};
use crate::progress::{Progress, Task};
use crate::python;
use crate::workspace::Workspace;

/// Every package with its version and the hashes of its files.
const REQUIREMENTS: &str = "deploy/requirements.txt";

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
        let environment = python::environment(workspace, REQUIREMENTS, &directory, &progress.task("python"))?;
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
    python::run(fetch, &log, python::INSTALL_LIMIT)
        .context("promtool is missing: install it (Debian and Ubuntu: apt-get install prometheus); why")?;
    task.end("fetched");
    Ok(own)
}
