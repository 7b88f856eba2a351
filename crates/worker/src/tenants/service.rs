//! Who is visited when. Those that work have a lane of their own: those that fail wait for each other only.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_core::freshness::{self, ChangeTimes};
use lockstep_core::settings::Settings;
use lockstep_core::shutdown::Shutdown;
use lockstep_destinations::postgres::reach;
use lockstep_schema::{Source, SourceError};
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::visit::{Visited, Visitor};
use super::{ByTenancy, Context, HINTS, News};
use crate::error::WorkerError;
use crate::limits::Limits;
use crate::mappings::Mappings;
use crate::pauses::KnownPauses;
use crate::storage::tenants::{self, Registered};

/// Visits at the same time. One that waits for its database holds a task and a socket, and what its page takes.
const AT_ONCE: usize = 256;
/// Of them, destinations that failed the last time.
const FAILING_AT_ONCE: usize = 16;
/// How often the registry is asked who is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often destinations that another worker visited are tried again.
const TICK: Duration = Duration::from_millis(50);
/// A look at the registry that takes longer has failed.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections are closed after so long without use.
const IDLE: Duration = Duration::from_secs(30);
/// How long visits under way may take when it is time to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether tenancies with destinations are erased.
const ERASE_EVERY: Duration = Duration::from_secs(15);
/// Due destinations that are read at once.
const DUE_AT_ONCE: i64 = 512;

/// What metrics call all of these destinations together.
const TENANTS: &str = "tenants";

/// A visit that has ended.
type Ended = (Uuid, Option<Visitor>, Visited);

/// A destination that is being visited.
struct UnderWay {
    is_failing: bool,
    /// Hints came meanwhile.
    again: bool,
    /// Of the first change that it is to bring, as far as this worker knows.
    times: ChangeTimes,
    task: Option<task::Id>,
}

/// The visits of one worker.
pub(crate) struct Tenants {
    context: Arc<Context>,
    hints: mpsc::Receiver<Vec<(Uuid, ChangeTimes)>>,
    registered: watch::Sender<ByTenancy>,
    registrations: Option<i64>,
    waiting: VecDeque<Uuid>,
    is_waiting: HashSet<Uuid>,
    /// Of the first change that each lacks, as far as this worker knows; of those that are visited now, of later ones.
    news: HashMap<Uuid, ChangeTimes>,
    under_way: HashMap<Uuid, UnderWay>,
    idle: HashMap<Uuid, (Visitor, Instant)>,
    /// Visited by another worker, to be tried again.
    busy: Vec<Uuid>,
    visits: JoinSet<Ended>,
    looked: Option<Instant>,
    looked_for_erasures: Option<Instant>,
}

impl Tenants {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When settings cannot be used.
    pub(crate) fn new(
        settings: &Settings,
        source: Source,
        mappings: Arc<Mappings>,
        limits: Limits,
        pauses: KnownPauses,
    ) -> Result<(Self, News), WorkerError> {
        let network = reach(settings).map_err(WorkerError::Authorities)?;
        let context = Arc::new(Context::new(source, mappings, limits, pauses, network, &settings.destinations));
        let (sender, hints) = mpsc::channel(HINTS);
        let (registered, seen) = watch::channel(ByTenancy::default());
        let tenants = Self {
            context,
            hints,
            registered,
            registrations: None,
            waiting: VecDeque::new(),
            is_waiting: HashSet::new(),
            news: HashMap::new(),
            under_way: HashMap::new(),
            idle: HashMap::new(),
            busy: Vec::new(),
            visits: JoinSet::new(),
            looked: None,
            looked_for_erasures: None,
        };
        Ok((tenants, News { sender, registered: seen }))
    }

    /// Visits whoever is due until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A source that does not answer holds up no end: what is dropped with a step is found again.
        while shutdown.run_until_cancelled(self.step(&mut ticks)).await.is_some() {}
        let finishing = async { while self.visits.join_next().await.is_some() {} };
        if timeout(STOP_WITHIN, finishing).await.is_err() {
            tracing::warn!("visits to tenants' destinations are given up: they begin again elsewhere");
        }
    }

    async fn step(&mut self, ticks: &mut Interval) {
        tokio::select! {
            Some(hinted) = self.hints.recv() => hinted.into_iter().for_each(|(id, times)| self.hinted(id, times)),
            Some(ended) = self.visits.join_next() => match ended {
                Ok(ended) => self.ended(ended),
                Err(joined) => self.panicked(joined.id()).await,
            },
            _ = ticks.tick() => self.tick().await,
        }
        self.begin_visits().await;
    }

    fn hinted(&mut self, id: Uuid, times: ChangeTimes) {
        self.note_news(id, times);
        self.wait(id);
    }

    fn note_news(&mut self, id: Uuid, times: ChangeTimes) {
        if times != ChangeTimes::default() {
            let known = self.news.entry(id).or_default();
            *known = known.earliest(times);
        }
    }

    fn wait(&mut self, id: Uuid) {
        if let Some(under_way) = self.under_way.get_mut(&id) {
            under_way.again = true;
        } else if self.is_waiting.insert(id) {
            self.waiting.push_back(id);
        }
    }

    fn ended(&mut self, (id, visitor, visited): Ended) {
        let under_way = self.under_way.remove(&id);
        let again = under_way.as_ref().is_some_and(|under_way| under_way.again);
        let times = under_way.map(|under_way| under_way.times).unwrap_or_default();
        if visited == Visited::InStep {
            freshness::visible(TENANTS, times, 1);
        } else {
            self.note_news(id, times);
        }
        if let Some(visitor) = visitor {
            self.idle.insert(id, (visitor, Instant::now()));
        }
        match visited {
            Visited::Busy => self.busy.push(id),
            Visited::More => self.wait(id),
            Visited::InStep if again => self.wait(id),
            Visited::InStep | Visited::Waiting(_) | Visited::Failed => {}
        }
    }

    /// A mistake in Lockstep that one destination can bring about stops nobody else (DEST-1).
    async fn panicked(&mut self, task: task::Id) {
        let found = self.under_way.iter().find(|(_, under_way)| under_way.task == Some(task));
        let Some(id) = found.map(|(id, _)| *id) else { return };
        self.under_way.remove(&id);
        const TEXT: &str = "LS-0402: a visit ended unexpectedly; please report it with the log before it";
        tracing::error!(destination = %id, "{TEXT}");
        if let Err(error) =
            self.context.ask(async |client| tenants::record_failure(client, id, "LS-0402", TEXT).await).await
        {
            tracing::warn!(%error, "why a visit failed cannot be written down");
        }
    }

    async fn tick(&mut self) {
        for id in std::mem::take(&mut self.busy) {
            self.wait(id);
        }
        self.idle.retain(|_, (visitor, since)| since.elapsed() < IDLE || !visitor.destination.close_idle(IDLE));
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        match timeout(LOOK_TIMEOUT, self.look()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the registry of tenants' destinations cannot be read, trying again")
            }
            Err(_) => tracing::warn!("the registry of tenants' destinations does not answer, trying again"),
        }
    }

    /// Asks the registry which destinations there are, takes note of changes, and who is due.
    async fn look(&mut self) -> Result<(), SourceError> {
        let control = self.context.control().await?;
        let registrations = tenants::registrations(&control).await?;
        if self.registrations != Some(registrations) {
            let by_tenancy = tenants::by_tenancy(&control).await?;
            let registered: HashSet<_> = by_tenancy.values().flatten().copied().collect();
            self.news.retain(|id, _| registered.contains(id));
            self.registered.send_replace(Arc::new(by_tenancy));
            self.registrations = Some(registrations);
        }
        while tenants::note_some_changes(&control).await? {}
        if self.registered.borrow().is_empty() {
            return Ok(());
        }
        if self.looked_for_erasures.is_none_or(|looked| looked.elapsed() >= ERASE_EVERY) {
            self.looked_for_erasures = Some(Instant::now());
            tenants::begin_erasures(&control).await?;
        }
        for row in tenants::due(&control, DUE_AT_ONCE).await? {
            self.begin(row);
        }
        Ok(())
    }

    /// Begins to visit those that wait.
    async fn begin_visits(&mut self) {
        let free = AT_ONCE.saturating_sub(self.visits.len()).min(self.waiting.len());
        if free == 0 {
            return;
        }
        let ids: Vec<_> = self.waiting.drain(..free).collect();
        self.is_waiting.retain(|id| !ids.contains(id));
        match self.context.ask(async |client| tenants::of_ids(client, &ids).await).await {
            Ok(rows) => rows.into_iter().for_each(|row| self.begin(row)),
            Err(error) => tracing::warn!(%error, "hints for tenants' destinations are dropped: they are found again"),
        }
    }

    /// Begins to visit one that is not visited already: the lock of its claim is the session's, and keeps only others away.
    fn begin(&mut self, row: Registered) {
        if let Some(under_way) = self.under_way.get_mut(&row.id) {
            under_way.again = true;
            return;
        }
        let is_failing = row.failures > 0;
        let failing = self.under_way.values().filter(|under_way| under_way.is_failing).count();
        if self.visits.len() >= AT_ONCE || is_failing && failing >= FAILING_AT_ONCE {
            // It is due again when the registry is asked next.
            return;
        }
        let id = row.id;
        let known = self.idle.remove(&row.id).map(|(visitor, _)| visitor);
        let known = known.filter(|visitor| visitor.revision == row.revision);
        let context = Arc::clone(&self.context);
        let spawned = self.visits.spawn(async move {
            let visitor = match known {
                Some(visitor) => Ok(visitor),
                None => Visitor::new(&context, &row),
            };
            match visitor {
                Ok(mut visitor) => {
                    let visited = visitor.visit(&context, &row).await;
                    (row.id, Some(visitor), visited)
                }
                Err(trouble) => {
                    super::record::record_trouble(&context, &row, &trouble).await;
                    (row.id, None, Visited::Failed)
                }
            }
        });
        // What is hinted at from now on may come after what this visit reads.
        let times = self.news.remove(&id).unwrap_or_default();
        self.under_way.insert(id, UnderWay { is_failing, again: false, times, task: Some(spawned.id()) });
    }
}
