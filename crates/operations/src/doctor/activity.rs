//! What goes on in the source: who leads, who holds up, and what waits for too long.

use lockstep_mappings::postgres::inbox;
use lockstep_schema::locks::LEADER_LOCK;
use tokio_postgres::{Client, Row};

use super::{Check, or_ok};
use crate::error::OperationError;

/// Transactions that are told one by one.
const TRANSACTIONS: i64 = 20;
/// What waits longer has been forgotten: it takes seconds where everything runs.
const WAITING_S: f64 = 60.0;

/// Numbers that do not only grow would break the order of everything.
const SEQUENCE: &str = "SELECT increment_by > 0 AND NOT cycle AND cache_size = 1 FROM pg_sequences WHERE schemaname = 'lockstep' AND sequencename = 'sequence'";

const LEADER: &str = "SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
  WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.classid::bigint = $1::bigint >> 32 AND l.objid::bigint = $1::bigint & 4294967295)";

/// Prepared transactions have no process; what they are called is their owner's affair.
const OPEN: &str = "
SELECT pid, application_name, state, extract(epoch FROM now() - xact_start)::bigint AS age_s FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
  AND xact_start <= now() - make_interval(secs => $1)
UNION ALL
SELECT NULL, '', 'prepared', extract(epoch FROM now() - prepared)::bigint FROM pg_prepared_xacts
WHERE database = current_database() AND prepared <= now() - make_interval(secs => $1)
ORDER BY age_s DESC LIMIT $2";

/// Since when expansions wait, and how many numbers are not announced.
const WAITING: &str = "
SELECT (SELECT extract(epoch FROM now() - requested_at)::float8 FROM lockstep.expansion ORDER BY id LIMIT 1),
  (SELECT passed_at < now() - interval '60 s' FROM lockstep.pass WHERE last_sequence > (SELECT max(sequence) FROM lockstep.announced) ORDER BY id LIMIT 1)";

pub(super) async fn look(client: &Client, open_for_s: u32) -> Result<Vec<Check>, OperationError> {
    let mut checks = vec![sequence(client).await?, leader(client).await?];
    let open = client.query(OPEN, &[&f64::from(open_for_s), &TRANSACTIONS]).await?;
    let fine = format!("none for longer than {open_for_s} s");
    checks.extend(or_ok("open transactions", &fine, open.iter().map(open_transaction).collect()));
    let waiting = client.query_one(WAITING, &[]).await?;
    checks.push(age("expansions", waiting.get(0), "does a sequencer run? See its log"));
    let remedy = "is the broker away? See the sequencer's log and `lockstep status`";
    checks.push(match waiting.get::<_, Option<bool>>(1) {
        Some(true) => Check::finding("announcements", "changes wait for more than a minute to be announced", remedy),
        _ => Check::ok("announcements", "nothing waits for long"),
    });
    let unseen = client.query_one(&format!("SELECT count(*) FROM ({} LIMIT 100000) u", inbox::unseen()), &[]).await?;
    let lines: i64 = unseen.get(0);
    checks.push(if lines < 100_000 {
        Check::ok("inbox", format!("{lines} lines have no number yet"))
    } else {
        Check::finding("inbox", "100,000 lines or more have no number yet", "does a sequencer run? See its log")
    });
    Ok(checks)
}

async fn sequence(client: &Client) -> Result<Check, OperationError> {
    let grows = client.query_opt(SEQUENCE, &[]).await?.is_some_and(|row| row.get(0));
    let remedy = "ALTER SEQUENCE lockstep.sequence INCREMENT BY 1 NO CYCLE CACHE 1";
    Ok(if grows {
        Check::ok("sequence", "its numbers grow")
    } else {
        Check::finding("sequence", "its numbers do not only grow", remedy)
    })
}

async fn leader(client: &Client) -> Result<Check, OperationError> {
    let leads: bool = client.query_one(LEADER, &[&LEADER_LOCK]).await?.get(0);
    Ok(if leads {
        Check::ok("sequencer", "one leads")
    } else {
        Check::finding("sequencer", "none leads, so nothing is numbered", "start `lockstep-sequencer`, or see its log")
    })
}

fn open_transaction(row: &Row) -> Check {
    let (pid, application): (Option<i32>, &str) = (row.get(0), row.get(1));
    let (state, age_s): (Option<&str>, i64) = (row.get(2), row.get(3));
    let state = state.unwrap_or("of a state that only its owner may see");
    match pid {
        Some(pid) => Check::finding(
            "open transactions",
            format!(
                "process {pid} ({application:?}), {state}, for {age_s} s: no row version since is cleaned up, and an inbox cannot be emptied"
            ),
            format!("have it end, or SELECT pg_terminate_backend({pid})"),
        ),
        None => Check::finding(
            "open transactions",
            format!("a prepared transaction for {age_s} s"),
            "COMMIT PREPARED or ROLLBACK PREPARED it: see pg_prepared_xacts",
        ),
    }
}

fn age(check: &'static str, oldest_s: Option<f64>, remedy: &str) -> Check {
    match oldest_s {
        Some(oldest_s) if oldest_s > WAITING_S => {
            Check::finding(check, format!("the oldest waits for {oldest_s:.0} s"), remedy)
        }
        _ => Check::ok(check, "nothing waits for long"),
    }
}
