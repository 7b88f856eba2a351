//! Batches grow when the destination's merges fall behind: each write leaves a piece that has to be merged, so the stream
//! waits before it takes the next batch, the longer the more pieces there are.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lockstep_core::shutdown::Shutdown;
use lockstep_destinations::Destination;

/// How often the destination is asked, while something is written.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// So many pieces of one table are merged as fast as they come.
const EASY: u64 = 30;
/// For each piece beyond those.
const WAIT_MS_PER_PIECE: u64 = 10;
const LONGEST_MS: u64 = 1_000;

/// The wait before each batch.
#[derive(Default, Debug)]
pub(super) struct MergePace {
    wait_ms: AtomicU64,
    has_written: AtomicBool,
}

impl MergePace {
    /// Waits before a batch. Returns `None` where it was time to stop.
    pub(super) async fn wait(&self, shutdown: &Shutdown) -> Option<()> {
        self.has_written.store(true, Ordering::Relaxed);
        match self.wait_ms.load(Ordering::Relaxed) {
            0 => Some(()),
            wait_ms => shutdown.run_until_cancelled(tokio::time::sleep(Duration::from_millis(wait_ms))).await,
        }
    }

    /// Asks the destination again and again, until `shutdown`. One that does not answer slows nothing down: a flush finds out
    /// why.
    pub(super) async fn watch(&self, destination: &impl Destination, shutdown: &Shutdown) {
        while shutdown.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_some() {
            if !self.has_written.swap(false, Ordering::Relaxed) && self.wait_ms.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let Some(asked) = shutdown.run_until_cancelled(destination.unmerged()).await else { break };
            let wait_ms = asked.map_or(0, wait_ms);
            if self.wait_ms.swap(wait_ms, Ordering::Relaxed) == 0 && wait_ms > 0 {
                tracing::info!(wait_ms, "the destination's merges fall behind: batches grow");
            }
        }
    }
}

fn wait_ms(pieces: u64) -> u64 {
    (pieces.saturating_sub(EASY) * WAIT_MS_PER_PIECE).min(LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_with_the_pieces_that_wait_to_be_merged() {
        assert_eq!([0, 30, 31, 60, 130, 3_000].map(wait_ms), [0, 0, 10, 300, 1_000, 1_000]);
    }

    #[tokio::test]
    async fn a_batch_waits_as_long_as_was_found() {
        let (pace, shutdown) = (MergePace::default(), Shutdown::new());
        assert_eq!(pace.wait(&shutdown).await, Some(()), "nothing waits to be merged");
        pace.wait_ms.store(u64::from(u32::MAX), Ordering::Relaxed);
        shutdown.cancel();
        assert_eq!(pace.wait(&shutdown).await, None, "it is time to stop");
    }
}
