//! One look into the inbox, and the pass that follows when something waits.

mod still;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_core::telemetry::{Kind, Origin, Span};
use lockstep_core::{SequenceId, failpoint};
use lockstep_destinations::HighWater;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::Target;
use lockstep_schema::{Source, SourceError, within};

use crate::error::SequencerError;
use crate::metrics;
use crate::plan::fences::Fences;
use crate::plan::intake::{Intake, PASS_LINES, Scope, Unfinished, decide};
use crate::plan::polling::Found;
use crate::plan::seen::Seen;
use crate::plan::waiting::Waiting;
use crate::rewind_guard::RewindGuard;
use crate::storage::passes::{LastPass, Looked, Numbered, Numbers, PassSession};

/// The longest that one look with its pass may take. The server's own limits end sooner, where the server still lives.
const POLL_DEADLINE: Duration = Duration::from_secs(120);

/// Numbers what waits, one pass at a time. Knows nothing of leadership: two may run side by side, and SEQ-1 holds.
///
/// Connects when it first looks and again whenever a connection was lost.
pub struct Numbering {
    source: Source,
    mappings: Arc<MappingSet>,
    open: Option<Open>,
    fences: Fences,
    waiting: Waiting,
    rewind_guard: Option<RewindGuard>,
    /// The newest pass that was ever seen: its place, and its last number.
    newest: (i64, SequenceId),
    /// The span of the last pass, for what follows of it.
    origin: Option<Origin>,
}

/// A connection, and the newest pass that it knows.
struct Open {
    session: PassSession,
    last: LastPass,
}

/// What one look and its pass came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Rows that got a number.
    pub changes: i64,
    /// The last number that was handed out.
    pub last_sequence: SequenceId,
    /// Lines that have to be searched before their rows can be numbered.
    pub expansions: i64,
    /// Callers of `lockstep wait` that were answered.
    pub answered_fences: usize,
    /// For how long the oldest change had waited that got a number, where any did.
    pub waited: Option<Duration>,
    /// Whether a pass was made.
    pub passed: bool,
    /// Whether more is waiting than was done at once.
    pub more: bool,
    /// Whether a captured table was altered, or a mapping has to be filled again.
    pub watch: bool,
    /// Whether an operator has paused the sequencer.
    pub paused: bool,
    /// How far the server's log was written, where nothing waits and no transaction runs that has written.
    pub still_at: Option<i64>,
}

impl Report {
    pub(crate) const fn found(&self) -> Found {
        match (self.passed, self.more) {
            (false, _) => Found::Nothing,
            (true, false) => Found::Changes { changes: self.changes },
            (true, true) => Found::More,
        }
    }
}

/// What a pass is going to take.
struct Plan {
    consumed: Seen,
    large: Vec<i64>,
    more: bool,
}

impl Numbering {
    /// Will number the changes of these mappings. Connects to nothing yet.
    pub fn new(source: Source, mappings: Arc<MappingSet>) -> Self {
        Self {
            source,
            mappings,
            open: None,
            fences: Fences::default(),
            waiting: Waiting::default(),
            rewind_guard: None,
            newest: (0, SequenceId::BASE),
            origin: None,
        }
    }

    /// The same, but nothing is numbered on a server before this destination was asked whether the source there has been
    /// restored to an earlier state (SRC-1).
    #[must_use]
    pub fn guarded_by(mut self, destination: impl HighWater + 'static) -> Self {
        self.rewind_guard = Some(RewindGuard::new(destination, &self.mappings));
        self
    }

    /// For how long the oldest change has waited that has no number, as far as is known.
    pub(crate) fn oldest_age(&self) -> Option<Duration> {
        self.waiting.age(Instant::now())
    }

    /// The span of the last pass, once.
    pub(crate) fn take_origin(&mut self) -> Option<Origin> {
        self.origin.take()
    }

    /// Trusts nothing that was found out before: the next call connects anew.
    pub(crate) fn forget(&mut self) {
        self.open = None;
        self.fences = Fences::default();
        self.waiting = Waiting::default();
        if let Some(guard) = &mut self.rewind_guard {
            guard.forget();
        }
    }

    /// Looks whether anything waits, and if so makes one pass: one transaction, which is committed when this returns.
    /// Cancelling it undoes the pass.
    ///
    /// # Errors
    /// When the source cannot be reached, is not prepared, or cannot be used. Nothing of the pass is committed, except
    /// where the connection was lost during the commit: then all of it or nothing is.
    pub async fn poll(&mut self) -> Result<Report, SequencerError> {
        // The session is taken out while it is in use: a call that is cancelled or fails leaves none behind, and the
        // server undoes what it had begun.
        let open = self.open.take();
        within(POLL_DEADLINE, self.poll_with(open)).await
    }

    async fn poll_with(&mut self, open: Option<Open>) -> Result<Report, SequencerError> {
        let mut open = match open.filter(|open| !open.session.client.is_closed()) {
            Some(open) => open,
            None => self.connect().await?,
        };
        let report = self.look_and_pass(&mut open).await?;
        if let Some(report) = report {
            self.newest = (open.last.id, open.last.last_sequence);
            self.open = Some(open);
            return Ok(report);
        }
        // The tables went back under us.
        self.forget();
        Ok(Report { passed: true, more: true, ..Report::default() })
    }

    async fn connect(&mut self) -> Result<Open, SequencerError> {
        let session = PassSession::open(&self.source, &self.mappings).await?;
        // Read before the guard is asked: whatever is numbered or loaded in between is noticed by the next pass.
        let (mut last, numbers) = session.last_pass().await?;
        // Passes are gone: a dump was loaded into the database, and the server has not stopped for it.
        let went_back = last.id < self.newest.0 || last.last_sequence < self.newest.1;
        if let Some(guard) = &mut self.rewind_guard {
            if went_back {
                guard.forget();
            }
            let verified = guard.check(&session.client).await;
            if matches!(verified, Err(SequencerError::SourceWentBack(_))) {
                // `lockstep rewind` mends all of it.
                self.newest = (0, SequenceId::BASE);
            }
            verified?;
        }
        if went_back {
            self.make_up_for_lost_passes(&session, numbers).await?;
        }
        let is_at_home = session.is_at_home().await?;
        if is_at_home != Some(true) {
            if is_at_home.is_some() {
                tracing::warn!(
                    "LS-0512: the inbox comes from another server or database: its lines are numbered again"
                );
            }
            last = session.begin_anew().await?;
        }
        Ok(Open { session, last })
    }

    /// Returns nothing where passes that were known are gone.
    async fn look_and_pass(&mut self, open: &mut Open) -> Result<Option<Report>, SequencerError> {
        let Open { session, last } = open;
        let (began, mut scope) = (Instant::now(), Scope::default());
        let (looked, plan) = loop {
            let looked = session.look(&last.consumed, &scope).await?;
            match decide(&last.consumed, &looked.now, &scope, &looked.lines) {
                Intake::Take(consumed) => {
                    let more = scope != Scope::default();
                    break (looked, Plan { consumed, large: scope.large, more });
                }
                Intake::LookAgain(next) => scope = next,
            }
        };
        let fences = if looked.paused { &[][..] } else { &looked.fences };
        self.fences.looked(fences, &looked.now, looked.first_expansion);
        let has_lines = !looked.lines.is_empty() || plan.more || !last.unfinished.is_empty();
        let committed = looked.committed_ago.and_then(|ago| Instant::now().checked_sub(ago));
        self.waiting.looked(began, has_lines, committed);
        if looked.paused || !(has_lines || self.fences.are_waiting()) {
            // A transaction that runs may have written already that it is committed.
            let still_at = looked.now.running.is_empty().then_some(looked.written);
            return Ok(Some(Report { paused: looked.paused, still_at, ..Report::default() }));
        }
        let span = Span::begin(Kind::Internal, || "sequencer.pass".to_owned());
        let passed = span.around(self.pass(session, last, &looked, plan)).await;
        match &passed {
            Ok(report) => {
                let report = report.unwrap_or_default();
                span.set("lockstep.rows", report.changes);
                span.set("lockstep.expansions", report.expansions);
                span.set("lockstep.sequence", report.last_sequence.get());
            }
            Err(_) => span.failed("pass"),
        }
        self.origin = span.origin();
        passed
    }

    async fn pass(
        &mut self,
        session: &PassSession,
        last: &mut LastPass,
        looked: &Looked,
        plan: Plan,
    ) -> Result<Option<Report>, SequencerError> {
        let began = Instant::now();
        let (newest, numbers) = session.begin_and_read_last_pass().await?;
        if (newest.id, newest.last_sequence) != (last.id, last.last_sequence) {
            session.end("ROLLBACK").await?;
            if newest.id < last.id || newest.last_sequence < last.last_sequence {
                return Ok(None);
            }
            // Another's pass: go on from there. Fences that it looked at begin anew.
            *last = newest;
            self.fences = Fences::default();
            return Ok(Some(Report {
                passed: true,
                more: true,
                last_sequence: last.last_sequence,
                ..Report::default()
            }));
        }
        make_room(session, numbers).await?;
        let (tally, unfinished) = number(session, last, looked, &plan).await?;
        let head = tally.last.map_or(last.last_sequence, SequenceId::new);
        if head < last.last_sequence {
            session.end("ROLLBACK").await?;
            return Err(SequencerError::Sequence("it handed out a number below the last one"));
        }
        self.request_refills(session, &tally.others).await?;
        let answered = if self.fences.are_waiting() {
            let last_expansion = session.last_expansion().await?;
            let answered = self.fences.passed(&plan.consumed, &unfinished, last_expansion);
            session.answer(&answered, head).await?;
            answered.len()
        } else {
            0
        };
        failpoint!("sequencer::pass_commit::before", return Err(SourceError::Timeout(began.elapsed()).into()));
        let id = session.insert_and_commit(head, &plan.consumed, &unfinished).await?;
        failpoint!("sequencer::pass_commit::after", return Err(SourceError::Timeout(began.elapsed()).into()));
        metrics::pass(began.elapsed(), tally.changes);
        let more = plan.more || !unfinished.is_empty();
        let waited = self.waiting.passed(Instant::now(), !more).filter(|_| tally.changes > 0);
        *last = LastPass { id, last_sequence: head, consumed: plan.consumed, unfinished };
        Ok(Some(Report {
            changes: tally.changes,
            last_sequence: head,
            expansions: tally.expansions,
            answered_fences: answered,
            waited,
            passed: !looked.lines.is_empty() || more || answered > 0,
            more,
            watch: !tally.others.is_empty(),
            ..Report::default()
        }))
    }

    /// Nothing in ClickHouse is ahead, but changes that had not arrived there are gone, and workers may have some in hand.
    async fn make_up_for_lost_passes(&self, session: &PassSession, numbers: Numbers) -> Result<(), SequencerError> {
        tracing::error!(
            "LS-0513: passes are gone, by a dump that was loaded or by hand, and changes with them that had not arrived: all mappings are filled again"
        );
        let newest = self.newest.1.get();
        session.extend(newest, numbers.handed_out < newest).await?;
        let names: Vec<_> = self.mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        session.request_refills(&names).await?;
        session.find_tenancies().await?;
        Ok(())
    }

    async fn request_refills(&self, session: &PassSession, others: &[i32]) -> Result<(), SequencerError> {
        let named = self.mappings.iter().filter(|mapping| others.contains(&Target::refill(mapping).id()));
        let names: Vec<_> = named.map(|mapping| mapping.name.as_str()).collect();
        if !names.is_empty() {
            session.request_refills(&names).await?;
        }
        Ok(())
    }
}

/// Numbers what a pass takes: what is new, and a share of each large transaction. Returns also what is left of those.
async fn number(
    session: &PassSession,
    last: &LastPass,
    looked: &Looked,
    plan: &Plan,
) -> Result<(Numbered, Vec<Unfinished>), SourceError> {
    let mut tally = Numbered::default();
    if looked.about_tenancies {
        session.note_tenancies(&last.consumed, &plan.consumed).await?;
    }
    if !looked.lines.is_empty() {
        tally = session.number_new(&last.consumed, &plan.consumed, &plan.large).await?;
    }
    let mut unfinished: Vec<_> = plan.large.iter().map(|xid| Unfinished::new(*xid)).collect();
    let shares = i64::try_from(last.unfinished.len()).unwrap_or(i64::MAX).max(1);
    for large in &last.unfinished {
        let (numbered, left) = session.number_share(large, (PASS_LINES / shares).max(1), last.last_sequence).await?;
        tally.add(numbered);
        unfinished.extend(left);
    }
    Ok((tally, unfinished))
}

/// Sees to it that numbers only grow, and that there is a partition for all that a pass may hand out.
async fn make_room(session: &PassSession, numbers: Numbers) -> Result<(), SourceError> {
    let Numbers { handed_out, partitions_to, highest } = numbers;
    if handed_out < highest {
        tracing::error!(
            handed_out,
            highest,
            "LS-0507: the sequence was set back behind the last number: it is moved on"
        );
        session.extend(highest, true).await?;
    }
    let needed = handed_out.max(highest) + 4 * PASS_LINES;
    if needed > partitions_to {
        session.extend(needed, false).await?;
    }
    Ok(())
}

impl Numbered {
    fn add(&mut self, other: Self) {
        self.last = self.last.max(other.last);
        self.changes += other.changes;
        self.expansions += other.expansions;
        self.others.extend(other.others);
    }
}
