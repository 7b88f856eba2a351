//! Installing what is missing, with Debian's package manager.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::account::is_root;
use crate::deadline::wait_until;
use crate::programs::{is_program, on_path};
use crate::progress::Progress;
use crate::workspace::Workspace;

/// Runs as root; takes the packages as arguments.
const SCRIPT: &str = include_str!("install.sh");
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// A pooler, which some tests put before PostgreSQL; package and program have one name. Debian has it in `/usr/sbin`, which
/// is not on everybody's `PATH`.
const POOLER: &str = "pgbouncer";

/// Installs the packages of these services (name and package); nothing to do when the list is empty.
pub(crate) fn packages(workspace: &Workspace, missing: &[(&str, &str)], progress: &Progress) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    let services: Vec<_> = missing.iter().map(|(service, _)| *service).collect();
    let (packages, services) = (packages.join(" "), services.join(" and "));
    let log = workspace.directory.join("logs/install.log");
    let task = progress.task("apt-get");
    task.say(&format!("installing {packages} (a minute or two; see {})", workspace.shown(&log)));
    install(&packages, &log).inspect_err(|_| task.end("failed")).with_context(|| {
        format!(
            "{services} could not be installed: install by hand (Debian and Ubuntu: sudo apt-get install {packages}), \
             or set LOCKSTEP_SOURCE_URL and LOCKSTEP_AMQP_URL to servers of your own; why"
        )
    })?;
    task.end(&format!("installed {packages}"));
    Ok(())
}

/// Installs what tests start by themselves, beside the services. Where that fails it is said, and those tests will say it
/// again: the others do not need it.
pub(crate) fn for_tests(workspace: &Workspace) {
    if on_path(POOLER).is_some() || is_program(&Path::new("/usr/sbin").join(POOLER)) {
        return;
    }
    let log = workspace.directory.join("logs/install.log");
    let progress = Progress::new();
    let task = progress.task("apt-get");
    task.say(&format!("installing {POOLER}, for tests of sessions"));
    match install(POOLER, &log) {
        Ok(()) => task.end(&format!("installed {POOLER}")),
        Err(error) => task.end(&format!("{POOLER} could not be installed, tests of sessions will fail: {error:#}")),
    }
}

/// Installs what a check cannot do without.
pub(crate) fn for_check(workspace: &Workspace, package: &str, what: &str) -> Result<()> {
    let log = workspace.directory.join("logs/install.log");
    let task = Progress::new().task("apt-get");
    task.say(&format!("installing {package}"));
    install(package, &log).inspect_err(|_| task.end("failed")).with_context(|| {
        format!("{what} is missing and could not be installed (Debian and Ubuntu: sudo apt-get install {package}); why")
    })?;
    task.end(&format!("installed {package}"));
    Ok(())
}

fn install(packages: &str, log: &Path) -> Result<()> {
    if on_path("apt-get").is_none() {
        bail!("there is no apt-get on this machine");
    }
    let mut command = if is_root()? {
        Command::new("sh")
    } else {
        if !sudo_works() {
            bail!("this user is not root, and sudo is missing or asks for a password");
        }
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "sh"]);
        sudo
    };
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.args(["-c", SCRIPT, "install.sh"]).args(packages.split(' '));
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let mut child = command.spawn().context("cannot run sh")?;
    match wait_until(LIMIT, || Ok(child.try_wait()?))? {
        Some(status) if status.success() => Ok(()),
        Some(status) => {
            let said = std::fs::read_to_string(log)?;
            let lines: Vec<_> = said.lines().collect();
            bail!("apt-get failed ({status})\n{}", lines[lines.len().saturating_sub(12)..].join("\n"))
        }
        None => bail!("apt-get has not finished within {} s; it goes on in the background", LIMIT.as_secs()),
    }
}

fn sudo_works() -> bool {
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success())
}
