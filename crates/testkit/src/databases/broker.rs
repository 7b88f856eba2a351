//! A RabbitMQ of a test's own: one that can be killed, and that can be short of memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{eventually, free_port, unique_suffix};

/// A node starts within five seconds, on a machine that is busy within some more.
const START_DEADLINE: Duration = Duration::from_secs(90);
/// The server's own start script: Debian's wrapper on the path changes to another user.
const SCRIPTS: [&str; 3] = ["/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin"];

/// How much memory a broker may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// As much as it needs.
    Enough,
    /// Less than it takes at its start: it raises its memory alarm, and reads nothing from who publishes.
    Short,
}

/// A node with a directory, which goes with it.
#[derive(Debug)]
pub struct PrivateBroker {
    home: PathBuf,
    /// For clients, for other nodes, and of the port mapper.
    ports: [u16; 3],
    /// Within which time a consumer has to settle what it was given.
    consumer_timeout: Option<Duration>,
    process: Option<Child>,
}

impl PrivateBroker {
    /// A new broker with enough memory.
    ///
    /// # Errors
    /// When RabbitMQ is not installed or does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(None).await
    }

    /// A broker that takes messages back after this time (`consumer_timeout`, half an hour by default) from whoever holds
    /// them unsettled, and closes the channel. It looks four times as often.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn impatient(consumer_timeout: Duration) -> anyhow::Result<Self> {
        Self::start_with(Some(consumer_timeout)).await
    }

    async fn start_with(consumer_timeout: Option<Duration>) -> anyhow::Result<Self> {
        let home = std::env::temp_dir().join(format!("lockstep-rabbitmq-{}", unique_suffix()));
        fs::create_dir(&home).with_context(|| format!("creating {}", home.display()))?;
        let ports = [free_port().await?, free_port().await?, free_port().await?];
        let mut broker = Self { home, ports, consumer_timeout, process: None };
        broker.launch(Memory::Enough).await?;
        Ok(broker)
    }

    /// Starts it again after [`kill`](Self::kill), at the same address, with its queues and their messages.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn launch(&mut self, memory: Memory) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "it runs already");
        let [port, distribution, port_mapper] = self.ports;
        let file = |name: &str| self.home.join(name);
        let watermark = if memory == Memory::Enough { "1GB" } else { "1MB" };
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nvm_memory_high_watermark.absolute = {watermark}\ndisk_free_limit.absolute = 50MB\nraft.wal_max_size_bytes = 67108864\nlog.file = false\nlog.console = true\n"
        );
        fs::write(file("rabbitmq.conf"), settings)?;
        let timeout = self.consumer_timeout.map_or_else(String::new, |timeout| {
            let (timeout, tick) = (timeout.as_millis(), timeout.as_millis() / 4);
            format!("{{rabbit, [{{consumer_timeout, {timeout}}}, {{channel_tick_interval, {tick}}}]}}")
        });
        fs::write(file("advanced.config"), format!("[{timeout}].\n"))?;
        // They exist so that the system's are not read in their place.
        fs::write(file("environment.conf"), "")?;
        fs::write(file("enabled_plugins"), "[].\n")?;
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut server = Command::new(script()?);
        server.args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]);
        // The Erlang cookie is kept in the home directory; `detached` makes the script become the server.
        server.env("HOME", &self.home).env("LANG", "C.UTF-8").env("detached", "true");
        server.env("ERL_EPMD_ADDRESS", "127.0.0.1").env("ERL_EPMD_PORT", port_mapper.to_string());
        server.env("RABBITMQ_DIST_PORT", distribution.to_string());
        server.env("RABBITMQ_NODENAME", format!("test{port}@localhost"));
        for (variable, name) in [
            ("RABBITMQ_CONF_ENV_FILE", "environment.conf"),
            ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
            ("RABBITMQ_MNESIA_BASE", "data"),
            ("RABBITMQ_LOG_BASE", "data"),
            ("RABBITMQ_PID_FILE", "pid"),
        ] {
            server.env(variable, file(name));
        }
        // A Ctrl-C at the terminal is for the test, which removes it.
        server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).kill_on_drop(true);
        self.process = Some(server.spawn().context("starting RabbitMQ")?);
        let log = self.log();
        let is_up = async || {
            let said = fs::read_to_string(&log)?;
            // The log of this start: whatever was said before ended with a kill.
            let said = said.rsplit("Starting RabbitMQ").next().unwrap_or_default();
            let ready = said.contains("Server startup complete");
            let alarmed = said.contains("alarm set") || memory == Memory::Enough;
            Ok(ready && alarmed && TcpStream::connect(("127.0.0.1", port)).await.is_ok())
        };
        let started = eventually("a private RabbitMQ to answer", START_DEADLINE, is_up).await;
        started.with_context(|| fs::read_to_string(&log).unwrap_or_default())
    }

    /// Kills it, as a crash does.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("it does not run")?.kill().await.context("killing RabbitMQ")
    }

    /// Where clients connect to.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.ports[0])
    }

    /// Whether its own consumer timeout counts for Lockstep's consumers: from 3.12 on these ask for hours, and get them.
    pub fn takes_back_what_consumers_hold(&self) -> bool {
        let said = fs::read_to_string(self.log()).unwrap_or_default();
        let version = said.split_once("Starting RabbitMQ ").map_or("", |(_, rest)| rest);
        let numbers: Vec<u32> = version.split(['.', ' ']).take(2).filter_map(|number| number.parse().ok()).collect();
        matches!(numbers[..], [major, minor] if (major, minor) < (3, 12))
    }

    /// How often this broker took messages back, as its log has it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn taken_back(&self) -> anyhow::Result<usize> {
        Ok(fs::read_to_string(self.log())?.matches("delivery acknowledgement on channel").count())
    }

    fn log(&self) -> PathBuf {
        self.home.join("log")
    }
}

impl Drop for PrivateBroker {
    fn drop(&mut self) {
        self.process.take();
        // The port mapper that the node has started outlives it. Where there is none, nothing is lost.
        let mut port_mapper = std::process::Command::new("epmd");
        port_mapper.args(["-port", &self.ports[2].to_string(), "-kill"]);
        let _ = port_mapper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn script() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = SCRIPTS.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    let mut scripts = places.map(|place| place.join("rabbitmq-server"));
    let found = scripts.find(|script| Path::is_file(script));
    found.context("RabbitMQ is not installed: install the package rabbitmq-server")
}
