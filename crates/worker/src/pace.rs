//! Waiting with jitter.

use std::time::Duration;

use rand::Rng;

/// Between half of and the whole duration, so that workers that were started together do not act together.
pub(crate) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.5..=1.0))
}
