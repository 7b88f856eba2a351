//! What a log-based tool costs: a logical replication slot, and a reader that throws away what it gets.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Child;
use tokio_postgres::Client;

use lockstep_testkit::databases::{PrivatePostgres, eventually};

const DEADLINE: Duration = Duration::from_secs(120);

/// A slot of the database, read by `pg_recvlogical`. It is made for each round, so that it decodes no other database's.
pub(super) struct Slot {
    reader: Child,
}

impl Slot {
    pub(super) const PROGRAM: &str = "pg_recvlogical";

    /// Needs the publication `bench`.
    pub(super) async fn start(server: &PrivatePostgres, url: &str, client: &Client) -> anyhow::Result<Self> {
        client.query_one("SELECT pg_create_logical_replication_slot('bench', 'pgoutput')", &[]).await?;
        let mut program = server.program(Self::PROGRAM).context("pg_recvlogical is not installed")?;
        program.args(["--start", "--slot=bench", "--file=/dev/null", "--dbname", url]);
        program.args(["--option=proto_version=1", "--option=publication_names=bench"]);
        program.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
        let reader = program.spawn().context("starting pg_recvlogical")?;
        eventually("the slot is read", DEADLINE, async || {
            Ok(client.query_one("SELECT count(*) = 1 FROM pg_stat_replication", &[]).await?.get(0))
        })
        .await?;
        Ok(Self { reader })
    }

    /// Waits until the reader was sent all that is written now.
    pub(super) async fn caught_up(&self, client: &Client) -> anyhow::Result<()> {
        // A commit of this connection's is flushed, and with it all that was written before; only that is sent.
        let row = client.query_one("SELECT pg_logical_emit_message(TRUE, 'bench', '')::text", &[]).await?;
        let written: &str = row.get(0);
        let sql = "SELECT coalesce(bool_and(sent_lsn >= $1::text::pg_lsn), FALSE) FROM pg_stat_replication";
        let statement = client.prepare(sql).await?;
        eventually("the slot's reader has all", DEADLINE, async || {
            Ok(client.query_one(&statement, &[&written]).await?.get(0))
        })
        .await
    }

    pub(super) async fn stop(mut self, client: &Client) -> anyhow::Result<()> {
        self.reader.kill().await?;
        // Refused until the server has noticed that the reader is gone.
        eventually("the slot is dropped", DEADLINE, async || {
            client.query_one("SELECT pg_drop_replication_slot('bench')", &[]).await?;
            Ok(true)
        })
        .await
    }
}
