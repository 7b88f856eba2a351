//! Waiting for a condition, never for a length of time.

use std::time::{Duration, Instant};

use anyhow::Result;

const POLL: Duration = Duration::from_millis(50);

/// Asks again and again until there is an answer; `None` when the limit has passed without one.
pub(crate) fn wait_until<T>(limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        #[expect(clippy::disallowed_methods, reason = "there is no runtime here whose threads it could block")]
        std::thread::sleep(POLL);
    }
}
