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
    pub(crate) async fn wait_while_still(&mut self, still_at: i64) -> bool {
        let began = Instant::now();
        if let Some(open) = &self.open
            && let Ok(Ok(Still { until: Some(until), is_written })) =
                timeout(PROBE_TIMEOUT, until_written(&open.session, still_at)).await
        {
            self.waiting.stood_still(until);
            return is_written;
        }
        // A session that is lost or does not answer is the next look's to report.
        sleep(LONGEST.saturating_sub(began.elapsed())).await;
        false
    }
}

struct Still {
    /// When the server was last seen to stand still; `None` where it did not at first.
    until: Option<Instant>,
    /// Whether something was written in the end.
    is_written: bool,
}

async fn until_written(session: &PassSession, still_at: i64) -> Result<Still, SourceError> {
    let began = Instant::now();
    let mut still = Still { until: None, is_written: false };
    while began.elapsed() < LONGEST_STILL {
        sleep(BETWEEN_PROBES).await;
        let asked = Instant::now();
        if session.written().await? != still_at {
            still.is_written = true;
            break;
        }
        still.until = Some(asked);
    }
    Ok(still)
}
