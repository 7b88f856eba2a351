//! Health and Prometheus metrics over HTTP, for daemons: `/livez`, `/readyz`, `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::destination_id::CLICKHOUSE;
use crate::freshness::{LAG, LAG_BUCKETS};
use crate::remedy::Services;
use crate::settings::Settings;
use crate::shutdown::Shutdown;

const BUILD_INFO: &str = "lockstep_build_info";
const DESTINATION_UP: &str = "lockstep_destination_up";

/// That a daemon is not ready is told to others once it has been so for so long: what has just begun may be over at once.
const TOLD_AFTER: Duration = Duration::from_secs(5);

/// Since when a part does not work, and why; none where it does.
type Part = Option<(Instant, String)>;

/// What keeps a daemon from its work, or from a part of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeldUp {
    /// What each part says that does not work. Without values of rows.
    pub why: String,
    /// For how long the first of them has not, in seconds.
    pub for_s: u64,
}

/// What each part of a daemon last said about itself. Cheap to clone; all clones share one state.
#[derive(Clone, Default, Debug)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, Part>>>,
    /// There is news that others should have at once.
    news: Arc<Notify>,
    /// Of a daemon: where it looks for its services.
    services: Option<Arc<Services>>,
}

impl Health {
    /// Of a daemon with these settings: of a service that is away it says, and logs when that begins, where it was looked for.
    pub fn of(settings: &Settings) -> Self {
        Self { services: Some(Arc::new(settings.into())), ..Self::default() }
    }

    /// An error, and behind it what to do about a service that does not answer.
    pub fn told(&self, error: &str) -> String {
        self.services.as_ref().map_or_else(|| error.to_owned(), |services| services.told(error))
    }

    /// `part` works.
    pub fn ready(&self, part: &'static str) {
        self.set(part, None);
    }

    /// `part` does not work at the moment, and why (no secrets: it is shown to whoever asks).
    pub fn not_ready(&self, part: &'static str, why: impl Into<String>) {
        self.tell(part, why);
    }

    /// The same, for whoever logs it too. Returns what is said, with what to do about a service that does not answer.
    pub fn tell(&self, part: &'static str, why: impl Into<String>) -> String {
        let told = self.told(&why.into());
        self.set(part, Some(told.clone()));
        told
    }

    /// Whether a part works, where it ever spoke.
    pub fn is_ready(&self, part: &str) -> Option<bool> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).get(part).map(Option::is_none)
    }

    fn set(&self, part: &'static str, why: Option<String>) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = parts.get(part).cloned();
        let since = before.as_ref().and_then(|before| Some(before.as_ref()?.0)).unwrap_or_else(Instant::now);
        parts.insert(part, why.clone().map(|why| (since, why)));
        drop(parts);
        match (why, before) {
            // What is said while it goes on is in the log of whoever tries again.
            (Some(why), Some(None)) if self.services.is_some() => {
                tracing::warn!(part, why, "a part does not work at the moment");
            }
            (None, Some(Some(_))) => self.news.notify_one(),
            _ => {}
        }
    }

    /// Wakes one who waits whenever a part works again, and whenever somebody else has news that others should have at once.
    pub fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    /// Since when the first of the parts that do not work does not, and what each says.
    fn failing(&self) -> Option<(Instant, Vec<String>)> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let failing = || parts.iter().filter_map(|(part, state)| Some((part, state.as_ref()?)));
        let since = failing().map(|(_, (since, _))| *since).min()?;
        Some((since, failing().map(|(part, (_, why))| format!("{part}: {why}")).collect()))
    }

    /// What has kept this daemon from its work for some seconds.
    pub fn held_up(&self) -> Option<HeldUp> {
        let (since, lines) = self.failing()?;
        let why = lines.join("; ").replace('\n', "; ");
        (since.elapsed() >= TOLD_AFTER).then(|| HeldUp { why, for_s: since.elapsed().as_secs() })
    }

    /// `Ok` when every part that ever spoke works, otherwise one line for each that does not.
    ///
    /// # Errors
    /// The lines, ready to be shown.
    pub fn report(&self) -> Result<(), String> {
        if self.parts.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Err("starting".to_owned());
        }
        self.failing().map_or(Ok(()), |(_, lines)| Err(lines.join("\n")))
    }
}

/// Serves health and metrics until shutdown. Returns the address that was bound (port 0 picks a free one).
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: SocketAddr, health: Health, shutdown: Shutdown) -> std::io::Result<SocketAddr> {
    let with_buckets = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Full(LAG.to_owned()), &LAG_BUCKETS);
    let recorder = with_buckets.map_err(std::io::Error::other)?.build_recorder();
    let metrics = recorder.handle();
    // A process has one recorder. A second daemon in the same process (tests) leaves the first in place.
    let _ = metrics::set_global_recorder(recorder);
    describe_gauge!(BUILD_INFO, Unit::Count, "1, with the version of the program");
    describe_gauge!(DESTINATION_UP, Unit::Count, "1 where the destination did what this process last asked of it");
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let listener = tokio::net::TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let upkeep = metrics.clone();
    let upkeep_shutdown = shutdown.clone();
    tokio::spawn(async move {
        // Histograms gather samples until upkeep folds them; unfolded they grow without bound.
        let mut every = tokio::time::interval(Duration::from_secs(5));
        while upkeep_shutdown.run_until_cancelled(every.tick()).await.is_some() {
            upkeep.run_upkeep();
        }
    });
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state((health, metrics));
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "health server ended");
        }
    });
    Ok(bound)
}

type Served = (Health, PrometheusHandle);

async fn readyz(State((health, _)): State<Served>) -> (StatusCode, String) {
    match health.report() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}

async fn render(State((health, metrics)): State<Served>) -> String {
    if let Some(is_up) = health.is_ready(CLICKHOUSE) {
        gauge!(DESTINATION_UP, "destination" => CLICKHOUSE).set(f64::from(u8::from(is_up)));
    }
    metrics.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_ready_when_every_part_is() {
        let health = Health::default();
        assert!(health.report().is_err());
        health.ready("source");
        health.not_ready("queue", "connection refused");
        assert_eq!(health.report(), Err("queue: connection refused".to_owned()));
        assert_eq!(["source", "queue", "other"].map(|part| health.is_ready(part)), [Some(true), Some(false), None]);
        health.ready("queue");
        assert_eq!(health.report(), Ok(()));
    }

    #[tokio::test]
    async fn what_keeps_a_daemon_is_told_once_it_lasts_and_its_end_at_once() {
        let health = Health::default();
        assert_eq!(health.held_up(), None, "no part has spoken");
        health.not_ready("queue", "away");
        assert_eq!(health.held_up(), None, "it may be over at once");
        let long_ago = Instant::now().checked_sub(Duration::from_secs(42)).unwrap();
        health.parts.lock().unwrap().insert("queue", Some((long_ago, "away".to_owned())));
        health.not_ready("queue", "still\naway");
        health.not_ready("source", "too");
        let held_up = HeldUp { why: "queue: still; away; source: too".to_owned(), for_s: 42 };
        assert_eq!(health.held_up(), Some(held_up), "it goes on where it was so before");
        health.ready("queue");
        health.news().notified().await;
        assert_eq!(health.held_up(), None, "what is left has just begun");
    }
}
