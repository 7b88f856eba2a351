//! How much is read for a tenant's database at once: what it takes in about a second, as far as that is known. One that takes a
//! byte a second so holds little memory, and one that is quick gets large pages.

use std::time::Duration;

/// A page of a destination of which nothing is known yet, or which has just failed.
const FIRST_BYTES: u64 = 256 * 1024;
const LEAST_BYTES: u64 = 64 * 1024;
/// Larger pages are hardly faster.
const MOST_BYTES: u64 = 2 * 1024 * 1024;
/// How long a page should take.
const AIM: Duration = Duration::from_secs(1);
/// Pages grow by this factor at most.
const GROWTH: u64 = 4;

/// Bytes of the next page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PageSize(u64);

impl Default for PageSize {
    fn default() -> Self {
        Self(FIRST_BYTES)
    }
}

impl PageSize {
    pub(super) const fn bytes(self) -> u64 {
        self.0
    }

    /// So many bytes were written in this time. Small pages say nothing about large ones.
    pub(super) fn learn(&mut self, bytes: u64, took: Duration) {
        let in_time =
            bytes.saturating_mul(1000) / u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1) * AIM.as_secs();
        if in_time < self.0 && took >= AIM || bytes >= self.0 / 2 {
            self.0 = in_time.min(self.0 * GROWTH).clamp(LEAST_BYTES, MOST_BYTES);
        }
    }

    /// It failed: the next page is a small one.
    pub(super) fn forget(&mut self) {
        *self = Self(self.0.min(FIRST_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_grow_with_a_quick_destination_and_shrink_with_a_slow_one() {
        let mut size = PageSize::default();
        size.learn(FIRST_BYTES, Duration::from_millis(10));
        assert_eq!(size.bytes(), FIRST_BYTES * GROWTH);
        size.learn(size.bytes(), Duration::from_millis(10));
        assert_eq!(size.bytes(), MOST_BYTES);
        size.learn(1_000_000, Duration::from_secs(10));
        assert_eq!(size.bytes(), 100_000);
        size.learn(10, Duration::from_secs(10));
        assert_eq!(size.bytes(), LEAST_BYTES);
    }

    #[test]
    fn small_pages_that_go_quickly_say_nothing() {
        let mut size = PageSize::default();
        size.learn(100, Duration::from_millis(5));
        assert_eq!(size, PageSize::default());
    }
}
