//! The same comparison by reladiff (<https://pypi.org/project/reladiff/>), a tool that compares tables of two servers by sums of
//! hashes over ranges of their keys. It is installed for this alone, into a directory of the checkout.

use std::path::PathBuf;

use anyhow::Context;
use lockstep_testkit::databases::checkout;
use serde_json::Value;
use tokio::process::Command;

use super::table::{COLUMNS, Filled};
use crate::bench::process::{Ran, run};

const PACKAGE: &str = "reladiff[postgresql,clickhouse]==0.6.0";
/// Statements that it runs at a time on each server.
const THREADS: &str = "4";

pub(super) struct Reladiff {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Reladiff {
    /// Installs it where it is not yet, to compare the source's table with the copy that is in the order of the key.
    pub(super) async fn install(filled: &Filled) -> anyhow::Result<Self> {
        let directory = checkout().join(".lockstep/reladiff");
        let program = directory.join("bin/reladiff");
        if !program.is_file() {
            let mut venv = Command::new("python3");
            venv.args(["-m", "venv"]).arg(&directory);
            let mut pip = Command::new(directory.join("bin/pip"));
            pip.args(["install", "--quiet", PACKAGE]);
            for command in [venv, pip] {
                let ran = run(command).await?;
                anyhow::ensure!(ran.status.success(), "reladiff was not installed: {}", ran.stderr);
            }
        }
        let services = filled.installation.services();
        let port = filled.clickhouse.fetch_text("SELECT tcpPort()").await?;
        let host = services.clickhouse_url.split("://").nth(1).and_then(|rest| rest.split([':', '/']).next());
        let clickhouse = format!(
            "clickhouse://{}:{}@{}:{}/{}",
            services.clickhouse_user,
            services.clickhouse_password,
            host.context("ClickHouse's URL has no host")?,
            port.trim(),
            filled.installation.raw_database()
        );
        let postgres = filled.installation.database().url().replacen("postgres://", "postgresql://", 1);
        let mut arguments = vec![postgres, "bench_rows".to_owned(), clickhouse, "bench_by_key".to_owned()];
        arguments.extend(["--key-columns", "id", "--threads", THREADS, "--json", "--stats"].map(ToOwned::to_owned));
        arguments.extend(COLUMNS.iter().flat_map(|(name, _)| ["--columns".to_owned(), (*name).to_owned()]));
        Ok(Self { program, arguments })
    }

    /// Compares once; returns what that took, and how many keys differ.
    pub(super) async fn compare(&self) -> anyhow::Result<(Ran, u64)> {
        let mut command = Command::new(&self.program);
        // It breaks lines where a terminal would.
        command.args(&self.arguments).env("COLUMNS", "1000000");
        let ran = run(command).await?;
        anyhow::ensure!(ran.status.success(), "reladiff failed: {}", ran.stderr);
        let told: Value = serde_json::from_str(ran.stdout.trim()).with_context(|| ran.stdout.clone())?;
        let found = told["total"].as_u64().context("reladiff told no total")?;
        Ok((ran, found))
    }
}
