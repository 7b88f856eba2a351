//! Waiting: with jitter, and for what is in hand when it is time to stop.

use std::time::Duration;

use lockstep_core::shutdown::Shutdown;
use rand::Rng;

/// Between half of and the whole duration, so that workers that were started together do not act together.
pub(crate) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// Does `work` to its end, but once `shutdown` was signalled for no longer than `within`. None: it was given up.
pub(crate) async fn finish_in_time<T>(
    shutdown: &Shutdown,
    within: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let too_long = async {
        shutdown.cancelled().await;
        tokio::time::sleep(within).await;
    };
    tokio::select! {
        done = work => Some(done),
        () = too_long => None,
    }
}
