//! A ClickHouse of a test's own, with users from a file.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use lockstep_core::secret::SecretUrl;
use lockstep_core::settings::ClickHouseSettings;
use lockstep_destinations::ClickHouse;
use lockstep_testkit::databases::eventually;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::stage::{DEADLINE, Stage};

/// `clickhouse local` listens while it has a query to run; this one takes three hundred million seconds.
const LISTEN: &str = "SYSTEM START LISTEN HTTP; SELECT sleepEachRow(3) FROM numbers(100000000) FORMAT Null SETTINGS \
    max_block_size = 1, function_sleep_max_microseconds_per_block = 0";

/// The server's process, and its directory, which goes with it.
pub(super) struct Server {
    process: Child,
    home: PathBuf,
    url: String,
}

impl Server {
    /// Starts one whose users are `default`, with all rights and without a password, and those of the `<users>` section
    /// given. None where this machine has neither a `clickhouse` program nor the library.
    pub(super) async fn start(stage: &Stage, users: &str) -> Result<Option<Self>> {
        let Some(engine) = engine(stage) else { return Ok(None) };
        let home = std::env::temp_dir().join(format!("lockstep-clickhouse-{}", Uuid::new_v4().simple()));
        std::fs::create_dir(&home).with_context(|| format!("creating {}", home.display()))?;
        // Free a moment ago; taking it is up to the server.
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        write_configuration(&home, users)?;
        let log = std::fs::File::create(home.join("log"))?;
        let process = command(&engine, &home, port).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let server =
            Self { process: process.context("starting ClickHouse")?, home, url: format!("http://127.0.0.1:{port}") };
        let client = server.client(stage, "default", "")?;
        let answers = async || Ok(client.fetch_text("SELECT 1").await?.trim() == "1");
        let started = eventually("ClickHouse to answer", DEADLINE, answers).await;
        started.with_context(|| std::fs::read_to_string(server.home.join("log")).unwrap_or_default())?;
        Ok(Some(server))
    }

    /// Its HTTP interface.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A client as one of its users.
    pub(super) fn client(&self, stage: &Stage, user: &str, password: &str) -> Result<ClickHouse> {
        let settings = ClickHouseSettings {
            url: SecretUrl::new(&self.url),
            user: user.to_owned(),
            password: SecretString::from(password),
            raw_database: stage.installation.raw_database(),
            view_database: stage.installation.view_database(),
        };
        Ok(ClickHouse::connect(&settings, None)?)
    }

    /// Ends it.
    pub(super) async fn stop(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.start_kill();
        // A temporary directory: nothing is lost when some of it stays.
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// What can be run as ClickHouse here.
enum Engine {
    Program(PathBuf),
    /// `xtask` loads the library that `cargo xtask up` fetched.
    Library {
        xtask: PathBuf,
        library: PathBuf,
    },
}

fn engine(stage: &Stage) -> Option<Engine> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path =
        std::env::split_paths(&path).map(|directory| directory.join("clickhouse")).find(|file| file.is_file());
    if let Some(program) = on_path {
        return Some(Engine::Program(program));
    }
    let xtask = Some(stage.installation.program("xtask")).filter(|xtask| xtask.is_file())?;
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.lockstep/packages");
    let places = cache.map(|cache| cache.join("lockstep")).into_iter().chain([checkout]);
    let kept = places.filter_map(|place| std::fs::read_dir(place).ok()).flatten().flatten();
    let library = kept.flat_map(|entry| ["libchdb.so", "libchdb.dylib"].map(|name| entry.path().join(name)));
    library.into_iter().find(|file| file.is_file()).map(|library| Engine::Library { xtask, library })
}

fn command(engine: &Engine, home: &Path, port: u16) -> Command {
    let configuration = format!("--config-file={}", home.join("config.xml").display());
    let listen = [
        configuration,
        format!("--path={}", home.join("data").display()),
        "--listen_host=127.0.0.1".to_owned(),
        format!("--http_port={port}"),
        "--query".to_owned(),
        LISTEN.to_owned(),
    ];
    let mut command = match engine {
        Engine::Program(program) => {
            let mut command = Command::new(program);
            command.arg("local");
            command
        }
        Engine::Library { xtask, library } => {
            let mut command = Command::new(xtask);
            command.arg("__clickhouse-host").arg(library).arg("lockstep-test");
            command
        }
    };
    command.args(listen).current_dir(home).env("TZ", "UTC").kill_on_drop(true);
    command
}

fn write_configuration(home: &Path, users: &str) -> Result<()> {
    // Its own element is there already; a view of that name stays.
    let users =
        users.trim().strip_prefix("<users>").and_then(|users| users.strip_suffix("</users>")).context("no users")?;
    let users = format!(
        "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>
<default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
{users}</users></clickhouse>"
    );
    std::fs::write(home.join("users.xml"), users)?;
    let configuration = format!(
        "<clickhouse><users_config>{0}/users.xml</users_config><user_directories><users_xml><path>{0}/users.xml</path></users_xml></user_directories>
<path>{0}/data/</path><timezone>UTC</timezone><max_server_memory_usage>1000000000</max_server_memory_usage></clickhouse>",
        home.display()
    );
    Ok(std::fs::write(home.join("config.xml"), configuration)?)
}
