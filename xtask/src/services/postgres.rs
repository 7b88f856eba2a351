//! A private PostgreSQL: durable enough for `kill -9`, not for a power cut; that makes tests fast.

mod answer;
mod binaries;
mod home;
mod packaged;
mod release;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::binaries::{binaries, candidates};
use self::home::{Home, own};
pub(crate) use self::release::Release;
pub(super) use self::release::earlier;
use super::Service;
use crate::account::Account;
use crate::deadline::wait_until;
use crate::process::{Launch, Traces, any_with};
use crate::progress::Task;
use crate::workspace::{Workspace, write_whole};

const CONFIGURATION: &str = "\
# Written by `cargo xtask up` before every start; changes here are lost.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 500
shared_buffers = 256MB
max_wal_size = 4GB
wal_level = replica
synchronous_commit = on
# The machine may lose these data in a power cut; tests need not wait for the disk.
fsync = off
full_page_writes = off
autovacuum = on
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %d '
";

/// Statements that run when their server is killed go on until they end or write to their client.
const ORPHANS_LIMIT: Duration = Duration::from_secs(30);

pub(super) struct Postgres<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) release: Release,
}

impl Postgres<'_> {
    fn home(&self) -> Home<'_> {
        Home(self.workspace, self.release)
    }

    fn instance(&self) -> String {
        self.release.instance(self.workspace)
    }

    /// The directory with the programs of a version from npm; `None` for the machine's own.
    pub(super) fn packaged_programs(&self) -> Option<PathBuf> {
        Some(packaged::programs(&self.home().path(), &self.release.packaged()?))
    }

    /// The directory with the programs of this version; where it is the machine's own, of the version that made the data,
    /// if there are data.
    fn programs(&self, version: Option<&str>) -> Result<PathBuf> {
        self.packaged_programs().map_or_else(|| binaries(version), Ok)
    }

    /// Clears away what a killed server has left: PostgreSQL itself refuses to start while the process id in its lock
    /// file exists, be it of a dead process that nobody has waited for. Called when our server does not run.
    fn forget_killed(&self, data: &Path) -> Result<()> {
        let lock = data.join("postmaster.pid");
        if !lock.exists() {
            return Ok(());
        }
        // Its children end by themselves when they notice; before that, a second server would ruin the data.
        let title = format!("postgres: {}:", self.instance());
        wait_until(ORPHANS_LIMIT, || Ok((!any_with(&title)).then_some(())))?
            .with_context(|| format!("children of a killed server still run; end the processes named `{title}`"))?;
        fs::remove_file(&lock).with_context(|| format!("cannot remove {}", lock.display()))
    }

    fn initialise(&self, account: Option<Account>, data: &Path, task: &Task) -> Result<()> {
        task.say("initialising the data directory");
        let partial = data.with_extension(format!("partial-{}", std::process::id()));
        let traces = self.traces();
        let start = traces.begin_log();
        // Not every system has the locale C.UTF-8.
        for locale in ["C.UTF-8", "C"] {
            let log = fs::OpenOptions::new().create(true).append(true).open(&traces.log)?;
            let mut initdb = Command::new(self.programs(None)?.join("initdb"));
            initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--locale", locale]);
            initdb.arg("--pgdata").arg(&partial).current_dir("/").stdin(Stdio::null());
            initdb.stdout(log.try_clone()?).stderr(log);
            if let Some(account) = account {
                account.apply(&mut initdb);
            }
            if initdb.status().context("cannot run initdb")?.success() {
                return fs::rename(&partial, data).with_context(|| format!("cannot create {}", data.display()));
            }
        }
        bail!("initdb failed; the end of {}:\n{}", self.workspace.shown(&traces.log), traces.log_tail(start))
    }
}

impl Service for Postgres<'_> {
    fn name(&self) -> &'static str {
        self.release.packaged().map_or("PostgreSQL", |packaged| packaged.name)
    }

    fn variable(&self) -> &'static str {
        "LOCKSTEP_SOURCE_URL"
    }

    fn missing_package(&self) -> Option<&'static str> {
        (self.release == Release::Installed && candidates().is_empty()).then_some("postgresql")
    }

    fn port_names(&self) -> &'static [&'static str] {
        self.release.port_names()
    }

    fn url(&self, port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    }

    fn traces(&self) -> Traces {
        Traces {
            pid_file: self.home().path().join("pid"),
            marker: self.instance(),
            log: self.workspace.log(&self.name().replace(' ', "-")),
        }
    }

    fn prepare(&self, task: &Task) -> Result<()> {
        let account = Account::for_postgres()?;
        self.home().place(account)?;
        let home = self.home().path();
        for entry in fs::read_dir(&home)?.flatten() {
            if entry.path().extension().is_some_and(|extension| extension.to_string_lossy().starts_with("partial-")) {
                // Left by a killed run, whose initdb may still be writing there and then fails: no harm.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        if let Some(packaged) = self.release.packaged() {
            packaged::install(self.workspace, &home, &packaged, task)?;
        }
        let data = home.join("data");
        if !data.is_dir() {
            self.initialise(account, &data, task)?;
        }
        self.forget_killed(&data)?;
        let configuration = home.join("postgresql.conf");
        write_whole(&configuration, CONFIGURATION)?;
        own(&configuration, account)
    }

    fn launch(&self, ports: &[u16]) -> Result<Launch> {
        let home = self.home().path();
        let data = home.join("data");
        let version = fs::read_to_string(data.join("PG_VERSION")).context("the data directory is incomplete")?;
        let mut configuration = OsString::from("config_file=");
        configuration.push(home.join("postgresql.conf"));
        let set = |setting: String| ["-c".into(), setting.into()];
        let mut arguments = vec!["-D".into(), data.into(), "-c".into(), configuration];
        arguments.extend(set(format!("port={}", ports[0])));
        arguments.extend(set(format!("cluster_name={}", self.instance())));
        Ok(Launch {
            program: self.programs(Some(version.trim()))?.join("postgres"),
            arguments,
            environment: vec![("LC_ALL", "C".into())],
            account: Account::for_postgres()?,
            directory: home,
        })
    }

    fn version(&self, port: u16) -> Option<String> {
        answer::version(port)
    }

    /// "Fast shutdown": clients are disconnected.
    fn stop_signal(&self) -> &'static str {
        "INT"
    }

    fn purge(&self) -> Result<()> {
        self.home().purge()
    }
}
