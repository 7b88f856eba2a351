//! A private RabbitMQ, with its own node name, Erlang port mapper and cookie, so that no other broker notices it.

mod answer;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::Service;
use crate::ports::Ports;
use crate::process::{Launch, Traces};
use crate::programs::{is_program, on_path};
use crate::progress::Task;
use crate::workspace::{Workspace, write_whole};

pub(super) struct RabbitMq<'a> {
    pub(super) workspace: &'a Workspace,
}

impl RabbitMq<'_> {
    fn home(&self) -> PathBuf {
        self.workspace.directory.join("rabbitmq")
    }

    /// Ends the port mapper that the node has started; it refuses while any node is registered with it, so another
    /// broker's, on a port that once was ours, is safe.
    fn stop_port_mapper(&self) {
        let (Some(port), Some(epmd)) = (Ports::remembered(self.workspace).get("rabbitmq-epmd"), on_path("epmd")) else {
            return;
        };
        let mut command = Command::new(epmd);
        command.args(["-port", &port.to_string(), "-kill"]).stdin(Stdio::null());
        // Without a port mapper there it fails, and nothing is lost.
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Service for RabbitMq<'_> {
    fn name(&self) -> &'static str {
        "RabbitMQ"
    }

    fn variable(&self) -> &'static str {
        "LOCKSTEP_AMQP_URL"
    }

    fn missing_package(&self) -> Option<&'static str> {
        program().is_none().then_some("rabbitmq-server")
    }

    fn port_names(&self) -> &'static [&'static str] {
        &["rabbitmq", "rabbitmq-distribution", "rabbitmq-epmd"]
    }

    fn url(&self, port: u16) -> String {
        format!("amqp://guest:guest@127.0.0.1:{port}/%2f")
    }

    fn traces(&self) -> Traces {
        Traces {
            pid_file: self.home().join("pid"),
            marker: self.workspace.instance.clone(),
            log: self.workspace.log(self.name()),
        }
    }

    fn prepare(&self, _: &Task) -> Result<()> {
        let home = self.home();
        fs::create_dir_all(home.join("data")).with_context(|| format!("cannot create {}", home.display()))?;
        self.stop_port_mapper();
        // Both files exist so that the system-wide ones are not read in their place.
        write_whole(&home.join("environment.conf"), "")?;
        write_whole(&home.join("enabled_plugins"), "[].\n")
    }

    fn launch(&self, ports: &[u16]) -> Result<Launch> {
        let home = self.home();
        write_whole(&home.join("rabbitmq.conf"), &configuration(ports[0]))?;
        let file = |name: &str| OsString::from(home.join(name));
        let environment = vec![
            // The Erlang cookie is kept in the home directory.
            ("HOME", file("")),
            ("LANG", "C.UTF-8".into()),
            // Makes the start script become the server, instead of watching over it.
            ("detached", "true".into()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("ERL_EPMD_PORT", ports[2].to_string().into()),
            ("RABBITMQ_DIST_PORT", ports[1].to_string().into()),
            ("RABBITMQ_NODENAME", format!("{}@localhost", self.workspace.instance).into()),
            ("RABBITMQ_CONF_ENV_FILE", file("environment.conf")),
            ("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", file("advanced.config")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins")),
            ("RABBITMQ_MNESIA_BASE", file("data")),
            ("RABBITMQ_LOG_BASE", file("data")),
            ("RABBITMQ_PID_FILE", file("data/pid")),
        ];
        Ok(Launch {
            program: program().context("RabbitMQ is not installed: install the package rabbitmq-server")?,
            arguments: ["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-instance", &self.workspace.instance]
                .map(Into::into)
                .to_vec(),
            environment,
            account: None,
            directory: home,
        })
    }

    fn version(&self, port: u16) -> Option<String> {
        answer::version(port)
    }

    fn after_stop(&self) {
        self.stop_port_mapper();
    }
}

fn configuration(port: u16) -> String {
    format!(
        "# Written by `cargo xtask up` before every start; changes here are lost.\n\
         listeners.tcp.1 = 127.0.0.1:{port}\n\
         loopback_users.guest = true\n\
         # A shared machine; the default is a share of all its memory.\n\
         vm_memory_high_watermark.absolute = 1GB\n\
         disk_free_limit.absolute = 50MB\n\
         # Quorum queues write ahead to a file that is 512 MB by default.\n\
         raft.wal_max_size_bytes = 67108864\n\
         log.file = false\n\
         log.console = true\n\
         log.console.level = info\n"
    )
}

/// The server's own start script. Debian's wrapper on `PATH` changes to another user and directory, hence last.
fn program() -> Option<PathBuf> {
    ["/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin"]
        .iter()
        .map(|directory| Path::new(directory).join("rabbitmq-server"))
        .find(|program| is_program(program))
        .or_else(|| on_path("rabbitmq-server"))
}
