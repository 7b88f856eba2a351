//! One flush: everything that some tenancies have news of, read in one snapshot, written, and only then their cursors
//! moved (CUR-1).

mod ahead;
mod refusals;
mod shipping;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join;
use lockstep_core::health::Health;
use lockstep_core::{MappingName, SequenceId, TenancyId, failpoint};
use lockstep_destinations::{Cursors, Destination, DestinationError, Selection};
use lockstep_schema::Source;
use uuid::Uuid;

use self::ahead::Ahead;
use self::shipping::{After, Shipping, Way};
use crate::error::ShipError;
use crate::limits::Limits;
use crate::measure;
use crate::plan::{Learnt, News};
use crate::routes::Routes;
use crate::storage::quarantine::Quarantine;
use crate::storage::replica::{self, Primary};
use crate::storage::{FetchSession, Snapshot};

/// What health calls the source.
pub(crate) const SOURCE: &str = "source";
/// What health calls the destination.
pub(crate) use lockstep_core::destination_id::CLICKHOUSE as DESTINATION;

/// Work that failed in a way that trying again at once does not mend.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Which tenancies and mappings.
    pub news: News,
    /// Why. Holds no values.
    pub reason: String,
}

/// What became of a flush. What is in none of these is done: durable, cursors moved.
#[derive(Default, Debug)]
pub struct Flushed {
    /// A limit cut their pages: they have more.
    pub continued: News,
    /// To be put off.
    pub failed: Vec<Failed>,
    /// Not done through no fault of theirs: to be tried again.
    pub held: News,
    /// Why something is held.
    pub hold_reason: Option<String>,
    /// The source or the destination as a whole does not answer, so nothing was tried.
    pub outage: bool,
    /// The replica has not replayed the numbers that these were announced with: to be looked at again later.
    pub ahead: News,
    /// Up to which number the snapshot held everything.
    pub head: SequenceId,
    /// Rows that were shipped.
    pub rows: u64,
    /// Rows that the destination refused; the quarantine holds them.
    pub set_aside: u64,
}

/// Ships batches, one at a time, over one connection that is kept open.
pub struct Flusher<D> {
    source: Source,
    /// Where news are read, if not from the source itself.
    replica: Option<Source>,
    primary: Primary,
    destination: D,
    routes: Arc<Routes>,
    limits: Limits,
    health: Health,
    session: Option<FetchSession>,
    quarantine: Quarantine,
    ahead: Ahead,
    /// One for each mapping.
    learnt: Vec<Learnt>,
}

/// Everything that is known before the first row is read.
struct Opened {
    session: FetchSession,
    snapshot: Snapshot,
    cursors: Cursors,
}

impl<D: Destination + Clone + 'static> Flusher<D> {
    /// Connects with the first flush.
    pub fn new(source: Source, destination: D, routes: Arc<Routes>, limits: Limits, health: Health) -> Self {
        let learnt = vec![Learnt::default(); routes.len()];
        let quarantine = Quarantine::new(source.clone());
        let (replica, session, ahead) = (None, None, Ahead::default());
        let primary = Primary::new(source.clone());
        Self { source, replica, primary, destination, routes, limits, health, session, quarantine, learnt, ahead }
    }

    /// Reads news from a streaming replica of the source. What it has not replayed yet is put off, not passed over.
    #[must_use]
    pub fn reading_from(mut self, replica: Source) -> Self {
        self.replica = Some(replica);
        self
    }

    /// Ships what these tenancies have above their cursors, a page of each at most.
    ///
    /// Dropped in the middle, it leaves nothing behind but rows that may be shipped again (IDEM-1).
    pub async fn flush(&mut self, news: &News) -> Flushed {
        let started = Instant::now();
        let mut flushed = Flushed::default();
        match self.open(news).await {
            Ok(opened) => {
                // A replica may well be behind cursors that were moved by a reader of the primary.
                let apart =
                    if self.replica.is_some() { None } else { self.ahead.set_aside(news, &opened, &self.routes) };
                let (shipped, failed) = apart.map_or((None, None), |(shipped, failed)| (Some(shipped), Some(failed)));
                flushed.failed.extend(failed);
                flushed.head = opened.snapshot.head;
                self.note_ahead(&mut flushed, news);
                let unknown = news.len() - opened.snapshot.residences.len();
                if unknown > 0 {
                    tracing::info!(tenancies = unknown, "tenancies were announced that do not exist: passed over");
                }
                let news = shipped.as_ref().unwrap_or(news);
                let destination = self.destination.clone().within(opened.snapshot.window);
                let way = Way { destination: &destination, routes: &self.routes, limits: self.limits };
                let mut shipping = Shipping::new(way, &opened, news, &mut self.learnt, &mut self.quarantine);
                let after = shipping.run(&mut flushed).await;
                // Whoever goes on must see what was seen here, from whatever replica.
                flushed.continued.raise_all(opened.snapshot.head);
                if let Some(error) = shipping.write_failure() {
                    self.health.not_ready(DESTINATION, error);
                }
                let passed = std::mem::take(&mut shipping.passed);
                drop(shipping);
                self.keep(opened.session, after).await;
                if !passed.is_empty()
                    && let Err(error) = self.quarantine.settle(&self.routes, &passed).await
                {
                    tracing::warn!(%error, "the quarantine could not be looked through; the next sweep does it");
                }
            }
            Err(error) => {
                measure::failed(error.kind());
                flushed.held = news.clone();
                flushed.hold_reason = Some(error.to_string());
                flushed.outage = true;
            }
        }
        let took = started.elapsed();
        measure::flushed(news.len(), took);
        let (continued, held) = (flushed.continued.pairs(), flushed.held.pairs());
        let took_ms = took.as_millis();
        tracing::debug!(tenancies = news.len(), rows = flushed.rows, continued, held, took_ms, "flushed");
        flushed
    }

    /// What the replica shows of these is shipped all the same: a tenancy with steady news may always be ahead of it.
    fn note_ahead(&self, flushed: &mut Flushed, news: &News) {
        if self.replica.is_some() {
            flushed.ahead = news.above(flushed.head);
            measure::replica_lag(news.furthest().max(flushed.head).get() - flushed.head.get());
        }
    }

    /// Whether source and destination answer.
    ///
    /// # Errors
    /// What the one that does not answer said.
    pub async fn look(&mut self) -> Result<(), String> {
        // A tenancy that nobody has: asked for none, the destination would not be asked at all.
        let mut nobody = News::default();
        nobody.add(TenancyId::new(Uuid::nil()), [0]);
        let opened = self.open(&nobody).await.map_err(|error| error.to_string())?;
        if opened.session.end().await.is_ok() {
            self.session = Some(opened.session);
        }
        Ok(())
    }

    /// The snapshot and the cursors, asked for at the same time. It does not matter which answer is older: rows above
    /// the cursor are read from the snapshot, and a cursor that others moved meanwhile is not moved back.
    async fn open(&mut self, news: &News) -> Result<Opened, ShipError> {
        let kept = self.session.take().filter(|session| !session.client().is_closed());
        let opened = match kept {
            Some(session) => Ok(session),
            None => self.connect().await,
        };
        let session = opened.inspect_err(|error| self.health.not_ready(SOURCE, error.to_string()))?;
        let names: Vec<_> = news.mappings().into_iter().map(|place| self.routes.name(place).clone()).collect();
        let (snapshot, cursors) = join(session.begin(news.tenancies()), self.cursors(news.tenancies(), &names)).await;
        match &snapshot {
            Ok(_) => self.health.ready(SOURCE),
            Err(error) => self.health.not_ready(SOURCE, error.to_string()),
        }
        match &cursors {
            Ok(_) => self.health.ready(DESTINATION),
            Err(error) => self.health.not_ready(DESTINATION, error.to_string()),
        }
        let (mut snapshot, cursors) = (snapshot?, cursors?);
        if self.replica.is_none() && cursors.values().any(|cursor| *cursor > snapshot.head) {
            // Usually others moved it since the snapshot was taken. A later one, taken after the cursors were told, tells
            // those from cursors that no number given out explains (SRC-1).
            session.end().await?;
            snapshot = session.begin(news.tenancies()).await?;
        }
        if self.replica.is_some() {
            snapshot.residences.keep_only(&self.primary.living(news.tenancies()).await?);
        }
        Ok(Opened { session, snapshot, cursors })
    }

    async fn cursors(&self, tenancies: &[TenancyId], names: &[MappingName]) -> Result<Cursors, DestinationError> {
        failpoint!("worker::cursor_read::before", return Err(DestinationError::unanswered(DESTINATION)));
        let cursors = self.destination.cursors(Selection::These(tenancies), Selection::These(names)).await?;
        failpoint!("worker::cursor_read::after", return Err(DestinationError::unanswered(DESTINATION)));
        Ok(cursors)
    }

    async fn connect(&self) -> Result<FetchSession, ShipError> {
        let Some(replica) = &self.replica else { return Ok(FetchSession::open(&self.source).await?) };
        let session = FetchSession::open(replica).await?;
        if replica::is_of(session.client(), &self.source).await? { Ok(session) } else { Err(ShipError::NotAReplica) }
    }

    async fn keep(&mut self, session: FetchSession, after: After) {
        match after {
            After::Usable => self.session = Some(session),
            After::Broken => {}
            // Without that it would send the rest of its rows to nobody.
            After::Reading => {
                let source = self.replica.as_ref().unwrap_or(&self.source);
                if let Err(error) = source.cancel(session.client()).await {
                    tracing::warn!(%error, "a read that was stopped could not be cancelled");
                }
            }
        }
    }
}
