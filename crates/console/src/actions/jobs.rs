//! Exports that were begun here and go on after the answer. They are told of as long as the console lives; where it ends they
//! are begun again by the same form, and go on where they were.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Jobs at the same time.
const AT_ONCE: usize = 4;
/// Jobs that are told of.
const TOLD: usize = 20;

/// What was begun here.
#[derive(Default)]
pub(crate) struct Jobs {
    running: AtomicUsize,
    told: Mutex<VecDeque<(u64, String, String)>>,
    next: std::sync::atomic::AtomicU64,
}

/// A job that runs until this is dropped.
pub(super) struct Job {
    jobs: Arc<Jobs>,
    id: u64,
}

impl Jobs {
    /// One more, or `None` where enough run.
    pub(super) fn begin(self: &Arc<Self>, title: String) -> Option<Job> {
        let one_more = |count| (count < AT_ONCE).then_some(count + 1);
        self.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push_front((id, title, "under way".to_owned()));
        told.truncate(TOLD);
        Some(Job { jobs: Arc::clone(self), id })
    }

    /// Each with how it is, the last first.
    pub(crate) fn told(&self) -> Vec<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter().map(|(_, title, state)| format!("{title}: {state}")).collect()
    }
}

impl Job {
    /// Says how it is.
    pub(super) fn tell(&self, state: &str) {
        let mut told = self.jobs.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = told.iter_mut().find(|job| job.0 == self.id) {
            state.clone_into(&mut job.2);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.jobs.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_run_at_once_and_a_few_are_told_of() {
        let jobs = Arc::new(Jobs::default());
        let running: Vec<_> = (0..AT_ONCE).map(|number| jobs.begin(number.to_string()).unwrap()).collect();
        assert!(jobs.begin("one too many".to_owned()).is_none());
        running[0].tell("done");
        assert_eq!(jobs.told().last().unwrap(), "0: done");
        drop(running);
        for number in 0..TOLD {
            assert!(jobs.begin(format!("later {number}")).is_some());
        }
        assert_eq!(jobs.told().len(), TOLD);
        assert!(!jobs.told().iter().any(|told| told.starts_with("0:")));
    }
}
