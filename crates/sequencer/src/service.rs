//! The daemon: stands by, leads, makes passes and announces, until it is told to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_core::health::{self, Health};
use lockstep_core::retry::Backoff;
use lockstep_core::settings::Settings;
use lockstep_core::shutdown::Shutdown;
use lockstep_destinations::ClickHouse;
use lockstep_mappings::MappingSet;
use lockstep_schema::{Source, row_security};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::announce::{Announcer, Bell};
use crate::error::SequencerError;
use crate::expander::Expander;
use crate::figures;
use crate::leader::{self, Leadership};
use crate::plan::polling::{self, Polling};
use crate::step::{Numbering, Report};
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
    figures::describe();
    figures::leads(false);
    let mappings = Arc::new(MappingSet::load(settings.mappings_dir.as_deref())?);
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref());
    let clickhouse = clickhouse.map_err(SequencerError::RewindUnchecked)?;
    let health = Health::default();
    if let Some(address) = settings.listen {
        let serving = health::serve(address, health.clone(), shutdown.clone()).await;
        let bound = serving.map_err(|error| SequencerError::Listen { address, error })?;
        tracing::info!(%bound, "serving health and metrics");
    }
    let looking = row_security::refuse_at_start(&source, &mappings);
    let Some(looked) = shutdown.run_until_cancelled(looking).await else { return Ok(()) };
    looked?;
    let (leading, is_leading) = watch::channel(false);
    let bells = Bells::default();
    let stop_announcing = Shutdown::new();
    let announcer = Announcer::new(
        source.clone(),
        settings,
        health.clone(),
        bells.changes.clone(),
        is_leading.clone(),
        Arc::clone(&mappings),
    );
    let mut announcing = Helper(tokio::spawn(announcer.run(stop_announcing.clone())));
    let _upkeep = Helper(tokio::spawn(Upkeep::new(source.clone(), bells.changes.clone(), is_leading.clone()).run()));
    let expander =
        || Expander::new(source.clone(), Arc::clone(&mappings), bells.expansions.clone(), is_leading.clone()).run();
    // One may be busy with a tenancy of many millions of rows.
    let _expanders = [Helper(tokio::spawn(expander())), Helper(tokio::spawn(expander()))];
    let watch = Watch::new(source.clone(), Arc::clone(&mappings), bells.catalog.clone(), is_leading.clone());
    let _watch = Helper(tokio::spawn(watch.run()));
    let mut sequencer = Sequencer {
        numbering: Numbering::new(source.clone(), mappings).guarded_by(clickhouse),
        source,
        health,
        bells,
        leading,
        backoff: Backoff::for_connections(),
        stopped: false,
    };
    let leadership = tokio::select! {
        ended = sequencer.lead_until(&shutdown) => ended?,
        ended = &mut announcing.0 => return announcer_ended(ended),
    };
    stop_announcing.cancel();
    let announced = (&mut announcing.0).await;
    if let Some(leadership) = leadership {
        leadership.release().await;
    }
    announcer_ended(announced)
}

fn announcer_ended(
    ended: Result<Result<(), lockstep_queue::QueueError>, tokio::task::JoinError>,
) -> Result<(), SequencerError> {
    Ok(ended.map_err(|error| SequencerError::Internal(error.to_string()))??)
}

/// A task that ends with its owner.
struct Helper<T>(JoinHandle<T>);

impl<T> Drop for Helper<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What wakes the tasks beside the passes.
#[derive(Default)]
struct Bells {
    changes: Bell,
    expansions: Bell,
    catalog: Bell,
}

struct Sequencer {
    source: Source,
    numbering: Numbering,
    health: Health,
    bells: Bells,
    leading: watch::Sender<bool>,
    backoff: Backoff,
    /// Whether an operator has stopped it.
    stopped: bool,
}

impl Sequencer {
    /// Stands by and leads in turn. Returns on shutdown, with the leadership if it leads then.
    async fn lead_until(&mut self, shutdown: &Shutdown) -> Result<Option<Leadership>, SequencerError> {
        loop {
            let campaigning = leader::campaign(&self.source, &self.health);
            let Some(leadership) = shutdown.run_until_cancelled(campaigning).await else { return Ok(None) };
            self.leading.send_replace(true);
            // Others may have led meanwhile, on another server.
            self.numbering.forget();
            // What a former leader left.
            self.bells.changes.ring();
            self.bells.expansions.ring();
            self.bells.catalog.ring();
            let why = tokio::select! {
                ended = self.pass_until(shutdown) => return ended.map(|()| Some(leadership)),
                why = leadership.lost() => why,
            };
            // The pass that was open is undone by the server: its connection ended with the select.
            self.leading.send_replace(false);
            self.health.not_ready("leader", why.clone());
            tracing::warn!(reason = why, "no longer leading: no more passes");
        }
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
        figures::source_went_back(false);
        if report.stopped != self.stopped {
            self.stopped = report.stopped;
            figures::stopped(report.stopped);
            let what = if report.stopped { "paused" } else { "resumed" };
            tracing::warn!("the sequencer was {what}");
        }
        if report.changes > 0 {
            self.bells.changes.ring();
        }
        if report.expansions > 0 {
            self.bells.expansions.ring();
        }
        if report.watch {
            self.bells.catalog.ring();
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
        if let SequencerError::SourceWentBack { .. } = error {
            figures::source_went_back(true);
            tracing::error!(attempt, wait_ms, %error, "nothing is numbered, looking again");
        } else {
            tracing::warn!(attempt, wait_ms, %error, "no pass can be made, trying again");
        }
        self.health.not_ready("source", error.to_string());
        wait
    }
}
