//! Waiting for what others do, with a limit, and telling what for.

use std::time::{Duration, Instant};

use crate::error::Unfinished;

/// Whoever waits is told what for, this often.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// The longest pause between two looks.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// Is told what happens meanwhile, one sentence a call.
pub type Progress<'a> = &'a mut (dyn FnMut(&str) + Send);

/// How long is waited, and whom to tell.
pub(crate) struct Waiting<'a> {
    began: Instant,
    limit: Duration,
    told: Instant,
    pause: Duration,
    progress: Progress<'a>,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(limit: Duration, progress: Progress<'a>) -> Self {
        let now = Instant::now();
        Self { began: now, limit, told: now, pause: Duration::from_millis(5), progress }
    }

    pub(crate) fn tell(&mut self, what: &str) {
        (self.progress)(what);
    }

    /// Milliseconds since the beginning.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What is left of the limit.
    pub(crate) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.began.elapsed())
    }

    /// Pauses before the next look, and tells now and then what is waited for.
    ///
    /// # Errors
    /// When the limit would be exceeded.
    pub(crate) async fn pause(&mut self, what: impl FnOnce() -> String) -> Result<(), Unfinished> {
        if self.began.elapsed() + self.pause > self.limit {
            return Err(Unfinished::TimeIsUp(what()));
        }
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            self.tell(&format!("Waiting: {}.", what()));
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        Ok(())
    }
}
