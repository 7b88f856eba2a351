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
    engine: Engine,
    home: PathBuf,
    port: u16,
    url: String,
}

impl Server {
    /// Starts one whose users are `default`, with all rights and without a password, and those of these files. None where
    /// this machine has neither a `clickhouse` program nor the library.
    pub(super) async fn start(stage: &Stage, files: &[String]) -> Result<Option<Self>> {
        let Some(engine) = engine(stage) else { return Ok(None) };
        let home = std::env::temp_dir().join(format!("lockstep-clickhouse-{}", Uuid::new_v4().simple()));
        std::fs::create_dir(&home).with_context(|| format!("creating {}", home.display()))?;
        // Free a moment ago; taking it is up to the server.
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        write_configuration(&home)?;
        write_users(&home, files)?;
        let process = run(&engine, &home, port)?;
        let server = Self { process, engine, home, port, url: format!("http://127.0.0.1:{port}") };
        server.answers(stage).await?;
        Ok(Some(server))
    }

    /// Starts it again over the same data, with other files.
    pub(super) async fn restart(&mut self, stage: &Stage, files: &[String]) -> Result<()> {
        self.process.kill().await?;
        write_users(&self.home, files)?;
        self.process = run(&self.engine, &self.home, self.port)?;
        self.answers(stage).await
    }

    async fn answers(&self, stage: &Stage) -> Result<()> {
        let client = self.client(stage)?;
        let answers = async || Ok(client.fetch_text("SELECT 1").await?.trim() == "1");
        let started = eventually("ClickHouse to answer", DEADLINE, answers).await;
        started.with_context(|| std::fs::read_to_string(self.home.join("log")).unwrap_or_default())
    }

    /// What programs have to be told to use it.
    pub(super) fn settings(&self) -> [(&'static str, &str); 3] {
        [
            ("LOCKSTEP_CLICKHOUSE_URL", self.url()),
            ("LOCKSTEP_CLICKHOUSE_USER", "default"),
            ("LOCKSTEP_CLICKHOUSE_PASSWORD", ""),
        ]
    }

    /// Its HTTP interface.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A client that may do everything.
    pub(super) fn client(&self, stage: &Stage) -> Result<ClickHouse> {
        let settings = ClickHouseSettings {
            url: SecretUrl::new(&self.url),
            user: "default".to_owned(),
            password: SecretString::default(),
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
    let entries = places.filter_map(|place| std::fs::read_dir(place).ok()).flatten().flatten();
    let library = entries.flat_map(|entry| ["libchdb.so", "libchdb.dylib"].map(|name| entry.path().join(name)));
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

fn run(engine: &Engine, home: &Path, port: u16) -> Result<Child> {
    let log = std::fs::File::create(home.join("log"))?;
    let process = command(engine, home, port).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
    process.context("starting ClickHouse")
}

fn write_configuration(home: &Path) -> Result<()> {
    // The process itself logs in as `default`.
    let users = "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>
<default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota><access_management>1</access_management></default>
</users></clickhouse>";
    std::fs::write(home.join("users.xml"), users)?;
    let configuration = format!(
        "<clickhouse><users_config>{0}/users.xml</users_config><user_directories><users_xml><path>{0}/users.xml</path></users_xml></user_directories>
<path>{0}/data/</path><timezone>UTC</timezone><max_server_memory_usage>1000000000</max_server_memory_usage></clickhouse>",
        home.display()
    );
    Ok(std::fs::write(home.join("config.xml"), configuration)?)
}

/// As an operator puts them in place: each in a file of its own, read beside users.xml.
fn write_users(home: &Path, files: &[String]) -> Result<()> {
    let directory = home.join("users.d");
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    std::fs::create_dir(&directory)?;
    for (file, number) in files.iter().zip(1..) {
        std::fs::write(directory.join(format!("{number}.xml")), file)?;
    }
    Ok(())
}
