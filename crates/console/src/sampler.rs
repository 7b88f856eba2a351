//! The one task that asks the deployment again and again, for all viewers together.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use lockstep_core::remedy::told;
use lockstep_core::settings::Settings;
use lockstep_core::shutdown::Shutdown;
use lockstep_mappings::MappingSet;
use lockstep_operations::doctor::Check;
use lockstep_operations::{Broker, Deployment};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::history::{History, Point, Series};
use crate::sample::{Checks, Sample, Seen};
use crate::state::{Console, Watched};
use crate::traffic::Heartbeats;

/// How often it asks while somebody watches.
const WATCHED: Duration = Duration::from_secs(2);
/// How often otherwise.
const UNWATCHED: Duration = Duration::from_secs(30);
/// What takes longer is unknown.
const LIMIT: Duration = Duration::from_secs(15);
/// How long RabbitMQ may take to say what waits there: it is asked beside Postgres, and keeps the rest waiting for no longer.
const BROKER_LIMIT: Duration = Duration::from_secs(3);
/// How often the doctor's checks are asked while somebody watches.
const CHECKS: Duration = Duration::from_secs(60);
/// Why nothing is known of what is shipped where nothing else is known.
pub(crate) const UNSEEN: &str = "the deployment cannot be asked";
/// What of those takes longer has failed.
const CHECKS_LIMIT: Duration = Duration::from_secs(120);

/// Runs the doctor's checks. Whoever starts the console gives it: some of them are the command line's.
pub type Doctor = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Vec<Check>> + Send>> + Send + Sync>;

/// Samples until shutdown.
pub(crate) async fn sample(console: Arc<Console>, publish: watch::Sender<Arc<Sample>>, stop: Shutdown) {
    let mut sampler = Sampler::new(console.reading);
    while !stop.is_cancelled() {
        let checks = console.checks.borrow().clone();
        let taking = sampler.take((console.reading, console.mappings), checks);
        let Some(sample) = stop.run_until_cancelled(taking).await else { return };
        publish.send_replace(Arc::new(sample));
        let pause = if console.watched.is_watched() { WATCHED } else { UNWATCHED };
        let woken = timeout(pause, console.watched.woken());
        stop.run_until_cancelled(woken).await;
    }
}

/// Asks for the doctor's checks, while somebody watches, until shutdown.
pub(crate) async fn check(console: Arc<Console>, doctor: Doctor, stop: Shutdown) {
    while !stop.is_cancelled() {
        let Some(checked) = stop.run_until_cancelled(timeout(CHECKS_LIMIT, doctor())).await else { return };
        let checks = checked.unwrap_or_else(|_| {
            vec![Check::unknown("doctor", "its checks were not done within two minutes", "`lockstep doctor`")]
        });
        console.checks.send_replace(Some(Arc::new(Checks { taken_at: SystemTime::now(), checks })));
        let next = async {
            // What was said of an outage, or before it, does not hold after it.
            let _ = timeout(CHECKS, came_back(console.samples.clone())).await;
            while !console.watched.is_watched() {
                tokio::time::sleep(Watched::REMEMBERED).await;
            }
        };
        stop.run_until_cancelled(next).await;
    }
}

/// Waits until the deployment cannot be asked, and then can again.
async fn came_back(mut samples: watch::Receiver<Arc<Sample>>) {
    // They end with the program only.
    if samples.wait_for(|sample| sample.seen.is_err()).await.is_ok() {
        let _ = samples.wait_for(|sample| sample.seen.is_ok()).await;
    }
}

/// Where it asks.
pub(crate) type Reading = (&'static Settings, &'static MappingSet);

/// Connections of its own, to Postgres and to RabbitMQ, and what was seen before.
pub(crate) struct Sampler {
    pub(crate) deployment: Option<Deployment<'static>>,
    broker: Broker,
    began: Instant,
    before: Option<(Seconds, [i64; 2])>,
    heartbeats: Heartbeats,
    history: History,
}

/// Since the program started.
type Seconds = f64;

impl Sampler {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            deployment: None,
            broker: Broker::new(settings, BROKER_LIMIT),
            began: Instant::now(),
            before: None,
            heartbeats: Heartbeats::default(),
            history: History::default(),
        }
    }

    pub(crate) async fn take(&mut self, at: Reading, checks: Option<Arc<Checks>>) -> Sample {
        let (began, taken_at) = (Instant::now(), SystemTime::now());
        let asked = timeout(LIMIT, self.ask(at)).await;
        let at_s = self.began.elapsed().as_secs_f64();
        let seen = match asked {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(error)) => Err(format!("{UNSEEN}: {error}")),
            Err(_) => Err(format!("{UNSEEN}: it was not said within {} s", LIMIT.as_secs())),
        };
        let recent = match &seen {
            Ok(seen) => self.heartbeats.observe(at_s, &seen.status.instances),
            Err(_) => Err(UNSEEN),
        };
        let values = match &seen {
            Ok(seen) => {
                let positions = [seen.status.last_sequence, seen.status.passed];
                let before = self.before.replace((at_s, positions));
                seen.values(recent.as_ref().ok(), before.map(|(then_s, positions)| (positions, at_s - then_s)))
            }
            Err(error) => {
                tracing::warn!(error, "nothing is known of the deployment");
                (self.deployment, self.before) = (None, None);
                [f64::NAN; Series::ALL.len()]
            }
        };
        self.history.push(Point { at_s, values });
        let history = self.history.clone();
        Sample { taken_at, took_ms: began.elapsed().as_millis(), seen, recent, history, checks }
    }

    async fn ask(&mut self, (settings, mappings): Reading) -> Result<Seen, String> {
        let deployment = match self.deployment.take() {
            Some(deployment) if !deployment.is_closed() => deployment,
            _ => {
                let connected = Deployment::connect(settings, mappings).await;
                connected.map_err(|error| told(&error.to_string(), settings))?
            }
        };
        let deployment = self.deployment.insert(deployment);
        Seen::take(deployment, &mut self.broker).await.map_err(|error| told(&error.to_string(), settings))
    }
}
