//! Waiting while nothing happens on the server: how far its log is written is asked far more often than the inbox is looked
//! into, since that costs a fraction of a look.

use std::time::{Duration, Instant};

use lockstep_schema::SourceError;
use tokio::time::{sleep, timeout};

use super::Numbering;
use crate::plan::polling::LONGEST;
use crate::storage::passes::PassSession;

const BETWEEN_PROBES: Duration = Duration::from_millis(4);
/// A server where nothing is written is looked at again after so long.
const LONGEST_STILL: Duration = Duration::from_millis(100);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

impl Numbering {
    /// Waits until the log is written further than `still_at`, or for [`LONGEST_STILL`]; where it already is, and on a server
    /// where something is written all the time, for [`LONGEST`]. Returns whether something was written after the server had
    /// stood still.
    pub(crate) async fn wait_while_still(&self, still_at: i64) -> bool {
        let began = Instant::now();
        if let Some(open) = &self.open
            && let Ok(Ok(Some(is_written))) = timeout(PROBE_TIMEOUT, until_written(&open.session, still_at)).await
        {
            return is_written;
        }
        // A session that is lost or does not answer is the next look's to report.
        sleep(LONGEST.saturating_sub(began.elapsed())).await;
        false
    }
}

/// Returns whether something was written in the end, or `None` when the server did not stand still at first.
async fn until_written(session: &PassSession, still_at: i64) -> Result<Option<bool>, SourceError> {
    let began = Instant::now();
    let mut was_still = false;
    while began.elapsed() < LONGEST_STILL {
        sleep(BETWEEN_PROBES).await;
        if session.written().await? != still_at {
            return Ok(was_still.then_some(true));
        }
        was_still = true;
    }
    Ok(Some(false))
}
