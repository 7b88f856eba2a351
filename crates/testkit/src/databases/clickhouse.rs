//! A ClickHouse server of a test's own: one with other users, one that is killed, several of a cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use lockstep_core::secret::SecretUrl;
use lockstep_core::settings::ClickHouseSettings;
use lockstep_destinations::ClickHouse;
use secrecy::SecretString;
use tokio::process::{Child, Command};

use super::{checkout, eventually, free_port, unique_suffix};
use crate::installation::programs;

/// `clickhouse local` listens while it has a query to run; this one takes three hundred million seconds.
const LISTEN: &str = "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; SELECT sleepEachRow(3) FROM \
    numbers(100000000) FORMAT Null SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0";
/// A server starts within a second or two, on a machine that is busy within some more.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// What [`PrivateClickHouse::cluster`] calls its cluster.
pub const CLUSTER: &str = "lockstep_shards";

/// A server and its directory, which goes with it. The user `default` may do everything, without a password.
#[derive(Debug)]
pub struct PrivateClickHouse {
    process: Option<Child>,
    engine: Engine,
    home: PathBuf,
    port: u16,
    native_port: u16,
    url: String,
}

/// What can be run as ClickHouse here.
#[derive(Clone, Debug)]
enum Engine {
    Program(PathBuf),
    /// `xtask` loads the library that `cargo xtask up` fetched.
    Library {
        xtask: PathBuf,
        library: PathBuf,
    },
}

impl PrivateClickHouse {
    /// Starts one with the users of these files besides. None where this machine has neither a `clickhouse` program nor the
    /// library.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(files: &[String]) -> anyhow::Result<Option<Self>> {
        let Some(mut server) = Self::placed().await? else { return Ok(None) };
        server.write_configuration("")?;
        server.write_users(files)?;
        server.launch().await?;
        Ok(Some(server))
    }

    /// Starts as many, each of which is a shard of [`CLUSTER`] and knows the others. They have no Keeper, so nothing is
    /// replicated, and nothing runs `ON CLUSTER`.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn cluster(shards: usize) -> anyhow::Result<Option<Vec<Self>>> {
        let mut servers = Vec::new();
        for _ in 0..shards {
            let Some(server) = Self::placed().await? else { return Ok(None) };
            servers.push(server);
        }
        let shard = |server: &Self| {
            format!("<shard><replica><host>127.0.0.1</host><port>{}</port></replica></shard>", server.native_port)
        };
        let shards: String = servers.iter().map(shard).collect();
        for server in &mut servers {
            server.write_configuration(&format!("<remote_servers><{CLUSTER}>{shards}</{CLUSTER}></remote_servers>"))?;
            server.write_users(&[])?;
            server.launch().await?;
        }
        Ok(Some(servers))
    }

    async fn placed() -> anyhow::Result<Option<Self>> {
        let Some(engine) = engine()? else { return Ok(None) };
        let home = std::env::temp_dir().join(format!("lockstep-clickhouse-{}", unique_suffix()));
        fs::create_dir(&home).with_context(|| format!("creating {}", home.display()))?;
        let (port, native_port) = (free_port().await?, free_port().await?);
        Ok(Some(Self { process: None, engine, home, port, native_port, url: format!("http://127.0.0.1:{port}") }))
    }

    /// Starts it again after [`Self::kill`], over whatever its directory holds.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn launch(&mut self) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "it runs already");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.home.join("log"))?;
        let process = self.command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.process = Some(process.context("starting ClickHouse")?);
        let client = self.client("raw", "views")?;
        let answers = async || Ok(client.fetch_text("SELECT 1").await?.trim() == "1");
        let started = eventually("a private ClickHouse to answer", START_DEADLINE, answers).await;
        started.with_context(|| fs::read_to_string(self.home.join("log")).unwrap_or_default())
    }

    /// Ends it as a crash does.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        Ok(process.kill().await?)
    }

    /// Starts it again over the same data, with the users of these files.
    ///
    /// # Errors
    /// As [`Self::launch`].
    pub async fn restart(&mut self, files: &[String]) -> anyhow::Result<()> {
        self.kill().await?;
        self.write_users(files)?;
        self.launch().await
    }

    /// Where its data are. While it does not run they may be copied and removed.
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Its HTTP interface.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What programs have to be told to use it.
    pub fn settings(&self) -> [(&'static str, &str); 3] {
        [
            ("LOCKSTEP_CLICKHOUSE_URL", self.url()),
            ("LOCKSTEP_CLICKHOUSE_USER", "default"),
            ("LOCKSTEP_CLICKHOUSE_PASSWORD", ""),
        ]
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// When there can be none.
    pub fn client(&self, raw_database: &str, view_database: &str) -> anyhow::Result<ClickHouse> {
        self.client_as("default", raw_database, view_database)
    }

    /// A client of a user without a password.
    ///
    /// # Errors
    /// When there can be none.
    pub fn client_as(&self, user: &str, raw_database: &str, view_database: &str) -> anyhow::Result<ClickHouse> {
        let settings = ClickHouseSettings {
            url: SecretUrl::new(&self.url),
            user: user.to_owned(),
            password: SecretString::default(),
            raw_database: raw_database.to_owned(),
            view_database: view_database.to_owned(),
            cluster: None,
            fsync: false,
        };
        Ok(ClickHouse::connect(&settings, None)?)
    }

    fn command(&self) -> Command {
        let home = &self.home;
        let listen = [
            format!("--config-file={}", home.join("config.xml").display()),
            format!("--path={}", self.data().display()),
            "--listen_host=127.0.0.1".to_owned(),
            format!("--http_port={}", self.port),
            format!("--tcp_port={}", self.native_port),
            "--query".to_owned(),
            LISTEN.to_owned(),
        ];
        let mut command = match &self.engine {
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

    fn write_configuration(&self, more: &str) -> anyhow::Result<()> {
        // The process itself logs in as `default`.
        let users = "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>
<default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota><access_management>1</access_management></default>
</users></clickhouse>";
        fs::write(self.home.join("users.xml"), users)?;
        let configuration = format!(
            "<clickhouse><users_config>{0}/users.xml</users_config><user_directories><users_xml><path>{0}/users.xml</path></users_xml></user_directories>
<path>{0}/data/</path><timezone>UTC</timezone><max_server_memory_usage>1000000000</max_server_memory_usage>{more}</clickhouse>",
            self.home.display()
        );
        Ok(fs::write(self.home.join("config.xml"), configuration)?)
    }

    /// As an operator puts them in place: each in a file of its own, read beside users.xml.
    fn write_users(&self, files: &[String]) -> anyhow::Result<()> {
        let directory = self.home.join("users.d");
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir(&directory)?;
        for (file, number) in files.iter().zip(1..) {
            fs::write(directory.join(format!("{number}.xml")), file)?;
        }
        Ok(())
    }
}

impl Drop for PrivateClickHouse {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.start_kill();
        }
        // A temporary directory: nothing is lost when some of it stays.
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn engine() -> anyhow::Result<Option<Engine>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path =
        std::env::split_paths(&path).map(|directory| directory.join("clickhouse")).find(|file| file.is_file());
    if let Some(program) = on_path {
        return Ok(Some(Engine::Program(program)));
    }
    let xtask = programs()?.join("xtask");
    if !xtask.is_file() {
        return Ok(None);
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let places = cache.map(|cache| cache.join("lockstep")).into_iter().chain([checkout().join(".lockstep/packages")]);
    Ok(places.into_iter().find_map(|place| library_in(&place)).map(|library| Engine::Library { xtask, library }))
}

fn library_in(place: &Path) -> Option<PathBuf> {
    let kept = fs::read_dir(place).ok()?.flatten();
    let mut files = kept.flat_map(|entry| ["libchdb.so", "libchdb.dylib"].map(|name| entry.path().join(name)));
    files.find(|file| file.is_file())
}
