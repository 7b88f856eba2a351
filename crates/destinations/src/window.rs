//! How long what was read may still be written.

use std::time::{Duration, Instant};

/// The time in which something that was read from the source may be written.
///
/// What was read at a moment is written within `limit` of it, or never: erasure and clean-up take rows away for good and
/// rely on that, because a row that arrived after its tombstone had gone would be back. The writer begins nothing and
/// ends nothing after the first half; the second half is the destination's, to make visible what it was given. A process
/// that was stopped in between finds the window closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteWindow {
    read_at: Instant,
    limit: Duration,
}

impl WriteWindow {
    /// `read_at`: no later than the snapshot that was read.
    pub const fn new(read_at: Instant, limit: Duration) -> Self {
        Self { read_at, limit }
    }

    /// Whether the writer may still send, and end what it sent.
    pub fn is_open(&self) -> bool {
        self.read_at.elapsed() < self.half()
    }

    /// Whether there is time to read and write more from the same snapshot: half of the writer's time is left.
    pub fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < self.half() / 2
    }

    /// What the destination has from the moment at which a write begins.
    pub fn half(&self) -> Duration {
        self.limit / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_closes_after_half_of_its_limit() {
        let limit = Duration::from_secs(60);
        let read_ago = |seconds| WriteWindow::new(Instant::now() - Duration::from_secs(seconds), limit);
        assert!(read_ago(0).is_open() && read_ago(0).is_fresh());
        assert!(read_ago(20).is_open() && !read_ago(20).is_fresh());
        assert!(!read_ago(31).is_open() && !read_ago(31).is_fresh());
        assert_eq!(read_ago(31).half(), Duration::from_secs(30));
    }
}
