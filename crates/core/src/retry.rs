//! How long to wait before trying again.

use std::time::Duration;

use rand::Rng;

/// Growing waits with jitter: each is drawn between half of and the whole current limit, which doubles up to a ceiling.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    ceiling: Duration,
    attempt: u32,
}

impl Backoff {
    /// Waits that start around `first` and never exceed `ceiling`.
    pub const fn new(first: Duration, ceiling: Duration) -> Self {
        Self { first, ceiling, attempt: 0 }
    }

    /// For connections to Postgres, RabbitMQ and ClickHouse: 100 ms up to 10 s, for as long as it takes.
    pub const fn for_connections() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(10))
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let limit = self.first.saturating_mul(2_u32.saturating_pow(self.attempt)).min(self.ceiling);
        self.attempt = self.attempt.saturating_add(1);
        limit.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// How often it was tried since the last success.
    pub const fn attempts(&self) -> u32 {
        self.attempt
    }

    /// It worked: the next failure starts small again.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_ceiling_and_start_small_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..40).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] <= Duration::from_millis(100) && waits[0] >= Duration::from_millis(50));
        assert!(waits[4..].iter().all(|wait| (Duration::from_millis(500)..=Duration::from_secs(1)).contains(wait)));
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
