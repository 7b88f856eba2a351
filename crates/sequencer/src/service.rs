//! The daemon: stands by, leads, makes passes and announces, until it is told to stop.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lockstep_core::freshness::{self, ChangeTimes, Stage};
use lockstep_core::health::{self, Health};
use lockstep_core::retry::Backoff;
use lockstep_core::settings::Settings;
use lockstep_core::shutdown::Shutdown;
use lockstep_destinations::{ClickHouse, Destination, Failure};
use lockstep_mappings::MappingSet;
use lockstep_queue::QueueError;
use lockstep_schema::instances::{Heartbeat, State};
use lockstep_schema::tasks::Driver;
use lockstep_schema::{Source, row_security};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use crate::announce::Announcer;
use crate::error::SequencerError;
use crate::events::EventTasks;
use crate::expander::Expander;
use crate::leader;
use crate::metrics;
use crate::plan::polling::{self, Polling};
use crate::plan::stamps::{Stamp, Stamps};
use crate::step::{Numbering, Report};
use crate::storage::leadership::LeaderLock;
use crate::upkeep::Upkeep;
use crate::watch::Watch;

/// How long a sequencer that stops lets an open pass go on.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Runs the sequencer until `shutdown`. Then it finishes the open pass, announces what has its number if that goes
/// quickly, and gives up leadership.
///
/// Postgres and RabbitMQ may come and go: it connects again, for as long as it takes.
///
/// # Errors
/// Only what waiting does not mend: wrong definitions or settings, an address that cannot be bound, a broker that refuses
/// the first connection, a sequence that does not grow.
pub async fn run(settings: Settings, shutdown: Shutdown) -> Result<(), SequencerError> {
    let mappings = Arc::new(MappingSet::load(&settings.mappings)?);
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref());
    let clickhouse = clickhouse.map_err(SequencerError::RewindUnchecked)?;
    let health = Health::of(&settings);
    serve_health(&settings, &health, &shutdown).await?;
    // Not before: the recorder is set there.
    metrics::describe();
    metrics::set(metrics::LEADER, false);
    let looking = async {
        row_security::refuse_at_start(&source, &mappings, &health).await?;
        // One that is away keeps nobody from standing by: it is asked again before anything is numbered.
        match clickhouse.check_version().await {
            Err(error) if error.failure() == Failure::Outdated => Err(SequencerError::Outdated(error)),
            _ => Ok(()),
        }
    };
    let Some(looked) = shutdown.run_until_cancelled(looking).await else { return Ok(()) };
    looked?;
    let (leading, is_leading) = watch::channel(false);
    let (wake, stamps) = (Wake::default(), Arc::<Mutex<Stamps>>::default());
    let mut beating = beat(&source, &health, is_leading.clone(), &shutdown);
    let stop_announcing = Shutdown::new();
    let event_tasks = EventTasks::new(settings.clone());
    let announcer = Announcer {
        source: source.clone(),
        settings,
        health: health.clone(),
        wake: Arc::clone(&wake.announcer),
        leading: is_leading,
        mappings: Arc::clone(&mappings),
        stamps: Arc::clone(&stamps),
        open: None,
    };
    let mut announcing = JoinSet::new();
    announcing.spawn(announcer.run(stop_announcing.clone()));
    let mut sequencer = Sequencer {
        numbering: Numbering::new(source.clone(), Arc::clone(&mappings)).guarded_by(clickhouse),
        source,
        mappings,
        health,
        wake,
        stamps,
        leading,
        event_tasks,
        backoff: Backoff::for_connections(),
        paused: false,
    };
    let leadership = tokio::select! {
        ended = sequencer.lead_until(&shutdown) => ended?,
        ended = announcing.join_next() => return announcer_ended(ended),
    };
    stop_announcing.cancel();
    let announced = announcing.join_next().await;
    if let Some(leadership) = leadership {
        leader::release(leadership).await;
    }
    // It signs off, in bounded time.
    while beating.join_next().await.is_some() {}
    announcer_ended(announced)
}

async fn serve_health(settings: &Settings, health: &Health, shutdown: &Shutdown) -> Result<(), SequencerError> {
    if let Some(address) = settings.listen {
        let serving = health::serve(address, health.clone(), shutdown.clone()).await;
        let bound = serving.map_err(|error| SequencerError::Listen { address, error })?;
        tracing::info!(%bound, "serving health and metrics");
    }
    Ok(())
}

/// Says that this sequencer lives, whether it leads or stands by, until the set is dropped.
fn beat(source: &Source, health: &Health, leads: watch::Receiver<bool>, stop: &Shutdown) -> JoinSet<()> {
    let (news, health) = (health.news(), health.clone());
    let state = move || State { leads: Some(*leads.borrow()), ..State::of(&health) };
    let (mut beating, heartbeat) = (JoinSet::new(), Heartbeat::new("sequencer", state));
    Driver::without_statuses(source.clone(), stop.clone()).spawn(&mut beating, heartbeat, news);
    beating
}

fn announcer_ended(ended: Option<Result<Result<(), QueueError>, JoinError>>) -> Result<(), SequencerError> {
    ended.map_or(Ok(()), |ended| Ok(ended.map_err(|error| SequencerError::Internal(error.to_string()))??))
}

/// What wakes the tasks beside the passes.
#[derive(Default)]
struct Wake {
    announcer: Arc<Notify>,
    expander: Arc<Notify>,
    watch: Arc<Notify>,
}

struct Sequencer {
    source: Source,
    numbering: Numbering,
    mappings: Arc<MappingSet>,
    health: Health,
    wake: Wake,
    /// For the announcer.
    stamps: Arc<Mutex<Stamps>>,
    leading: watch::Sender<bool>,
    event_tasks: EventTasks,
    backoff: Backoff,
    /// Whether an operator has paused it.
    paused: bool,
}

impl Sequencer {
    /// Stands by and leads in turn. Returns on shutdown, with the leadership if it leads then.
    async fn lead_until(&mut self, shutdown: &Shutdown) -> Result<Option<LeaderLock>, SequencerError> {
        loop {
            let campaigning = leader::campaign(&self.source, &self.health);
            let Some(leadership) = shutdown.run_until_cancelled(campaigning).await else { return Ok(None) };
            self.set_leading(true);
            // Others may have led meanwhile, on another server.
            self.numbering.forget();
            // What a former leader left.
            self.wake.announcer.notify_one();
            let mut tasks = self.periodic_tasks();
            let why = tokio::select! {
                ended = self.pass_until(shutdown) => return ended.map(|()| Some(leadership)),
                why = leader::lost(&leadership) => why,
                Some(Err(panicked)) = tasks.join_next() => return Err(SequencerError::Internal(panicked.to_string())),
            };
            // Whoever leads tells what waits.
            for stage in [Stage::Inbox, Stage::Expansion, Stage::Outbox] {
                freshness::oldest_news(stage, None);
            }
            self.event_tasks.forget();
            // The pass that was open is undone by the server: its connection ended with the select.
            self.set_leading(false);
            self.health.not_ready("leader", why.clone());
            tracing::warn!(reason = why, "no longer leading: no more passes");
        }
    }

    /// Starts what is done beside the passes while this sequencer leads; it ends when the set is dropped.
    fn periodic_tasks(&self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let driver = Driver::new("sequencer", self.source.clone(), &self.health, Shutdown::new(), &mut tasks);
        driver.spawn(&mut tasks, Upkeep::new(Arc::clone(&self.wake.announcer)), Arc::default());
        // One may be busy with a tenancy of many millions of rows.
        for _ in 0..2 {
            driver.spawn(&mut tasks, Expander(Arc::clone(&self.mappings)), Arc::clone(&self.wake.expander));
        }
        self.event_tasks.spawn(&driver, &mut tasks);
        driver.spawn(&mut tasks, Watch { mappings: Arc::clone(&self.mappings) }, Arc::clone(&self.wake.watch));
        tasks
    }

    fn set_leading(&self, leads: bool) {
        self.leading.send_replace(leads);
        self.health.news().notify_one();
        metrics::set(metrics::LEADER, leads);
    }

    async fn pass_until(&mut self, shutdown: &Shutdown) -> Result<(), SequencerError> {
        let mut polling = Polling::default();
        while !shutdown.is_cancelled() {
            let began = Instant::now();
            let grace = async {
                shutdown.cancelled().await;
                sleep(STOP_GRACE).await;
            };
            let polled = tokio::select! {
                polled = self.numbering.poll() => polled,
                () = grace => {
                    tracing::warn!("stopping in the middle of a pass, which is undone");
                    return Ok(());
                }
            };
            freshness::oldest_news(Stage::Inbox, self.numbering.oldest_age());
            let still_at = polled.as_ref().ok().and_then(|report| report.still_at);
            let wait = match polled {
                Ok(report) => {
                    self.worked(&report);
                    polling.next_wait(report.found(), began.elapsed())
                }
                Err(error) if error.is_retryable() => self.failed(&error),
                Err(error) => return Err(error),
            };
            if let Some(still_at) = still_at
                && wait == polling::LONGEST
            {
                let was_still = shutdown.run_until_cancelled(self.numbering.wait_while_still(still_at)).await;
                if was_still == Some(true) {
                    polling = Polling::default();
                }
            } else if !wait.is_zero() {
                shutdown.run_until_cancelled(sleep(wait)).await;
            }
        }
        Ok(())
    }

    fn worked(&mut self, report: &Report) {
        if self.backoff.attempts() > 0 {
            tracing::info!(failures = self.backoff.attempts(), "passes are made again");
            self.backoff.reset();
        }
        self.health.ready("source");
        metrics::set(metrics::WENT_BACK, false);
        if report.paused != self.paused {
            self.paused = report.paused;
            metrics::set(metrics::PAUSED, report.paused);
            let what = if report.paused { "paused" } else { "resumed" };
            tracing::warn!("the sequencer was {what}");
        }
        if report.changes > 0 {
            if let Some(waited) = report.waited {
                freshness::stamped(waited);
            }
            let times = ChangeTimes::stamped(Duration::ZERO, report.waited);
            let mut stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
            stamps.push(Stamp { through: report.last_sequence, times, origin: self.numbering.take_origin() });
            drop(stamps);
            self.wake.announcer.notify_one();
        }
        if report.expansions > 0 {
            self.wake.expander.notify_one();
        }
        if report.watch {
            self.wake.watch.notify_one();
        }
        if report.passed {
            let (changes, head, fences) = (report.changes, report.last_sequence, report.answered_fences);
            tracing::debug!(changes, %head, fences, "a pass was committed");
        }
    }

    fn failed(&mut self, error: &SequencerError) -> Duration {
        let wait = self.backoff.next_wait();
        let wait_ms = wait.as_millis();
        let attempt = self.backoff.attempts();
        if let SequencerError::SourceWentBack(_) = error {
            metrics::set(metrics::WENT_BACK, true);
            tracing::error!(attempt, wait_ms, %error, "nothing is numbered, looking again");
        } else {
            tracing::warn!(attempt, wait_ms, %error, "no pass can be made, trying again");
        }
        self.health.not_ready("source", error.to_string());
        wait
    }
}
