//! How long what was read may still be written.

use std::time::Duration;

use uuid::Uuid;

use crate::clocks::Moment;

/// The time in which something that was read from the source may be written.
///
/// What was read at a moment is written within `limit` of it, or never: erasure and clean-up take rows away for good and
/// rely on that, because a row that arrived after its tombstone had gone would be back. The writer begins nothing and
/// ends nothing after the first half; the second half is the destination's, to make visible what it was given. A process
/// that was stopped in between finds the window closed, and so does one whose machine was suspended, or restored from an
/// image of its memory once its wall clock was set right: see [`Moment`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteWindow {
    read_at: Moment,
    limit: Duration,
    /// Names what is written within it.
    id: Uuid,
}

impl WriteWindow {
    /// `read_at`: no later than the snapshot that was read.
    pub fn new(read_at: Moment, limit: Duration) -> Self {
        Self { read_at, limit, id: Uuid::new_v4() }
    }

    /// What was read together has one: the destination logs it with what is written of it.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Whether the writer may still send, and end what it sent.
    pub fn is_open(&self) -> bool {
        self.is_open_at(Moment::now())
    }

    /// Whether there is time to read and write more from the same snapshot: half of the writer's time is left.
    pub fn is_fresh(&self) -> bool {
        self.is_fresh_at(Moment::now())
    }

    /// The window of what is written together: it is closed where one of the two is.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { read_at: self.read_at.earliest(other.read_at), limit: self.limit.min(other.limit), id: self.id }
    }

    /// The wall clock's time since 1970 at which it closes, for the clock of another machine to be compared with. One that is
    /// ahead closes it early, one that is behind closes it late: this is beside [`WriteWindow::is_open`], not instead.
    pub(crate) fn ends_by(&self) -> Duration {
        self.read_at.since_epoch() + self.half()
    }

    fn is_open_at(&self, now: Moment) -> bool {
        now.since(self.read_at) < self.half()
    }

    fn is_fresh_at(&self, now: Moment) -> bool {
        now.since(self.read_at) < self.half() / 2
    }

    /// What the destination has from the moment at which a write begins.
    pub fn half(&self) -> Duration {
        self.limit / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);
    const READ_AT: Moment = moment(1_000, 1_800_000_000);

    /// What both clocks show, in seconds.
    const fn moment(since_boot: u64, since_epoch: u64) -> Moment {
        Moment::of(Duration::from_secs(since_boot), Duration::from_secs(since_epoch))
    }

    /// Whether a window is open and fresh when the clocks have gone on by so many seconds each.
    fn after(since_boot: u64, since_epoch: u64) -> (bool, bool) {
        let now = moment(1_000 + since_boot, 1_800_000_000 + since_epoch);
        let window = WriteWindow::new(READ_AT, LIMIT);
        (window.is_open_at(now), window.is_fresh_at(now))
    }

    #[test]
    fn a_window_closes_after_half_of_its_limit() {
        assert_eq!(after(0, 0), (true, true));
        assert_eq!(after(14, 14), (true, true));
        assert_eq!(after(15, 15), (true, false));
        assert_eq!(after(29, 29), (true, false));
        assert_eq!(after(30, 30), (false, false));
        assert_eq!(WriteWindow::new(READ_AT, LIMIT).half(), Duration::from_secs(30));
    }

    #[test]
    fn a_window_is_closed_when_either_clock_says_so() {
        // A machine that was restored from an image: only the wall clock, set right since, has gone on.
        assert_eq!(after(1, 7_200), (false, false));
        // The wall clock was set back, or not yet set right after a suspension.
        assert_eq!(after(7_200, 1), (false, false));
    }

    #[test]
    fn a_wall_clock_that_is_set_back_leaves_a_window_open_no_longer() {
        let window = WriteWindow::new(READ_AT, LIMIT);
        assert!(window.is_open_at(moment(1_029, 1_700_000_000)));
        assert!(!window.is_open_at(moment(1_030, 1_700_000_000)));
    }

    #[test]
    fn what_is_written_together_has_the_window_of_what_was_read_first() {
        let (later, shorter) = (moment(1_010, 1_799_999_990), Duration::from_secs(40));
        let both = WriteWindow::new(READ_AT, LIMIT).and(WriteWindow::new(later, shorter));
        assert_eq!((both.read_at, both.limit), (moment(1_000, 1_799_999_990), shorter));
    }

    #[test]
    fn what_was_just_read_may_be_written() {
        let window = WriteWindow::new(Moment::now(), Duration::from_secs(86_400));
        assert!(window.is_open() && window.is_fresh());
    }
}
