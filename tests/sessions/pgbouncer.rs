//! A real pooler before the test's server.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};
use lockstep_testkit::databases::{TestDatabase, connect, eventually, unique_suffix};
use tokio::process::{Child, Command};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::stage::DEADLINE;

/// PgBouncer in the foreground; it ends with this.
pub(crate) struct PgBouncer {
    url: String,
    home: PathBuf,
    _process: Child,
}

impl PgBouncer {
    /// Before the server of this database, with so many connections to it at most, which are lent in turn.
    pub(crate) async fn start(database: &TestDatabase, pool_mode: &str, connections: usize) -> Result<Self> {
        let home = std::env::temp_dir().join(format!("lockstep-pgbouncer-{}", unique_suffix()));
        std::fs::create_dir(&home)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let configuration = home.join("pgbouncer.ini");
        std::fs::write(&configuration, settings(database, pool_mode, connections, port)?)?;
        let log = std::fs::File::create(home.join("log"))?;
        let process = Command::new(program())
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting pgbouncer: `cargo xtask test` installs it, or apt-get install pgbouncer")?;
        let url = format!("postgres://postgres@127.0.0.1:{port}/{}", database.name());
        let pooler = Self { url, home, _process: process };
        eventually("pgbouncer to answer", DEADLINE, async || Ok(!connect(&pooler.url).await?.is_closed()))
            .await
            .with_context(|| std::fs::read_to_string(pooler.home.join("log")).unwrap_or_default())?;
        Ok(pooler)
    }

    /// The URL of the database through it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // What cannot be removed is a few lines in a directory for such things.
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// Debian puts it where not everybody's `PATH` looks.
fn program() -> &'static str {
    let debian = "/usr/sbin/pgbouncer";
    if std::path::Path::new(debian).exists() { debian } else { "pgbouncer" }
}

fn settings(database: &TestDatabase, pool_mode: &str, connections: usize, port: u16) -> Result<String> {
    let server: Config = database.url().parse()?;
    let host = match server.get_hosts() {
        [Host::Tcp(host), ..] => host.clone(),
        [Host::Unix(directory), ..] => directory.display().to_string(),
        [] => "127.0.0.1".to_owned(),
    };
    let server_port = server.get_ports().first().copied().unwrap_or(5432);
    let user = server.get_user().unwrap_or("postgres");
    let password = server.get_password().map(|password| format!(" password={}", String::from_utf8_lossy(password)));
    // It does not run as root, but can become somebody else.
    let account = if std::fs::metadata("/proc/self").is_ok_and(|own| is_root(&own)) { "user = nobody\n" } else { "" };
    Ok(format!(
        "[databases]\n\
         * = host={host} port={server_port} user={user}{}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n{account}\
         pool_mode = {pool_mode}\ndefault_pool_size = {connections}\nserver_round_robin = 1\n",
        password.unwrap_or_default()
    ))
}

fn is_root(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(metadata) == 0
}
