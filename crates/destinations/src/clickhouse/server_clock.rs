//! A window for late writes, judged by the server's clock.

use std::time::Duration;

use super::{ClickHouse, error};
use crate::clocks::Moment;
use crate::erase::Erase;
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

/// Asks the server for its time, and fails with [`Failure::Late`] when the window is closed by it.
pub(super) async fn check(server: &ClickHouse, window: WriteWindow) -> Result<(), DestinationError> {
    let now_ms = server.now_ms().await?.unsigned_abs();
    judge(window, Duration::from_millis(now_ms), Moment::now())
}

fn judge(window: WriteWindow, at_server: Duration, here: Moment) -> Result<(), DestinationError> {
    if window.is_open_by(at_server) {
        return Ok(());
    }
    let ahead_ms = at_server.saturating_sub(here.since_epoch()).as_millis();
    Err(error(
        Failure::Late,
        format!("by its clock they were read too long ago; that clock is {ahead_ms} ms ahead of this machine's"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_machine_whose_clocks_all_stood_still_is_late_by_the_server_s() {
        let read_at = Moment::of(seconds(50), seconds(1_000));
        let window = WriteWindow::new(read_at, seconds(60));
        assert!(judge(window, seconds(1_029), read_at).is_ok());
        let late = judge(window, seconds(1_030), read_at).unwrap_err();
        assert_eq!(late.failure(), Failure::Late);
        assert!(late.to_string().contains("30000 ms ahead"), "{late}");
    }

    #[test]
    fn a_server_whose_clock_is_behind_closes_nothing() {
        let read_at = Moment::of(seconds(50), seconds(1_000));
        assert!(judge(WriteWindow::new(read_at, seconds(60)), seconds(900), read_at).is_ok());
    }
}
