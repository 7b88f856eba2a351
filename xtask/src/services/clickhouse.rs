//! A private ClickHouse: the server program where it is installed, else the engine as a library in a process of ours.

mod answer;
mod configuration;
mod host;
mod library;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

pub(crate) use self::host::host;
use super::{CLICKHOUSE_HOST, Service};
use crate::process::{Launch, Traces};
use crate::programs::on_path;
use crate::progress::Task;
use crate::workspace::{Workspace, write_whole};

pub(super) struct ClickHouse<'a> {
    pub(super) workspace: &'a Workspace,
}

impl ClickHouse<'_> {
    fn home(&self) -> PathBuf {
        self.workspace.directory.join("clickhouse")
    }
}

impl Service for ClickHouse<'_> {
    fn name(&self) -> &'static str {
        "ClickHouse"
    }

    fn variable(&self) -> &'static str {
        "LOCKSTEP_CLICKHOUSE_URL"
    }

    /// No package of Debian's has it.
    fn missing_package(&self) -> Option<&'static str> {
        None
    }

    fn port_names(&self) -> &'static [&'static str] {
        &["clickhouse", "clickhouse-native"]
    }

    fn url(&self, port: u16) -> String {
        format!("http://127.0.0.1:{port}")
    }

    fn traces(&self) -> Traces {
        Traces {
            pid_file: self.home().join("pid"),
            marker: self.workspace.instance.clone(),
            log: self.workspace.log(self.name()),
        }
    }

    fn prepare(&self, task: &Task) -> Result<()> {
        let data = self.home().join("data");
        fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
        if on_path("clickhouse").is_none() {
            library::fetch(self.workspace, task)?;
        }
        Ok(())
    }

    fn launch(&self, ports: &[u16]) -> Result<Launch> {
        let home = self.home();
        let configuration = home.join("config.xml");
        write_whole(&configuration, &configuration::server(&home, ports, &self.traces().log))?;
        write_whole(&home.join("users.xml"), configuration::USERS)?;
        let mut option = OsString::from("--config-file=");
        option.push(&configuration);
        let (program, arguments) = match on_path("clickhouse") {
            Some(program) => {
                // What follows `--` overrides the configuration; an element of ours changes nothing and marks the process.
                let instance = format!("--lockstep_instance={}", self.workspace.instance);
                (program, vec!["server".into(), option, "--".into(), instance.into()])
            }
            None => {
                let library =
                    library::installed(self.workspace).context("the library is missing after its download")?;
                let xtask = std::env::current_exe().context("cannot find this program")?;
                let mut arguments =
                    vec![CLICKHOUSE_HOST.into(), library.into(), self.workspace.instance.clone().into()];
                arguments.push(option);
                arguments.extend(host::listen(&home, ports));
                (xtask, arguments)
            }
        };
        Ok(Launch {
            program,
            arguments,
            environment: vec![("HOME", home.clone().into()), ("TZ", "UTC".into())],
            account: None,
            directory: home,
        })
    }

    fn version(&self, port: u16) -> Option<String> {
        answer::version(port)
    }
}
