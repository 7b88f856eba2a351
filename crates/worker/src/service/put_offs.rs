//! The last messages that this worker put off again, for its heartbeat to tell.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use lockstep_core::SequenceId;
use lockstep_schema::instances::PutOff;

/// A message that fails for the first time may get through the next, a second later.
const TOLD_FROM_ATTEMPT: u32 = 2;
/// Characters of a reason that are told.
const REASON_CHARS: usize = 1000;

/// Shared with the heartbeat. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct PutOffs(Arc<Mutex<Option<(Instant, PutOff)>>>);

impl PutOffs {
    /// A message about changes through that number failed, and comes again later.
    pub(super) fn note(&self, attempt: u32, why: &str, through: SequenceId) {
        if attempt >= TOLD_FROM_ATTEMPT {
            let why = why.chars().take(REASON_CHARS).collect();
            let put_off = PutOff { why, through: through.get(), ago_s: 0 };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), put_off));
        }
    }

    /// The last of them.
    pub(super) fn last(&self) -> Option<PutOff> {
        let (at, put_off) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(PutOff { ago_s: at.elapsed().as_secs(), ..put_off })
    }
}
