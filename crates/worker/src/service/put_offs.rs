//! The messages that this worker put off again, by what kept them, for its heartbeat to tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use lockstep_core::SequenceId;
use lockstep_core::output::code_in;
use lockstep_schema::instances::PutOff;

/// A message that fails for the first time may get through the next, a second later.
const TOLD_FROM_ATTEMPT: u32 = 2;
/// Causes that are told; beyond it the one that was met longest ago is forgotten.
const MAX_CAUSES: usize = 8;
/// Characters of a reason that are told.
const REASON_CHARS: usize = 1000;

/// By mapping and code. Shared with the heartbeat; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct PutOffs(Arc<Mutex<BTreeMap<String, (Instant, PutOff)>>>);

impl PutOffs {
    /// A message about changes through that number failed, and comes again later.
    pub(super) fn note(&self, attempt: u32, why: &str, through: SequenceId) {
        if attempt < TOLD_FROM_ATTEMPT {
            return;
        }
        let mut causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cause = match code_in(why) {
            Some(code) => why.split_inclusive(code).next().unwrap_or_default(),
            None => why,
        };
        let before = causes.get(cause).map_or(through.get(), |(_, put_off)| put_off.through);
        let told = why.chars().take(REASON_CHARS).collect();
        let put_off = PutOff { why: told, through: through.get().max(before), ago_s: 0 };
        causes.insert(cause.to_owned(), (Instant::now(), put_off));
        while causes.len() > MAX_CAUSES {
            let oldest = causes.iter().min_by_key(|(_, (at, _))| *at).map(|(cause, _)| cause.clone());
            oldest.map(|cause| causes.remove(&cause));
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<PutOff> {
        let causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        causes.values().map(|(at, put_off)| PutOff { ago_s: at.elapsed().as_secs(), ..put_off.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_with_the_last_number_that_it_keeps() {
        let put_offs = PutOffs::default();
        let note = |attempt, why: &str, through| put_offs.note(attempt, why, SequenceId::new(through));
        note(1, "users: LS-0407: once", 99);
        note(2, "users: LS-0420: cursors of 2 tenancies", 20);
        note(3, "users: LS-0420: cursors of 1 tenancies", 7);
        note(2, "teams: LS-0430: so many", 9);
        let told: Vec<_> = put_offs.all().into_iter().map(|put_off| (put_off.why, put_off.through)).collect();
        let expected = [("teams: LS-0430: so many", 9), ("users: LS-0420: cursors of 1 tenancies", 20)];
        assert_eq!(told, expected.map(|(why, through)| (why.to_owned(), through)));
        (0..50).for_each(|number| note(2, &format!("m{number}: LS-0430: so many"), number));
        assert_eq!(put_offs.all().len(), MAX_CAUSES);
    }
}
