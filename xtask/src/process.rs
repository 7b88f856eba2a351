//! Servers that outlive this program: started in a session of their own, found again by pid file and command line.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::account::Account;
use crate::deadline::wait_until;
use crate::programs;

/// A log that is longer when its server starts is set aside as `.old`.
const LOG_LIMIT_BYTES: u64 = 20 * 1024 * 1024;

/// A server that is to be started.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Beside `PATH`, all that it sees: settings meant for other servers must not reach this one.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) account: Option<Account>,
    /// Its working directory.
    pub(crate) directory: PathBuf,
}

/// Where a server leaves its traces.
#[derive(Debug)]
pub(crate) struct Traces {
    pub(crate) pid_file: PathBuf,
    /// A word of the command line that no other process has, so that a reused process id is not taken for the server.
    pub(crate) marker: String,
    pub(crate) log: PathBuf,
}

impl Launch {
    /// Starts the server detached. It writes its process id itself before it becomes the server, so that no moment
    /// is left in which it runs and a later xtask would not know it.
    pub(crate) fn start(self, traces: &Traces) -> Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&traces.log);
        let log = log.with_context(|| format!("cannot write {}", traces.log.display()))?;
        let mut command = match programs::on_path("setsid") {
            Some(setsid) => {
                let mut command = Command::new(setsid);
                command.arg("sh");
                command
            }
            None => {
                let mut command = Command::new("sh");
                command.process_group(0);
                command
            }
        };
        // What a shell of the user's keeps open, a lock perhaps, would stay open as long as the server runs.
        const BECOME: &str = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; echo $$ >\"$0\" && exec \"$@\"";
        command.args(["-c", BECOME]).arg(&traces.pid_file);
        command.arg(&self.program).args(&self.arguments).current_dir(&self.directory);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(self.environment);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if let Some(account) = self.account {
            account.apply(&mut command);
        }
        command.spawn().with_context(|| format!("cannot start {}", self.program.display()))
    }
}

impl Traces {
    /// The process id, if the server runs.
    pub(crate) fn running(&self) -> Option<u32> {
        let pid = fs::read_to_string(&self.pid_file).ok()?.trim().parse().ok()?;
        command_line(pid)?.contains(&self.marker).then_some(pid)
    }

    /// Asks the server to stop, and kills it and its children when the limit has passed. Whether it ran.
    pub(crate) fn stop(&self, signal_name: &str, limit: Duration) -> Result<bool> {
        let Some(pid) = self.running() else { return Ok(false) };
        signal(signal_name, &pid.to_string())?;
        let gone = || Ok(self.running().is_none().then_some(()));
        if wait_until(limit, gone)?.is_none() {
            self.kill(limit)?;
        }
        Ok(true)
    }

    /// Kills the server and the processes of its group, as a crash would. Whether it ran.
    pub(crate) fn kill(&self, limit: Duration) -> Result<bool> {
        let Some(pid) = self.running() else { return Ok(false) };
        signal("KILL", &format!("-{pid}"))?;
        let gone = || Ok(self.running().is_none().then_some(()));
        wait_until(limit, gone)?.with_context(|| format!("process {pid} does not end, even by SIGKILL"))?;
        Ok(true)
    }

    /// Sets a long log aside and says where the next lines will begin.
    pub(crate) fn begin_log(&self) -> u64 {
        let length = self.log.metadata().map_or(0, |data| data.len());
        if length > LOG_LIMIT_BYTES && fs::rename(&self.log, self.log.with_extension("log.old")).is_ok() {
            return 0;
        }
        length
    }

    /// The last lines of what was logged from there on.
    pub(crate) fn log_tail(&self, from: u64) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = fs::File::open(&self.log) {
            // An unreadable log leaves the tail empty; the caller names the file anyway.
            let _ = file.seek(SeekFrom::Start(from)).and_then(|_| file.read_to_end(&mut bytes));
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

/// Whether the command line of any living process begins with that text; always false on systems without /proc.
pub(crate) fn any_with(text: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .any(|pid| command_line(pid).is_some_and(|line| line.starts_with(text)))
}

/// The command line of a living process; a dead one that nobody has waited for has none.
fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let output = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Sends a signal; a process that is gone already is no error. The shell has `kill` built in, a small system may
/// not have the program.
fn signal(name: &str, target: &str) -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s \"$0\" -- \"$1\"", name, target]).stderr(Stdio::null());
    command.status().map(drop).context("cannot run sh")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces(name: &str, marker: &str) -> Traces {
        let directory = std::env::temp_dir().join(format!("lockstep-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Traces { pid_file: directory.join("pid"), marker: marker.to_owned(), log: directory.join("log") }
    }

    #[test]
    fn a_started_server_is_found_again_and_stopped() {
        let traces = traces("process", "lockstep_marker_1");
        let launch = Launch {
            program: programs::on_path("tail").unwrap(),
            arguments: ["-f", "/dev/null", "lockstep_marker_1"].map(Into::into).to_vec(),
            environment: Vec::new(),
            account: None,
            directory: "/".into(),
        };
        let mut child = launch.start(&traces).unwrap();
        let found = wait_until(Duration::from_secs(10), || Ok(traces.running())).unwrap();
        assert_eq!(found, Some(child.id()));
        assert!(traces.stop("TERM", Duration::from_secs(10)).unwrap());
        child.wait().unwrap();
        assert_eq!(traces.running(), None);
        fs::remove_dir_all(traces.pid_file.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_process_id_that_another_process_got_is_not_taken_for_the_server() {
        let traces = traces("reused", "lockstep_marker_that_nobody_has");
        fs::write(&traces.pid_file, std::process::id().to_string()).unwrap();
        assert_eq!(traces.running(), None);
        assert!(!traces.stop("TERM", Duration::from_secs(1)).unwrap());
        fs::remove_dir_all(traces.pid_file.parent().unwrap()).unwrap();
    }
}
