//! The mappings of one flush: read one after another over one connection, while earlier ones are still being written.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use futures_util::future::join;
use lockstep_core::failpoint;
use lockstep_destinations::{CursorAt, Destination, DestinationError};
use lockstep_mappings::postgres::fetch::{self, Work};
use tokio::task::JoinSet;

use super::{Failed, Flushed, Opened};
use crate::error::ShipError;
use crate::limits::Limits;
use crate::measure;
use crate::plan::{Appetite, News, Page, Settled, Verdict};
use crate::routes::Routes;
use crate::ship::{Copied, FormerGate, PageGate, Written, copy_rows, pieces, write};

/// Mappings that are written at the same time: one is being read, the others are being ended by the destination.
const WRITES_AT_ONCE: usize = 4;
/// Writes in a row that the destination had no answer for: the others need not be tried.
const SILENCE: u32 = 2;
/// A flush that takes longer moves the cursors of each mapping as it is done.
const LONG_FLUSH: Duration = Duration::from_secs(1);

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

/// One flush under way.
pub(super) struct Shipping<'a, D> {
    way: Way<'a, D>,
    opened: &'a Opened,
    news: &'a News,
    appetites: &'a mut [Appetite],
    started: Instant,
    writers: JoinSet<Write>,
    /// Read to the end, being written.
    read: HashMap<usize, Settled>,
    /// Written; their cursors are to move.
    written: Vec<(usize, Settled)>,
    unanswered: u32,
    write_failure: Option<String>,
}

impl<'a, D: Destination + Clone + 'static> Shipping<'a, D> {
    pub(super) fn new(way: Way<'a, D>, opened: &'a Opened, news: &'a News, appetites: &'a mut [Appetite]) -> Self {
        Self {
            way,
            opened,
            news,
            appetites,
            started: Instant::now(),
            writers: JoinSet::new(),
            read: HashMap::new(),
            written: Vec::new(),
            unanswered: 0,
            write_failure: None,
        }
    }

    /// The last failure of the destination to take rows or cursors.
    pub(super) fn write_failure(&self) -> Option<&str> {
        self.write_failure.as_deref()
    }

    /// Ships all mappings. A mapping that fails does not stop the others (FAIR-1), unless it takes the session with it:
    /// then those after it are held.
    pub(super) async fn run(&mut self, flushed: &mut Flushed) -> After {
        let mut after = After::Usable;
        let mut places = self.news.mappings();
        while after == After::Usable && self.unanswered < SILENCE {
            let Some(place) = places.pop_first() else { break };
            match self.read(place).await {
                Ok((settled, copied)) => {
                    self.read.insert(place, settled);
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
                    self.fail(flushed, place, &error);
                }
            }
            while self.writers.len() >= WRITES_AT_ONCE {
                self.join_one(flushed).await;
            }
        }
        self.hold(flushed, &places);
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

    /// Reads a page of one mapping for all its tenancies, and what must vanish from where some of them were before.
    async fn read(&mut self, place: usize) -> Result<(Settled, Copied), ShipError> {
        let Opened { session, snapshot, cursors } = self.opened;
        let Way { destination, routes, limits } = self.way;
        let (route, name) = (routes.get(place), routes.name(place));
        let work = self
            .news
            .of_mapping(place)
            .map(|tenancy| Work { tenancy, after: cursors.get(&(tenancy, name.clone())).copied().unwrap_or_default() });
        let page_limits = self.appetites[place].limits(limits.page);
        let page = Page::new(work, &snapshot.residences, page_limits);
        let work = page.work();
        if work.is_empty() {
            return Ok((Settled::default(), Copied::Whole));
        }
        let (mut pieces, incoming) = pieces(limits.chunk_bytes);
        let writing = write(destination.clone(), route.insert.clone(), incoming, limits.insert());
        self.writers.spawn(async move { (place, writing.await) });
        let mut gate = PageGate { transcoder: &route.transcoder, page };
        let sql = fetch::page(&route.mapping, &work, page_limits);
        let copied = copy_rows(session.client(), &sql, &mut gate, &mut pieces, limits.page_bytes).await?;
        self.appetites[place].learn(pieces.sent_bytes(), limits.page_bytes);
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
            copy_rows(session.client(), &sql, &mut gate, &mut pieces, u64::MAX).await?;
        }
        pieces.end().await?;
        Ok((settled, copied))
    }

    /// Waits for a write to end.
    async fn join_one(&mut self, flushed: &mut Flushed) {
        let (place, outcome) = match self.writers.join_next().await {
            None => return,
            Some(Ok(write)) => write,
            Some(Err(joined)) => match joined.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the runtime's end cancels them.
                Err(_) => return,
            },
        };
        match (outcome, self.read.remove(&place)) {
            (Ok(written), Some(settled)) if written.complete => {
                self.unanswered = 0;
                flushed.rows += written.rows;
                let mapping = self.way.routes.name(place);
                measure::written(mapping, &written);
                if written.rows > 0 {
                    let (rows, bytes, inserts) = (written.rows, written.bytes, written.inserts);
                    let since_start_ms = self.started.elapsed().as_millis();
                    tracing::debug!(%mapping, rows, bytes, inserts, since_start_ms, "a page is written");
                }
                self.written.push((place, settled));
                if self.started.elapsed() > LONG_FLUSH {
                    self.advance(flushed).await;
                }
            }
            // Reading failed, and was dealt with there.
            (Ok(_), _) => {}
            (Err(error), _) => {
                self.unanswered += 1;
                self.write_failure = Some(error.to_string());
                self.fail(flushed, place, &ShipError::Destination(error));
            }
        }
    }

    /// Moves the cursors of everything that was written, in one write.
    async fn advance(&mut self, flushed: &mut Flushed) {
        let written = std::mem::take(&mut self.written);
        let forward: Vec<CursorAt> = written
            .iter()
            .flat_map(|(place, settled)| settled.forward.iter().map(|moved| (*place, moved)))
            .map(|(place, (work, to))| (work.tenancy, self.way.routes.name(place).clone(), *to))
            .collect();
        if !forward.is_empty()
            && let Err(error) = self.move_cursors(&forward).await
        {
            self.write_failure = Some(error.to_string());
            let error = ShipError::Destination(error);
            for (place, _) in written {
                self.fail(flushed, place, &error);
            }
            return;
        }
        for (place, settled) in written {
            settled.continued.iter().for_each(|tenancy| flushed.continued.add(*tenancy, [place]));
            for refusal in settled.refusals {
                let mut news = News::default();
                news.add(refusal.tenancy, [place]);
                let error = ShipError::Refused { tenancy: refusal.tenancy, error: refusal.error };
                self.put_off(flushed, place, news, &error);
            }
        }
    }

    async fn move_cursors(&self, forward: &[CursorAt]) -> Result<(), DestinationError> {
        let destination = self.way.destination;
        failpoint!("worker::cursor_write::before", return Err(DestinationError::unanswered(destination.name())));
        destination.advance(forward).await?;
        failpoint!("worker::cursor_write::after", return Err(DestinationError::unanswered(destination.name())));
        Ok(())
    }

    fn fail(&self, flushed: &mut Flushed, place: usize, error: &ShipError) {
        let mut news = News::default();
        self.news.of_mapping(place).for_each(|tenancy| news.add(tenancy, [place]));
        match error.verdict() {
            Verdict::Hold => {
                measure::failed(error.kind());
                flushed.held.merge(&news);
                flushed.hold_reason = Some(format!("{}: {error}", self.way.routes.name(place)));
            }
            Verdict::PutOff => self.put_off(flushed, place, news, error),
        }
    }

    fn put_off(&self, flushed: &mut Flushed, place: usize, news: News, error: &ShipError) {
        measure::failed(error.kind());
        let mapping = self.way.routes.name(place);
        tracing::error!(%mapping, tenancies = news.len(), %error, "rows did not get through");
        flushed.failed.push(Failed { news, reason: format!("{mapping}: {error}") });
    }

    /// Mappings that were not tried.
    fn hold(&self, flushed: &mut Flushed, places: &BTreeSet<usize>) {
        for place in places {
            self.news.of_mapping(*place).for_each(|tenancy| flushed.held.add(tenancy, [*place]));
        }
    }
}
