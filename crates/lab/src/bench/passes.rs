//! How far the sequencer is, read from what it says about its passes.

use std::time::Duration;

use lockstep_core::SequenceId;
use tokio_postgres::Client;

use lockstep_testkit::databases::eventually;

/// A million lines and more may wait.
const DEADLINE: Duration = Duration::from_secs(600);

/// The newest pass's last number; zero before the first pass.
pub(super) async fn head(client: &Client) -> anyhow::Result<SequenceId> {
    let row = client.query_one("SELECT coalesce(max(last_sequence), 0) FROM lockstep.pass", &[]).await?;
    Ok(SequenceId::new(row.get(0)))
}

/// Waits until every line that is in the inbox now has its number, whatever was searched for it too.
pub(super) async fn drained(client: &Client) -> anyhow::Result<()> {
    // What a pass has consumed is known by its snapshot alone, so a look costs what is new and not what is there.
    let sql = "SELECT p.unfinished = '[]' AND NOT EXISTS (SELECT FROM lockstep.expansion)
    AND NOT EXISTS (SELECT FROM lockstep.inbox AS i WHERE i.xid >= pg_snapshot_xmax(p.consumed)::text::bigint)
    AND NOT EXISTS (SELECT FROM lockstep.inbox AS i
        WHERE i.xid = ANY (ARRAY(SELECT x::text::bigint FROM pg_snapshot_xip(p.consumed) AS x)))
FROM lockstep.pass AS p ORDER BY p.id DESC LIMIT 1";
    // Where nothing is left a scan would read all lines: the planner expects to find one soon.
    client.batch_execute("SET enable_seqscan = off").await?;
    let statement = client.prepare(sql).await?;
    eventually("every change has its number", DEADLINE, async || {
        Ok(client.query_opt(&statement, &[]).await?.is_some_and(|row| row.get(0)))
    })
    .await?;
    Ok(client.batch_execute("RESET enable_seqscan").await?)
}

/// Waits until so many numbers were given out above `before`, and none is still to come.
pub(super) async fn numbered(client: &Client, before: SequenceId, changes: u32) -> anyhow::Result<()> {
    let sql = "SELECT last_sequence >= $1 AND unfinished = '[]' FROM lockstep.pass ORDER BY id DESC LIMIT 1";
    let statement = client.prepare(sql).await?;
    let target = before.get() + i64::from(changes);
    eventually("every change has its number", DEADLINE, async || {
        Ok(client.query_opt(&statement, &[&target]).await?.is_some_and(|row| row.get(0)))
    })
    .await
}
