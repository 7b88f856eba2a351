//! Dropping deleted rows from the destination for good.
//!
//! A tombstone hides every row of its key that has a lower number, also one that arrives later. It can go when none can
//! arrive any more: when it has been there for longer than anything can be written that was read before it. Whoever reads
//! after it was written finds the key dead in the source (SEQ-1), or a row with a higher number. Its own time of arrival,
//! by the destination's clock, is all that has to be known for that.
//!
//! Before tombstones go, all parts of the table are merged, so that what they hide is gone. That rewrites the table: it is
//! done for one table at a time, where there are enough of them, or where it was not done for long.

use std::time::{Duration, Instant};

use lockstep_destinations::{Destination, Erase, OldTombstones};

use super::{Janitor, JanitorError};
use crate::limits::Limits;
use crate::storage::janitor::JanitorSession;

impl<D: Destination + Erase> Janitor<D> {
    /// Looks at the next mapping that is due, and drops its deleted rows if that is worth it. Returns how many.
    pub(super) async fn clean(&mut self, session: &JanitorSession, wait: Duration) -> Result<u64, JanitorError> {
        let Some(place) = self.next_due() else { return Ok(0) };
        let Some(mapping) = self.set.iter().nth(place) else { return Ok(0) };
        let name = mapping.name.as_str();
        // Rows of a fill under way have a number that is older than what tombstones may hide.
        if !session.is_filled(name).await? {
            return Ok(0);
        }
        // A receipt counts what an erasure removes: what hides the rows of a tenancy that is still to be erased stays. It came
        // after the tenancy was seen to be gone, which by this order of questions is before `before_ms` in no case.
        let now_ms = self.destination.now_ms().await?;
        let shown_for = session.oldest_erasure().await?.map_or(wait, |age| age.max(wait));
        let before_ms = now_ms.saturating_sub(i64::try_from(shown_for.as_millis()).unwrap_or(i64::MAX));
        let found = self.destination.old_tombstones(mapping, before_ms).await?;
        let last = session.cleaned_ago(name).await?;
        if !is_worth_it(found, last, self.limits) {
            return Ok(0);
        }
        let started = Instant::now();
        if !self.destination.drop_tombstones(mapping, before_ms).await? {
            tracing::info!(mapping = name, "deleted rows were not dropped: not all parts could be merged");
            return Ok(0);
        }
        session.cleaned(name, found.tombstones).await?;
        let (dropped, took_ms) = (found.tombstones, started.elapsed().as_millis());
        tracing::info!(mapping = name, dropped, took_ms, "deleted rows were dropped");
        Ok(dropped)
    }

    /// The next mapping that was not looked at for a while, by its place.
    fn next_due(&mut self) -> Option<usize> {
        let all = self.looked_at.len();
        let every = self.limits.clean_up_every;
        let places = (0..all).map(|step| (self.next_to_clean + step) % all);
        let due = places.into_iter().find(|&place| self.looked_at[place].is_none_or(|at| at.elapsed() >= every))?;
        self.looked_at[due] = Some(Instant::now());
        self.next_to_clean = (due + 1) % all;
        Some(due)
    }
}

/// Whether a table is rewritten for these tombstones; it was rewritten `last` ago, or never.
fn is_worth_it(found: OldTombstones, last: Option<Duration>, limits: Limits) -> bool {
    let many = found.tombstones.saturating_mul(100) >= found.rows.saturating_mul(u64::from(limits.clean_up_percent));
    let long_ago = last.is_none_or(|ago| ago >= limits.clean_up_at_least_every);
    found.tombstones > 0 && (many || long_ago)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_rewritten_for_many_tombstones_or_after_a_long_time() {
        let limits = Limits { clean_up_percent: 5, ..Limits::default() };
        let day = limits.clean_up_at_least_every;
        let worth = |tombstones, rows, last| is_worth_it(OldTombstones { tombstones, rows }, last, limits);
        assert!(!worth(0, 0, None) && !worth(0, 100, None), "nothing to do");
        assert!(worth(5, 100, Some(Duration::ZERO)));
        assert!(!worth(4, 100, Some(day / 2)));
        assert!(worth(1, 1_000_000, Some(day)) && worth(1, 1_000_000, None));
    }
}
