//! The sweep: follows the changes in order, and asks the destination for the cursors of just those whose rows changed.
//!
//! So it knows through which number everything has been shipped, which is what `wait`, `status` and the retention of changes
//! go by, and it finds changes whose announcement got lost on the way: a cursor that stands still below a change is announced again. What it
//! costs depends on what has changed, not on how many tenancies there are.

mod answers;
mod told;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_core::freshness::ChangeTimes;
use lockstep_core::{MappingName, SequenceId, TenancyId, failpoint};
use lockstep_destinations::{Destination, DestinationError, without_ahead};
use lockstep_queue::Publisher;
use lockstep_schema::pauses::Pauses;
use lockstep_schema::tasks::{Ran, Task};
use lockstep_schema::{Source, SourceError};

use self::answers::{cursor_of, cursors, while_it_answers};
use self::told::Told;
pub(crate) use self::told::{Found, OfMapping};
use crate::hints::Hints;
use crate::pace::jittered;
use crate::pauses::{PAUSED, SEEN_BY_ALL};
use crate::shared::Shared;
use crate::storage::progress::{Changed, ProgressSession};
use crate::storage::restarts::LOOK_EVERY;

/// Numbers that are followed in one step.
const STEP_NUMBERS: i64 = 50_000;
/// Pairs of tenancy and mapping that are known to be behind: 20 MB at most. With more of them nothing new is followed.
const MAX_BEHIND: usize = 100_000;
/// How long a cursor that was behind when a sweep began may stand still.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// How often the sweep looks through the quarantine.
const QUARANTINE_EVERY: Duration = Duration::from_secs(30);
/// A cursor that stays stuck is announced at ever longer intervals, up to this many times the first: its messages may be
/// failing, and lie with the dead letters.
const LONGEST_WAIT: u32 = 32;

/// A tenancy and mapping with a change that its cursor has not passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Behind {
    /// The last change that is known.
    last: SequenceId,
    cursor: SequenceId,
    /// Through which number all of its changes are there. It may be far above the cursor, which a tenancy without changes leaves
    /// where it is.
    through: SequenceId,
    /// Since when its first change has waited, at the earliest.
    waits: Instant,
    /// Since when the cursor has stood there.
    since: Instant,
    /// How often it was announced again there.
    announced: u32,
    /// It was behind when this worker began to sweep: nobody knows whether it was ever announced.
    from_before: bool,
}

impl Behind {
    /// Takes note of where the cursor is.
    fn moved(&mut self, cursor: SequenceId, now: Instant) {
        if cursor != self.cursor {
            self.through = if cursor < self.cursor { cursor } else { self.through.max(cursor) };
            (self.cursor, self.since, self.announced, self.from_before) = (cursor, now, 0, false);
        }
    }

    /// Whether it is worth a message: one that moves belongs to a tenancy whose pages are being shipped, and one that was
    /// announced lately may be on its way.
    fn is_due(&self, now: Instant, again_after: Duration) -> bool {
        let again_after =
            if self.from_before && self.announced == 0 { again_after.min(FIRST_WAIT) } else { again_after };
        let wait = again_after * 2_u32.saturating_pow(self.announced).min(LONGEST_WAIT);
        now.duration_since(self.since) >= wait
    }
}

type AllBehind = HashMap<(TenancyId, MappingName), Behind>;

/// The sweeps of one worker. One worker sweeps; another takes over when its connection is gone.
pub(crate) struct Sweep<D> {
    shared: Shared<D>,
    publisher: Arc<Publisher>,
    /// How often anything had been resumed when this worker last looked.
    resumed: Option<i64>,
    told: Told,
}

/// What a sweep leaves for the next.
pub(crate) struct Progress {
    session: ProgressSession,
    /// The last number that was given out, when this last looked.
    head: SequenceId,
    /// Up to where changes were followed, and who was found to be behind there.
    followed: Option<SequenceId>,
    behind: AllBehind,
    looked_through: Option<Instant>,
    looked_at_servers: Option<Instant>,
}

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error(transparent)]
    Queue(#[from] lockstep_queue::QueueError),
}

impl<D: Destination> Task for Sweep<D> {
    const NAME: &'static str = "sweep";
    const TIMEOUT: Duration = Duration::from_secs(300);
    type Session = Progress;
    type Error = SweepError;

    async fn open(&self, source: &Source) -> Result<Progress, SweepError> {
        let session = ProgressSession::open(source, &self.shared.mappings).await?;
        Ok(Progress {
            session,
            head: SequenceId::BASE,
            followed: None,
            behind: AllBehind::new(),
            looked_through: None,
            looked_at_servers: None,
        })
    }

    /// Follows what is new and looks at who is behind, if it is this worker that sweeps.
    async fn run(&mut self, _: &Source, progress: &mut Progress) -> Result<Ran, SweepError> {
        let every = jittered(self.shared.limits.sweep_every);
        let Some(pauses) = self.shared.pauses.if_shipping() else { return Ok(Ran::waits(PAUSED, every)) };
        // Changes were passed over that nobody announces any more: everything that is behind is announced.
        let at_once = self.resumed.is_some_and(|before| before != pauses.resumed);
        if at_once {
            tokio::time::sleep(SEEN_BY_ALL).await;
        }
        if !progress.session.lead().await? {
            self.told.left_to_another(self.shared.mappings.names().into_iter());
            return Ok(Ran::left_to_another(every));
        }
        let began = Instant::now();
        let (passed, head) = progress.session.position().await?;
        progress.head = head;
        let before = if self.told.is_new() { progress.session.before().await? } else { None };
        self.told.began(began, passed < head, before);
        let announced = self.round(progress, (passed, head), began, (&pauses, at_once)).await;
        if let Err(SweepError::Destination(_)) = &announced {
            let up_to = SequenceId::new(head.get().min(passed.get() + STEP_NUMBERS));
            self.told.cut_off(&self.shared.mappings.names(), &progress.session.changed(passed, up_to).await?);
        }
        let announced = announced?;
        self.resumed = Some(pauses.resumed);
        Ok(Ran::did(announced, every))
    }
}

impl<D: Destination> Sweep<D> {
    pub(crate) fn new(shared: Shared<D>, publisher: Arc<Publisher>) -> Self {
        Self { shared, publisher, resumed: None, told: Told::default() }
    }

    /// One round, which began then. Returns how many tenancies were announced again.
    async fn round(
        &mut self,
        progress: &mut Progress,
        (passed, head): (SequenceId, SequenceId),
        began: Instant,
        (pauses, at_once): (&Pauses, bool),
    ) -> Result<usize, SweepError> {
        if progress.looked_at_servers.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            match self.look_at_servers(progress).await {
                // One server of several may be away, which nothing else has to wait for.
                Err(SweepError::Destination(error)) => {
                    self.shared.destination.ping().await?;
                    tracing::warn!(%error, "the destination's servers do not all say when they were started");
                    progress.looked_at_servers = Some(Instant::now());
                }
                looked => looked?,
            }
        }
        self.look_again(progress).await?;
        let followed = self.follow(progress, passed, head, began).await?;
        let through = progress.behind.values().map(|behind| behind.through).min().unwrap_or(followed).min(followed);
        if through > passed {
            failpoint!("worker::passed::before", return Err(SourceError::Timeout(Duration::ZERO).into()));
            progress.session.advance(through).await?;
            failpoint!("worker::passed::after", return Err(SourceError::Timeout(Duration::ZERO).into()));
        }
        if let Some(found) = self.told.ended(began, self.found(&progress.behind), followed == head) {
            progress.session.write_result(&found).await?;
        }
        let announced = self.announce(progress, pauses, at_once).await?;
        if progress.looked_through.is_none_or(|at| at.elapsed() >= QUARANTINE_EVERY) {
            progress.session.look_through_quarantine(through.max(passed)).await?;
            progress.looked_through = Some(Instant::now());
        }
        Ok(announced)
    }

    /// Has shipped again what a server may have lost that was started again, and notes how far the destination has come.
    async fn look_at_servers(&self, progress: &mut Progress) -> Result<(), SweepError> {
        let destination = &self.shared.destination;
        let servers = while_it_answers(destination, destination.servers()).await?;
        if servers.is_empty() {
            progress.session.forget_servers().await?;
            progress.looked_at_servers = Some(Instant::now());
            return Ok(());
        }
        let restarted = progress.session.note_servers(&servers).await?;
        if restarted > 0 {
            tracing::warn!(
                servers = restarted,
                "the destination was started again: its last minutes are shipped again"
            );
            // Cursors may be lower than they were.
            (progress.followed, progress.behind) = (None, AllBehind::new());
        }
        if let Some(rows) = progress.session.change_some_again().await? {
            tracing::info!(rows, "rows that the destination may have lost have changes again");
            return Ok(());
        }
        progress.session.note_passed().await?;
        progress.looked_at_servers = Some(Instant::now());
        Ok(())
    }

    /// Follows changes up to `head`; returns up to where.
    async fn follow(
        &mut self,
        progress: &mut Progress,
        passed: SequenceId,
        head: SequenceId,
        began: Instant,
    ) -> Result<SequenceId, SweepError> {
        let (is_first, since) = (progress.followed.is_none(), self.told.found_since(began));
        let mut at = progress.followed.unwrap_or(passed);
        while at < head && progress.behind.len() < MAX_BEHIND {
            let up_to = SequenceId::new(head.get().min(at.get() + STEP_NUMBERS));
            let changed = progress.session.changed(at, up_to).await?;
            changed.keys().for_each(|(_, mapping)| self.told.looked(mapping));
            self.note(progress, changed, since, is_first).await?;
            at = up_to;
        }
        progress.followed = Some(at);
        Ok(at)
    }

    /// Asks again for the cursors of those who were behind.
    async fn look_again(&self, progress: &mut Progress) -> Result<(), SweepError> {
        let changed = progress.behind.iter().map(|(pair, behind)| (pair.clone(), behind.last..=behind.last)).collect();
        self.note(progress, changed, Instant::now(), false).await
    }

    /// Takes note of who is behind these changes, which have waited since then at the earliest.
    async fn note(
        &self,
        progress: &mut Progress,
        changed: Changed,
        waits: Instant,
        from_before: bool,
    ) -> Result<(), SweepError> {
        if changed.is_empty() {
            return Ok(());
        }
        let tenancies = tenancies_of(&changed);
        let cursors = cursors(&self.shared, &tenancies).await?;
        // Most are of changes that are known by now.
        if cursors.values().any(|cursor| *cursor > progress.head) {
            progress.head = progress.session.position().await?.1;
        }
        let cursors = without_ahead(cursors, progress.head);
        let late: Changed = changed
            .into_iter()
            .filter(|(pair, changes)| {
                let is_late = cursor_of(&cursors, pair) < *changes.end();
                if !is_late {
                    progress.behind.remove(pair);
                }
                is_late
            })
            .collect();
        // A tenancy that lives nowhere has nothing to ship, so nothing of it is missing.
        let known = progress.session.known(&tenancies_of(&late)).await?;
        let now = Instant::now();
        for (pair, changes) in late {
            if known.get(pair.0).is_none() {
                progress.behind.remove(&pair);
                continue;
            }
            let cursor = cursor_of(&cursors, &pair);
            let behind = progress.behind.entry(pair).or_insert(Behind {
                last: *changes.end(),
                cursor,
                through: cursor.max(SequenceId::new(changes.start().get() - 1)),
                waits,
                since: now,
                announced: 0,
                from_before,
            });
            behind.last = behind.last.max(*changes.end());
            behind.moved(cursor, now);
        }
        Ok(())
    }

    /// What was found of each mapping.
    fn found(&self, behind: &AllBehind) -> Found {
        let mut found: Found =
            self.shared.mappings.names().into_iter().map(|name| (name, OfMapping::default())).collect();
        for ((_, mapping), behind) in behind {
            if let Some(of) = found.get_mut(mapping) {
                of.behind += 1;
                of.oldest = Some(of.oldest.map_or(behind.waits, |oldest| oldest.min(behind.waits)));
            }
        }
        found
    }

    /// Announces again the tenancies whose cursors have stood still for long, or all that are behind. Returns how many.
    async fn announce(&self, progress: &mut Progress, pauses: &Pauses, at_once: bool) -> Result<usize, SweepError> {
        let (now, mut hints) = (Instant::now(), Hints::default());
        for ((tenancy, mapping), behind) in &mut progress.behind {
            let Some(index) = self.shared.mappings.index(mapping) else { continue };
            let is_paused = self.shared.mappings.are_paused(pauses, *tenancy, index);
            if !is_paused && (at_once || behind.is_due(now, self.shared.limits.announce_again_after)) {
                hints.add(*tenancy, [index], behind.last);
                hints.note_times(*tenancy, ChangeTimes::stamped(behind.waits.elapsed(), None));
                (behind.since, behind.announced) = (now, behind.announced.saturating_add(1));
            }
        }
        if !hints.is_empty() {
            self.publisher.publish(&[hints.to_batch(&self.shared.mappings)]).await?;
            tracing::info!(tenancies = hints.len(), "changes were announced again that had not arrived");
        }
        Ok(hints.len())
    }
}

fn tenancies_of(changed: &Changed) -> Vec<TenancyId> {
    let tenancies: BTreeSet<_> = changed.keys().map(|(tenancy, _)| *tenancy).collect();
    tenancies.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_moves_is_left_to_those_who_move_it_and_one_that_is_stuck_is_announced_ever_more_seldom() {
        let (start, minute) = (Instant::now(), Duration::from_secs(60));
        let at = SequenceId::new(7);
        let mut behind = Behind {
            last: SequenceId::new(9),
            cursor: at,
            through: at,
            waits: start,
            since: start,
            announced: 0,
            from_before: false,
        };
        assert!(!behind.is_due(start + minute / 2, minute) && behind.is_due(start + minute, minute));
        behind.from_before = true;
        assert!(behind.is_due(start + FIRST_WAIT, minute) && !behind.is_due(start + FIRST_WAIT / 2, minute));
        behind.moved(SequenceId::new(8), start + minute);
        assert!(!behind.is_due(start + minute, minute), "it moved");
        behind.announced = 3;
        assert!(!behind.is_due(start + minute * 8, minute) && behind.is_due(start + minute * 9, minute));
        behind.announced = u32::MAX;
        assert!(behind.is_due(start + minute * 33, minute), "never given up");
    }

    #[test]
    fn what_is_there_goes_up_to_the_first_change_that_is_not_and_back_with_the_cursor() {
        let [two, five, seven, nine] = [2, 5, 7, 9].map(SequenceId::new);
        let start = Instant::now();
        let mut behind = Behind {
            last: nine,
            cursor: two,
            through: seven,
            waits: start,
            since: start,
            announced: 0,
            from_before: false,
        };
        let mut through = |cursor| {
            behind.moved(cursor, start);
            behind.through
        };
        assert_eq!([five, SequenceId::new(8), five].map(&mut through), [seven, SequenceId::new(8), five]);
    }
}
