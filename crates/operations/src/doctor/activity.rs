//! What goes on in the source: who leads, and what waits for too long.

use lockstep_mappings::postgres::inbox;
use lockstep_mappings::postgres::passes::first_beyond;
use lockstep_schema::locks;
use tokio_postgres::Client;

use super::Check;
use crate::error::OperationError;

/// What waits longer has been forgotten: it takes seconds where everything runs.
const WAITING_S: f64 = 60.0;

/// Numbers that do not only grow would break the order of everything.
const SEQUENCE: &str = "SELECT increment_by > 0 AND NOT cycle AND cache_size = 1 FROM pg_sequences WHERE schemaname = 'lockstep' AND sequencename = 'sequence'";

/// A running sequencer never has so many lines before it for long.
const MANY_LINES: i64 = 100_000;

/// Since when expansions wait, and whether what is not announced has waited for long.
fn waiting() -> String {
    format!(
        "SELECT (SELECT extract(epoch FROM now() - requested_at)::float8 FROM lockstep.expansion ORDER BY id LIMIT 1),
  (SELECT p.passed_at < now() - interval '60 s' FROM {} p)",
        first_beyond("(SELECT max(sequence) FROM lockstep.announced)")
    )
}

pub(super) async fn look(client: &Client) -> Result<Vec<Check>, OperationError> {
    let mut checks = vec![sequence(client).await?, leader(client).await?];
    let waiting = client.query_one(&waiting(), &[]).await?;
    checks.push(age("expansions", waiting.get(0), "does a sequencer run? See its log"));
    let remedy = "is the broker away? See the sequencer's log and `lockstep status`";
    checks.push(match waiting.get::<_, Option<bool>>(1) {
        Some(true) => Check::finding("announcements", "changes wait for more than a minute to be announced", remedy),
        _ => Check::ok("announcements", "nothing waits for long"),
    });
    let lines: i64 = client.query_one(&inbox::count_unseen(MANY_LINES), &[]).await?.get(0);
    checks.push(if lines < MANY_LINES {
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

/// Whether a sequencer leads.
pub(crate) async fn leads(client: &Client) -> Result<bool, OperationError> {
    Ok(client.query_one(&format!("SELECT {}", locks::leads()), &[]).await?.get(0))
}

async fn leader(client: &Client) -> Result<Check, OperationError> {
    Ok(if leads(client).await? {
        Check::ok("sequencer", "a session holds the lock of the one that leads")
    } else {
        Check::finding("sequencer", "none leads, so nothing is numbered", "start `lockstep-sequencer`, or see its log")
    })
}

fn age(check: &'static str, oldest_s: Option<f64>, remedy: &str) -> Check {
    match oldest_s {
        Some(oldest_s) if oldest_s > WAITING_S => {
            Check::finding(check, format!("the oldest waits for {oldest_s:.0} s"), remedy)
        }
        _ => Check::ok(check, "nothing waits for long"),
    }
}
