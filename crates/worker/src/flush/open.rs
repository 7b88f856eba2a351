//! Opening a flush: the snapshot that it reads, and the cursors that it reads above.
//!
//! Cursors that are ahead of the source (it was restored to an earlier state, SRC-1) stop their pairs here: numbers between
//! the source's last and the cursor would be given out again and never be read. The sequencer minds that, too; this is for
//! what it cannot see. A replica may well be behind cursors that a reader of the primary has moved.

use std::time::{Duration, Instant};

use futures_util::future::join;
use lockstep_core::health::Health;
use lockstep_core::retry::Backoff;
use lockstep_core::telemetry::{Kind, Span};
use lockstep_core::{MappingName, SequenceId, TenancyId, failpoint};
use lockstep_destinations::{Cursors, Destination, DestinationError, Keeps, Selection};
use lockstep_schema::Source;

use super::outcome::{Flushed, Outcome, PairsOutcome, Report};
use super::recent_cursors::{self, Confirmation, RecentCursors};
use super::{DESTINATION, SOURCE};
use crate::error::{CursorsAhead, ShipError};
use crate::hints::Hints;
use crate::mappings::Mappings;
use crate::metrics;
use crate::storage::replica::{self, Primary};
use crate::storage::{FetchSession, FetchSessions, LeasedSession, Snapshot};

/// Cursors ahead of the source are logged this often at most: there may be many messages, and what helps is the same for
/// all.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Everything that is known before the first row is read.
pub(super) struct Opened {
    pub(super) snapshot: Snapshot,
    pub(super) cursors: Cursors,
    /// Where cursors were remembered, whether the destination holds what they have passed.
    pub(super) confirmation: Option<Confirmation>,
}

/// What a flush leaves of its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SessionEnd {
    /// It can be used for the next.
    Usable,
    /// It cannot.
    Broken,
    /// A read was stopped before its end.
    Reading,
}

/// A streaming replica that is read instead of the source, and how long it is given to replay what was announced.
struct Replica {
    source: Source,
    primary: Primary,
    backoff: Backoff,
    /// The furthest that it was seen.
    head: SequenceId,
}

/// Opens flushes, one at a time.
pub(super) struct Opener {
    source: Source,
    replica: Option<Replica>,
    sessions: FetchSessions,
    recent: RecentCursors,
    health: Health,
    logged: Option<Instant>,
}

impl Opener {
    pub(super) fn new(source: Source, sessions: FetchSessions, health: Health) -> Self {
        Self { source, replica: None, sessions, recent: RecentCursors::default(), health, logged: None }
    }

    /// Takes note of where a flush has moved cursors to; after a failure of the destination nothing is taken for granted.
    pub(super) fn remember(&mut self, report: &mut Report) {
        if report.write_failure.is_some() {
            self.forget_cursors();
            return;
        }
        self.recent.note(report.moved.iter().copied(), Instant::now());
        if let Some(cursors) = &mut report.cursors {
            cursors.number = self.recent.are_moving(report.moved.clone());
        }
    }

    /// Whether nothing has failed since the flush with these cursors.
    pub(super) fn are_still_moving(&self, number: u64) -> bool {
        self.recent.are_still_moving(number)
    }

    /// The write of the cursors of a flush has ended.
    pub(super) fn cursors_have_moved(&mut self, number: u64) {
        self.recent.have_moved(number);
    }

    /// Takes no cursor for granted any more.
    pub(super) fn forget_cursors(&mut self) {
        self.recent.forget();
    }

    /// Reads a replica of the source.
    pub(super) fn read_from(&mut self, replica: Source) {
        let (primary, backoff) =
            (Primary::new(self.source.clone()), Backoff::new(Duration::from_millis(20), Duration::from_secs(5)));
        self.replica = Some(Replica { source: replica, primary, backoff, head: SequenceId::BASE });
    }

    /// The snapshot and the cursors. Of a destination that keeps versions they are asked for at the same time, and it does not
    /// matter which answer is older: rows above the cursor are read from the snapshot, and a cursor that others moved meanwhile
    /// is not moved back. One that keeps rows tells its cursors first: whatever it takes later is read from a later snapshot than
    /// what it holds.
    pub(super) async fn open(
        &mut self,
        destination: &impl Destination,
        hints: &Hints,
        mappings: &Mappings,
    ) -> Result<(LeasedSession, Opened), ShipError> {
        let known = match destination.keeps() {
            Keeps::Versions => None,
            Keeps::Rows => Some(self.recent_or_read(destination, hints, mappings).await?),
        };
        let place = self.sessions.place().await;
        let session = match place.left() {
            Some(session) => Ok(session),
            None => {
                // Of a source that was restored cursors may be anywhere (SRC-1), and a restoration ends all sessions.
                self.forget_cursors();
                self.connect().await
            }
        };
        let session = session.inspect_err(|error| self.health.not_ready(SOURCE, error.to_string()))?;
        let session = place.take(session);
        let (tenancies, id) = (hints.tenancies(), destination.id());
        let cursors = async {
            match known {
                Some(known) => Ok(known),
                None => self.recent_or_read(destination, hints, mappings).await,
            }
        };
        let (snapshot, cursors) = join(session.begin(tenancies, &id), cursors).await;
        note(&self.health, SOURCE, &snapshot);
        if cursors.is_err() {
            self.forget_cursors();
        }
        let (mut snapshot, (mut cursors, asked_at)) = (snapshot?, cursors?);
        if let Some(asked_at) = asked_at {
            let at =
                |tenancy, mapping| cursors.get(&(tenancy, mappings.name(mapping).clone())).copied().unwrap_or_default();
            let told = hints.iter().map(|(tenancy, mapping, _)| (tenancy, mapping, at(tenancy, mapping)));
            self.recent.note(told, asked_at);
            self.recent.raise(&mut cursors, mappings);
        }
        match &mut self.replica {
            Some(replica) => snapshot.locations.keep_only(&replica.primary.living(tenancies).await?),
            None if cursors.values().any(|cursor| *cursor > snapshot.head) => {
                // Usually others moved it since the snapshot was taken. A later one, taken after the cursors were told, tells
                // those from cursors that no number given out explains (SRC-1).
                session.end().await?;
                snapshot = session.begin(tenancies, &id).await?;
            }
            None => {}
        }
        tracing::debug!(head = %snapshot.head, asked = asked_at.is_some(), "a snapshot is open");
        let confirmation = asked_at.is_none().then(|| {
            let remembered = self.recent.to_confirm(&cursors, mappings);
            let pairs: (Vec<_>, Vec<_>) = remembered.keys().cloned().unzip();
            let destination = destination.clone();
            recent_cursors::confirmation(
                remembered,
                async move { read_cursors(&destination, &pairs.0, &pairs.1).await },
            )
        });
        Ok((session, Opened { snapshot, cursors, confirmation }))
    }

    /// The cursors, and when the destination was asked if it was.
    async fn recent_or_read(
        &self,
        destination: &impl Destination,
        hints: &Hints,
        mappings: &Mappings,
    ) -> Result<(Cursors, Option<Instant>), DestinationError> {
        let now = Instant::now();
        if destination.keeps() == Keeps::Versions
            && let Some(known) = self.recent.of(hints, mappings, now)
        {
            return Ok((known, None));
        }
        let names: Vec<_> = hints.mappings().into_iter().map(|mapping| mappings.name(mapping).clone()).collect();
        let cursors = read_cursors(destination, hints.tenancies(), &names).await;
        note(&self.health, DESTINATION, &cursors);
        Ok((cursors?, Some(now)))
    }

    async fn connect(&self) -> Result<FetchSession, ShipError> {
        let Some(replica) = &self.replica else { return Ok(FetchSession::open(&self.source).await?) };
        let session = FetchSession::open(&replica.source).await?;
        replica::refuse_other(session.client(), &self.source).await?;
        Ok(session)
    }

    /// Takes the pairs out of `hints` whose cursors are ahead of the source, and returns what becomes of them.
    pub(super) fn put_off_ahead(
        &mut self,
        hints: &mut Hints,
        opened: &Opened,
        mappings: &Mappings,
    ) -> Vec<PairsOutcome> {
        let source_at = opened.snapshot.head;
        if self.replica.is_some() {
            return Vec::new();
        }
        let ahead = cursors_ahead(hints, &opened.cursors, source_at, mappings);
        if ahead.is_empty() {
            return Vec::new();
        }
        hints.retain(|tenancy, mapping| !ahead.has(tenancy, mapping));
        let error = CursorsAhead { tenancies: ahead.len(), source_at };
        metrics::failed("cursor ahead");
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            tracing::error!(%error, "rows are not shipped");
        }
        let outcome = Outcome::Requeue(error.to_string());
        let of = |mapping| PairsOutcome::new(mapping, ahead.of_mapping(mapping).collect(), outcome.clone());
        ahead.mappings().into_iter().map(of).collect()
    }

    /// Takes note of what the replica has not replayed. What it shows is shipped all the same: a tenancy with steady changes
    /// may always be ahead of it.
    pub(super) fn note_behind(&self, flushed: &mut Flushed, hints: &Hints) {
        if self.replica.is_some() {
            flushed.note_behind(hints);
            metrics::replica_lag(hints.furthest().max(flushed.head).get() - flushed.head.get());
        }
    }

    /// How long the replica is given to replay what it is behind with: little whenever it has come further.
    pub(super) fn replica_wait(&mut self, behind: &Hints, head: SequenceId) -> Duration {
        let Some(replica) = &mut self.replica else { return Duration::ZERO };
        if head > replica.head {
            replica.head = head;
            replica.backoff.reset();
        }
        let wait = replica.backoff.next_wait();
        if replica.backoff.attempts() > 1 {
            let (tenancies, wait_ms) = (behind.len(), wait.as_millis());
            tracing::warn!(%head, tenancies, wait_ms, "the replica has not replayed what was announced");
        }
        wait
    }

    /// Leaves a session from which nothing more is read.
    pub(super) async fn close(&self, session: LeasedSession, end: SessionEnd) {
        match end {
            SessionEnd::Usable => session.leave(),
            SessionEnd::Broken => {}
            // Without that it would send the rest of its rows to nobody.
            SessionEnd::Reading => {
                let source = self.replica.as_ref().map_or(&self.source, |replica| &replica.source);
                if let Err(error) = source.cancel(session.client()).await {
                    tracing::warn!(%error, "a read that was stopped could not be cancelled");
                }
            }
        }
    }
}

fn note<T, E: ToString>(health: &Health, what: &'static str, answer: &Result<T, E>) {
    match answer {
        Ok(_) => health.ready(what),
        Err(error) => health.not_ready(what, error.to_string()),
    }
}

async fn read_cursors(
    destination: &impl Destination,
    tenancies: &[TenancyId],
    names: &[MappingName],
) -> Result<Cursors, DestinationError> {
    failpoint!("worker::cursor_read::before", return Err(DestinationError::unanswered(destination.id())));
    let span = Span::part(Kind::Client, || "cursors".to_owned());
    span.count("lockstep.tenants", tenancies.len());
    let cursors = destination.cursors(Selection::These(tenancies), Selection::These(names)).await;
    let cursors = cursors.inspect_err(|error| span.failed(error.code()))?;
    failpoint!("worker::cursor_read::after", return Err(DestinationError::unanswered(destination.id())));
    Ok(cursors)
}

/// The pairs whose cursors are above `head`. A cursor of a mapping that the hints do not name stops nothing.
fn cursors_ahead(hints: &Hints, cursors: &Cursors, head: SequenceId, mappings: &Mappings) -> Hints {
    let mut ahead = Hints::default();
    if cursors.values().any(|cursor| *cursor > head) {
        ahead = hints.clone();
        ahead.retain(|tenancy, mapping| {
            cursors.get(&(tenancy, mappings.name(mapping).clone())).is_some_and(|cursor| *cursor > head)
        });
    }
    ahead
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mappings::test_mappings;
    use uuid::Uuid;

    #[test]
    fn src_1_only_pairs_whose_cursor_is_ahead_of_the_source_are_put_off() {
        let mappings = test_mappings();
        let [first, second] = [0, 1].map(|place| mappings.all().nth(place).unwrap());
        let tenancies = [1, 2].map(|number| TenancyId::new(Uuid::from_u128(number)));
        let mut hints = Hints::default();
        tenancies.iter().for_each(|tenancy| hints.add(*tenancy, [first, second], SequenceId::BASE));
        let at = |tenancy, mapping, cursor| ((tenancy, mappings.name(mapping).clone()), SequenceId::new(cursor));
        let cursors =
            Cursors::from([at(tenancies[0], first, 10), at(tenancies[0], second, 11), at(tenancies[1], second, 9)]);
        let ahead = cursors_ahead(&hints, &cursors, SequenceId::new(10), &mappings);
        assert!(ahead.pairs() == 1 && ahead.has(tenancies[0], second));
        assert!(cursors_ahead(&hints, &cursors, SequenceId::new(11), &mappings).is_empty());
    }
}
