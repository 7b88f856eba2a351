//! PostgreSQL's own programs on this machine, and whom they run as.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

/// Names the directory to use: `cargo xtask test --postgres` sets it to the programs of that version.
const DIRECTORY_VARIABLE: &str = "LOCKSTEP_POSTGRES_BIN_DIR";

/// PostgreSQL's programs, and whom they run as.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Where they are.
    pub directory: PathBuf,
    /// User and group: PostgreSQL refuses to run as root. `None` where this program does not run as root.
    pub account: Option<(u32, u32)>,
}

impl Tools {
    /// Finds the server's programs: those that the tests are run with, else the newest that are installed.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or nobody is there to run it as.
    pub fn find() -> anyhow::Result<Self> {
        let directory = match std::env::var_os(DIRECTORY_VARIABLE) {
            Some(directory) => PathBuf::from(directory),
            None => programs().context("PostgreSQL is not installed: install the package postgresql")?,
        };
        Ok(Self { directory, account: account()? })
    }

    /// One of the server's programs, about to be run as its account.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.directory.join(program));
        // The directory of the test may be closed to that account.
        command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }
}

/// One of PostgreSQL's programs for clients (`pg_dump`, `pg_restore`), of this major version or a later one: an earlier
/// one refuses to speak to the server.
///
/// # Errors
/// When there is none. Packages with a server alone, as those of npm, have no such programs.
pub fn client_program(name: &str, server_major: u32) -> anyhow::Result<Command> {
    let beside = std::env::var_os(DIRECTORY_VARIABLE).map(|directory| (server_major, PathBuf::from(directory)));
    let mut found = beside.into_iter().chain(installed().into_iter().rev());
    let program = found.find_map(|(major, directory)| {
        let program = directory.join(name);
        (major >= server_major && program.is_file()).then_some(program)
    });
    let program = program.or_else(|| Some(on_path(name)?.join(name)).filter(|_| installed().is_empty()));
    program.map(Command::new).with_context(|| {
        format!(
            "{name} of PostgreSQL {server_major} or later is not installed, and this test cannot do without: install \
             postgresql-client-{server_major}"
        )
    })
}

/// The newest version's, where a distribution keeps several side by side; else those on the path.
fn programs() -> Option<PathBuf> {
    let mut directories = installed().into_iter().rev().map(|(_, directory)| directory).chain(on_path("initdb"));
    directories.find(|directory| ["initdb", "postgres"].iter().all(|name| directory.join(name).is_file()))
}

/// What Debian has installed, the oldest first.
fn installed() -> Vec<(u32, PathBuf)> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    let mut versions: Vec<_> = versions.map(|(version, path)| (version, path.join("bin"))).collect();
    versions.sort_unstable();
    versions
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|directory| directory.join(program).is_file())
}

fn account() -> anyhow::Result<Option<(u32, u32)>> {
    let me = std::process::Command::new("id").arg("-u").output().context("running id")?;
    if me.stdout.trim_ascii() != b"0" {
        return Ok(None);
    }
    let passwd = fs::read_to_string(Path::new("/etc/passwd")).context("reading /etc/passwd")?;
    let found = ["postgres", "nobody"].iter().find_map(|name| {
        let line = passwd.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let mut fields = line.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    match found {
        Some(account) => Ok(Some(account)),
        None => bail!("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as"),
    }
}
