//! Clocks by which a window closes that was opened before a machine stood still.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// The clock that goes on while the machine is suspended. [`std::time::Instant`] on Linux reads `CLOCK_MONOTONIC`, which
/// does not (`clock_gettime(2)`); elsewhere there is no other.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SINCE_BOOT: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

/// A moment as two clocks show it.
///
/// No clock alone will do: the one since boot stands still with a virtual machine that is paused or kept as an image of
/// its memory, and the wall clock, which is set right after that, can be set back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    since_boot: Duration,
    since_epoch: Duration,
}

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        let boot = clock_gettime(SINCE_BOOT);
        let since_boot = Duration::try_from(boot).unwrap_or_default();
        // Before 1970 the wall clock says nothing, and the other one counts.
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { since_boot, since_epoch }
    }

    /// A moment at which the clocks show this.
    #[cfg(test)]
    pub(crate) const fn of(since_boot: Duration, since_epoch: Duration) -> Self {
        Self { since_boot, since_epoch }
    }

    /// What the wall clock shows, as time since 1970.
    pub(crate) const fn since_epoch(self) -> Duration {
        self.since_epoch
    }

    /// As early as each clock of the two shows.
    pub(crate) fn earliest(self, other: Self) -> Self {
        Self { since_boot: self.since_boot.min(other.since_boot), since_epoch: self.since_epoch.min(other.since_epoch) }
    }

    /// How long ago an earlier moment was, by the clock that has gone on further. Too much after the wall clock was set
    /// forward, which costs another read, and never too little while one of the two went on.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let since_boot = self.since_boot.saturating_sub(earlier.since_boot);
        since_boot.max(self.since_epoch.saturating_sub(earlier.since_epoch))
    }
}

impl std::ops::Sub<Duration> for Moment {
    type Output = Self;

    /// So long before. No further back than where each clock begins.
    fn sub(self, ago: Duration) -> Self {
        Self { since_boot: self.since_boot.saturating_sub(ago), since_epoch: self.since_epoch.saturating_sub(ago) }
    }
}
