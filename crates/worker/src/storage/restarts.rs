//! What a destination may have lost because one of its servers ended: found out, and shipped again.
//!
//! A server has what it is given in the memory of its machine before it is on the disk. When the machine ends, parts of the last
//! minutes are gone: rows below a cursor that is still there, and cursors above rows that are. So whatever had not been passed
//! for some minutes when the server was last seen gets changes once more. Cursors stay where they are (CUR-1), and a row that
//! is shipped twice changes nothing (IDEM-1).

use std::time::Duration;

use lockstep_destinations::ServerStart;
use lockstep_mappings::postgres::inbox::{self, HEAD};
use lockstep_schema::SourceError;
use tokio_postgres::Client;

use super::DESTINATION;

/// How often servers are looked at, and how far the destination has come is noted.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Numbers whose rows get changes in one transaction.
const STEP_NUMBERS: i64 = 1_000_000;

/// Servers `$2 text[]`, started at `$3 bigint[]` (milliseconds since 1970), that are known and were started at another time. A server
/// tells full seconds, and its clock is set now and then: so some seconds are no difference, and what is known follows them. A
/// clock that is set by more is taken for a start, which costs work alone.
const RESTARTED: &str = "
SELECT s.server FROM unnest($2::text[], $3::bigint[]) AS s(server, started_ms)
JOIN lockstep.destination_server k ON k.destination = $1 AND k.server = s.server
WHERE abs(extract(epoch FROM to_timestamp(s.started_ms / 1000.0) - k.started_at)) > 3";
const NOTE_SERVERS: &str = "
INSERT INTO lockstep.destination_server (destination, server, started_at)
SELECT $1, s.server, to_timestamp(s.started_ms / 1000.0) FROM unnest($2::text[], $3::bigint[]) AS s(server, started_ms)
ON CONFLICT (destination, server) DO UPDATE SET started_at = EXCLUDED.started_at
WHERE abs(extract(epoch FROM EXCLUDED.started_at - destination_server.started_at)) > 1";
/// Ranges of fills have no changes. One that is being read may have been written in part.
const RANGES_AGAIN: &str = "
WITH again AS (UPDATE lockstep.fill_range r SET claimed_by = NULL, claimed_until = NULL, finished_at = NULL, shipped_rows = NULL
  FROM lockstep.fill f WHERE r.destination = $1 AND f.destination = $1 AND f.mapping_name = r.mapping_name AND f.finished_at IS NULL
    AND (r.finished_at > lockstep.durable_since($1) OR r.claimed_by IS NOT NULL AND r.finished_at IS NULL)
  RETURNING r.mapping_name)
UPDATE lockstep.fill SET fence_id = NULL WHERE destination = $1 AND mapping_name IN (SELECT mapping_name FROM again)";
const FILLS_AGAIN: &str = "
INSERT INTO lockstep.refill (mapping_name, reason) SELECT mapping_name, 'the destination was started again'
FROM lockstep.fill WHERE destination = $1 AND finished_at > lockstep.durable_since($1) ON CONFLICT (mapping_name) DO NOTHING";

const STEP: &str = "
SELECT ship_again_after, LEAST(ship_again_through, ship_again_after + $2) FROM lockstep.destination
WHERE name = $1 AND ship_again_after IS NOT NULL FOR UPDATE";
const STEPPED: &str = "
UPDATE lockstep.destination SET ship_again_after = CASE WHEN $2 < ship_again_through THEN $2 END,
  ship_again_through = CASE WHEN $2 < ship_again_through THEN ship_again_through END WHERE name = $1";

/// The first note is written whatever the number is: from then on the destination is one that has to be waited for. Where the
/// number stands still, time goes on.
const NOTE_PASSED: &str = "
INSERT INTO lockstep.destination_passed (destination, passed) SELECT d.name, d.passed FROM lockstep.destination d
WHERE d.name = $1 AND NOT EXISTS (SELECT 1 FROM lockstep.destination_passed p WHERE p.destination = $1
  AND p.passed >= d.passed AND p.at > clock_timestamp() - interval '1 minute')";
/// One that is older than the last minutes is enough.
const FORGET_PASSED: &str = "
DELETE FROM lockstep.destination_passed WHERE destination = $1
  AND at < (SELECT max(p.at) FROM lockstep.destination_passed p WHERE p.destination = $1 AND p.at <= lockstep.durable_since($1))";

/// What writes through has nothing to be waited for.
const FORGET_ALL: &str = "
WITH servers AS (DELETE FROM lockstep.destination_server WHERE destination = $1)
DELETE FROM lockstep.destination_passed WHERE destination = $1";

/// Takes note of the servers. Where some were started again, what may be lost is marked; returns how many.
pub(super) async fn note_servers(client: &mut Client, servers: &[ServerStart]) -> Result<usize, SourceError> {
    let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
    let started: Vec<i64> = servers.iter().map(|server| server.started_ms).collect();
    let transaction = client.transaction().await?;
    let restarted = transaction.query(RESTARTED, &[&DESTINATION, &names, &started]).await?.len();
    if restarted > 0 {
        let distrust = format!(
            "UPDATE lockstep.destination SET ship_again_after = lockstep.durable(name), ship_again_through = {HEAD} WHERE name = $1"
        );
        for statement in [&*distrust, RANGES_AGAIN, FILLS_AGAIN] {
            transaction.execute(statement, &[&DESTINATION]).await?;
        }
    }
    transaction.execute(NOTE_SERVERS, &[&DESTINATION, &names, &started]).await?;
    transaction.commit().await?;
    Ok(restarted)
}

/// Whether one of these servers was started again since they were noted.
pub(super) async fn have_restarted(client: &Client, servers: &[ServerStart]) -> Result<bool, SourceError> {
    let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
    let started: Vec<i64> = servers.iter().map(|server| server.started_ms).collect();
    Ok(!client.query(RESTARTED, &[&DESTINATION, &names, &started]).await?.is_empty())
}

/// Gives changes to some of the rows that were marked; returns how many lines that were, `None` when nothing is left.
pub(super) async fn change_some_again(client: &mut Client) -> Result<Option<u64>, SourceError> {
    let transaction = client.transaction().await?;
    let Some(row) = transaction.query_opt(STEP, &[&DESTINATION, &STEP_NUMBERS]).await? else { return Ok(None) };
    let (after, through): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let mut lines = 0;
    for statement in inbox::change_again() {
        lines += transaction.execute(&statement, &[&after, &through]).await?;
    }
    transaction.execute(STEPPED, &[&DESTINATION, &through]).await?;
    transaction.commit().await?;
    Ok(Some(lines))
}

/// Forgets what was noted of a destination that writes through by now.
pub(super) async fn forget_servers(client: &Client) -> Result<(), SourceError> {
    client.execute(FORGET_ALL, &[&DESTINATION]).await?;
    Ok(())
}

/// Notes how far the destination has come, where that is further than before or the last note is old.
pub(super) async fn note_passed(client: &Client) -> Result<(), SourceError> {
    client.execute(NOTE_PASSED, &[&DESTINATION]).await?;
    client.execute(FORGET_PASSED, &[&DESTINATION]).await?;
    Ok(())
}
