//! The mappings of one flush: read one after another over one connection, while earlier ones are still being written.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use futures_util::future::join;
use lockstep_core::failpoint;
use lockstep_destinations::{CursorAt, Destination, DestinationError, Failure, Retry};
use lockstep_mappings::postgres::fetch::{self, Work};
use tokio::task::JoinSet;

use super::{Failed, Flushed, Opened};
use crate::error::ShipError;
use crate::limits::Limits;
use crate::measure;
use crate::plan::{Extents, Learnt, Lot, News, Page, Settled, Verdict};
use crate::routes::Routes;
use crate::ship::{Copied, FormerGate, PageGate, Written, copy_rows, pieces, write};
use crate::storage::quarantine::{Passed, Quarantine};

/// Pages that are written at the same time: one is being read, the others are being ended by the destination.
const WRITES_AT_ONCE: usize = 4;
/// Writes in a row that the destination had no answer for: the others need not be tried.
const SILENCE: u32 = 2;
/// A flush that takes longer moves the cursors of each page as it is done.
const LONG_FLUSH: Duration = Duration::from_secs(1);

/// Of which lot, and what became of it.
type Write = (usize, Result<Written, DestinationError>);

/// Where rows go, and how many at once.
pub(super) struct Way<'a, D> {
    pub(super) destination: &'a D,
    pub(super) routes: &'a Routes,
    pub(super) limits: Limits,
}

/// What a flush leaves of its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// It can be used for the next.
    Usable,
    /// It cannot.
    Broken,
    /// A read was stopped before its end.
    Reading,
}

/// One flush under way. Its pages are known by their place in `lots`.
pub(super) struct Shipping<'a, D> {
    pub(super) way: Way<'a, D>,
    pub(super) opened: &'a Opened,
    news: &'a News,
    pub(super) learnt: &'a mut [Learnt],
    pub(super) quarantine: &'a mut Quarantine,
    started: Instant,
    pub(super) lots: Vec<Lot>,
    writers: JoinSet<Write>,
    /// Read to the end, being written.
    read: HashMap<usize, Settled>,
    /// Not read to the end, because their write ended before.
    pub(super) half_read: HashMap<usize, Extents>,
    /// Written; their cursors are to move.
    pub(super) written: Vec<(usize, Settled)>,
    /// What cursors have passed of those with entries in the quarantine.
    pub(super) passed: Vec<Passed>,
    unanswered: u32,
    write_failure: Option<String>,
}

impl<'a, D: Destination + Clone + 'static> Shipping<'a, D> {
    pub(super) fn new(
        way: Way<'a, D>,
        opened: &'a Opened,
        news: &'a News,
        learnt: &'a mut [Learnt],
        quarantine: &'a mut Quarantine,
    ) -> Self {
        Self {
            way,
            opened,
            news,
            learnt,
            quarantine,
            started: Instant::now(),
            lots: Vec::new(),
            writers: JoinSet::new(),
            read: HashMap::new(),
            half_read: HashMap::new(),
            written: Vec::new(),
            passed: Vec::new(),
            unanswered: 0,
            write_failure: None,
        }
    }

    /// The last failure of the destination to take rows or cursors.
    pub(super) fn write_failure(&self) -> Option<&str> {
        self.write_failure.as_deref()
    }

    /// Ships all mappings. A page that fails does not stop the others (FAIR-1), unless it takes the session with it:
    /// then those after it are held.
    pub(super) async fn run(&mut self, flushed: &mut Flushed) -> After {
        let mut after = After::Usable;
        let mut waiting = self.deal(flushed);
        let all = waiting.len();
        while after == After::Usable && self.unanswered < SILENCE {
            if waiting.len() < all && !self.opened.snapshot.window.is_fresh() {
                // What is read from here on could come too late to be written: the rest is read in a new snapshot.
                self.each(&std::mem::take(&mut waiting), &mut flushed.continued);
                break;
            }
            let Some(lot) = waiting.pop_front() else { break };
            match self.read(lot).await {
                Ok((settled, copied)) => {
                    self.read.insert(lot, settled);
                    if copied == Copied::Stopped {
                        after = After::Reading;
                    }
                }
                // Told by the writer.
                Err(ShipError::WriterGone) => {}
                Err(error) => {
                    // After an error the transaction answers nothing more.
                    if matches!(error, ShipError::Source(_)) {
                        after = After::Broken;
                    }
                    self.fail(flushed, lot, &error);
                }
            }
            while self.writers.len() >= WRITES_AT_ONCE {
                self.join_one(flushed).await;
            }
        }
        // Pages that were not tried.
        self.each(&waiting, &mut flushed.held);
        let session = &self.opened.session;
        // Nothing more is read: the transaction need not wait for the destination.
        let end = async { if after == After::Usable && session.end().await.is_err() { After::Broken } else { after } };
        let (after, ()) = join(end, async {
            while !self.writers.is_empty() {
                self.join_one(flushed).await;
            }
            self.advance(flushed).await;
        })
        .await;
        after
    }

    /// Decides on the pages: one of each mapping as a rule.
    fn deal(&mut self, flushed: &mut Flushed) -> VecDeque<usize> {
        for place in self.news.mappings() {
            let Learnt { appetite, isolation } = &self.learnt[place];
            let most = appetite.limits(self.way.limits.page);
            let (lots, left) = isolation.lots(place, self.news.of_mapping(place), most);
            self.lots.extend(lots);
            left.iter().for_each(|tenancy| flushed.continued.add(*tenancy, [place]));
        }
        (0..self.lots.len()).collect()
    }

    /// Reads one page, and what must vanish from where some of its tenancies were before.
    async fn read(&mut self, lot: usize) -> Result<(Settled, Copied), ShipError> {
        let Opened { session, snapshot, cursors } = self.opened;
        let Way { destination, routes, limits } = self.way;
        let Lot { place, limits: page_limits, ref tenancies } = self.lots[lot];
        let (route, name) = (routes.get(place), routes.name(place));
        let work = tenancies
            .iter()
            .copied()
            .map(|tenancy| Work { tenancy, after: cursors.get(&(tenancy, name.clone())).copied().unwrap_or_default() });
        let page = Page::new(work, &snapshot.residences, page_limits, &self.learnt[place].isolation);
        let work = page.work();
        if work.is_empty() {
            return Ok((Settled::default(), Copied::Whole));
        }
        let (mut pieces, incoming) = pieces(limits.chunk_bytes);
        let writing = write(destination.clone(), route.insert.clone(), incoming, limits.insert());
        self.writers.spawn(async move { (lot, writing.await) });
        let mut gate = PageGate { transcoder: &route.transcoder, page };
        let sql = fetch::page(&route.mapping, &work, page_limits);
        let copied = copy_rows(session.client(), &sql, &mut gate, &mut pieces, limits.page_bytes).await;
        if matches!(copied, Err(ShipError::WriterGone)) {
            self.half_read.insert(lot, gate.page.extents());
        }
        let copied = copied?;
        let appetite = &mut self.learnt[place].appetite;
        // Pages with suspects say nothing about the size of rows.
        if page_limits == appetite.limits(limits.page) {
            appetite.learn(pieces.sent_bytes(), limits.page_bytes);
        }
        if copied == Copied::Stopped {
            gate.page.stop();
        }
        let mut settled = gate.page.settle(snapshot.head);
        let has_moved =
            |work: &Work| snapshot.residences.get(work.tenancy).is_some_and(|residence| !residence.former.is_empty());
        let moved: Vec<_> = settled.forward.iter().filter(|(work, _)| has_moved(work)).copied().collect();
        if copied == Copied::Stopped {
            // The session is still busy. The next page is smaller, so that it can be read to its end.
            let moved: Vec<_> = moved.iter().map(|(work, _)| work.tenancy).collect();
            settled.leave(&moved);
        } else if !moved.is_empty() {
            let mut gate = FormerGate::new(&route.transcoder, &moved, &snapshot.residences);
            let sql = fetch::former_locations(&route.mapping, &moved);
            let copied = copy_rows(session.client(), &sql, &mut gate, &mut pieces, u64::MAX).await;
            gate.add_to(&mut settled.extents);
            if matches!(copied, Err(ShipError::WriterGone)) {
                self.half_read.insert(lot, settled.extents.clone());
            }
            copied?;
        }
        match pieces.end().await {
            // Told by the writer; what was read is known whole.
            Ok(()) | Err(ShipError::WriterGone) => Ok((settled, copied)),
            Err(error) => Err(error),
        }
    }

    /// Waits for a write to end.
    async fn join_one(&mut self, flushed: &mut Flushed) {
        let (lot, outcome) = match self.writers.join_next().await {
            None => return,
            Some(Ok(write)) => write,
            Some(Err(joined)) => match joined.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the runtime's end cancels them.
                Err(_) => return,
            },
        };
        match (outcome, self.read.remove(&lot)) {
            (Ok(written), Some(settled)) if written.complete => {
                self.unanswered = 0;
                flushed.rows += written.rows;
                let place = self.lots[lot].place;
                let mapping = self.way.routes.name(place);
                let Learnt { appetite, isolation } = &mut self.learnt[place];
                isolation.shipped(&self.lots[lot], &settled, appetite.limits(self.way.limits.page));
                measure::written(mapping, &written);
                if written.rows > 0 {
                    let (rows, bytes, inserts) = (written.rows, written.bytes, written.inserts);
                    let since_start_ms = self.started.elapsed().as_millis();
                    tracing::debug!(%mapping, rows, bytes, inserts, since_start_ms, "a page is written");
                }
                self.written.push((lot, settled));
                if self.started.elapsed() > LONG_FLUSH {
                    self.advance(flushed).await;
                }
            }
            // Reading failed, and was dealt with there.
            (Ok(_), _) => {}
            (Err(error), settled) if error.retry() == Retry::Bisect => {
                self.unanswered = 0;
                self.refused(flushed, lot, settled, &error);
            }
            (Err(error), _) => {
                if error.failure() == Failure::Late {
                    self.learnt[self.lots[lot].place].appetite.shrink();
                } else {
                    self.unanswered += 1;
                    self.write_failure = Some(error.to_string());
                }
                self.fail(flushed, lot, &ShipError::Destination(error));
            }
        }
    }

    /// Moves the cursors of everything that was written, in one write.
    async fn advance(&mut self, flushed: &mut Flushed) {
        let written = std::mem::take(&mut self.written);
        let written = self.set_aside(flushed, written).await;
        let place_of = |lot: &usize| self.lots[*lot].place;
        let forward: Vec<CursorAt> = written
            .iter()
            .flat_map(|(lot, settled)| settled.forward.iter().map(move |moved| (place_of(lot), moved)))
            .map(|(place, (work, to))| (work.tenancy, self.way.routes.name(place).clone(), *to))
            .collect();
        if !forward.is_empty()
            && let Err(error) = self.move_cursors(&forward).await
        {
            self.write_failure = Some(error.to_string());
            let error = ShipError::Destination(error);
            for (lot, _) in written {
                self.fail(flushed, lot, &error);
            }
            return;
        }
        for (lot, settled) in written {
            let place = self.lots[lot].place;
            self.note_passed(lot, &settled);
            settled.continued.iter().for_each(|tenancy| flushed.continued.add(*tenancy, [place]));
            for (tenancy, error) in settled.stuck {
                let mut news = News::default();
                news.add(tenancy, [place]);
                let reason = ShipError::Refused { tenancy, error }.to_string();
                self.put_off(flushed, place, news, &ShipError::TooManyRefused { reason });
            }
        }
    }

    async fn move_cursors(&self, forward: &[CursorAt]) -> Result<(), DestinationError> {
        let destination = self.way.destination;
        failpoint!("worker::cursor_write::before", return Err(DestinationError::unanswered(destination.id())));
        destination.advance(forward).await?;
        failpoint!("worker::cursor_write::after", return Err(DestinationError::unanswered(destination.id())));
        Ok(())
    }

    pub(super) fn fail(&self, flushed: &mut Flushed, lot: usize, error: &ShipError) {
        let Lot { place, ref tenancies, .. } = self.lots[lot];
        let mut news = News::default();
        tenancies.iter().for_each(|tenancy| news.add(*tenancy, [place]));
        match error.verdict() {
            Verdict::Hold => {
                measure::failed(error.kind());
                flushed.held.merge(&news);
                flushed.hold_reason = Some(format!("{}: {error}", self.way.routes.name(place)));
            }
            Verdict::PutOff => self.put_off(flushed, place, news, error),
        }
    }

    pub(super) fn put_off(&self, flushed: &mut Flushed, place: usize, news: News, error: &ShipError) {
        measure::failed(error.kind());
        let mapping = self.way.routes.name(place);
        tracing::error!(%mapping, tenancies = news.len(), %error, "rows did not get through");
        flushed.failed.push(Failed { news, reason: format!("{mapping}: {error}") });
    }

    fn each(&self, lots: &VecDeque<usize>, into: &mut News) {
        for lot in lots {
            let Lot { place, ref tenancies, .. } = self.lots[*lot];
            tenancies.iter().for_each(|tenancy| into.add(*tenancy, [place]));
        }
    }
}
