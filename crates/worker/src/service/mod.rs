//! A whole worker: the stream, fills beside it, the sweep and the janitor, until it is told to stop.

mod merge_pace;
mod put_offs;
mod stream;
mod unacknowledged;

use std::sync::Arc;

use lockstep_core::health::{self, Health};
use lockstep_core::retry::Backoff;
use lockstep_core::settings::Settings;
use lockstep_core::shutdown::Shutdown;
use lockstep_core::traffic;
use lockstep_destinations::{ClickHouse, Destination, refuse_unfit_at_start};
use lockstep_mappings::MappingSet;
use lockstep_queue::{Consumer, Publisher, Topology};
use lockstep_schema::instances::{Heartbeat, State};
use lockstep_schema::tasks::Driver;
use lockstep_schema::{Source, row_security};
use tokio::task::JoinSet;

use self::put_offs::PutOffs;
use self::stream::Stream;
use self::unacknowledged::Unacknowledged;
use crate::error::WorkerError;
use crate::fill::{FillEnd, Filler};
use crate::flush::Flusher;
use crate::janitor::Janitor;
use crate::limits::Limits;
use crate::mappings::Mappings;
use crate::pauses::ReadPauses;
use crate::shared::Shared;
use crate::sweep::Sweep;
use crate::tenants::Tenants;
use crate::{flush, metrics};

/// Ships announced tenants to ClickHouse until `shutdown`.
///
/// # Errors
/// When it cannot start: definitions or settings that cannot be used, a broker that refuses. Services that are away are
/// waited for, for as long as it takes.
pub async fn run(settings: Settings, shutdown: Shutdown) -> Result<(), WorkerError> {
    let destination = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    let limits = Limits { max_value_bytes: settings.max_value_bytes, ..Limits::default() };
    run_to(&settings, limits, destination, shutdown).await
}

/// As [`run`], with limits and a destination of one's own: tests use it to make them fail.
///
/// # Errors
/// As [`run`].
pub async fn run_to<D: Destination>(
    settings: &Settings,
    limits: Limits,
    destination: D,
    shutdown: Shutdown,
) -> Result<(), WorkerError> {
    let set = MappingSet::load(&settings.mappings)?;
    let mappings = Arc::new(Mappings::new(&set));
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let health = serve_health(settings, &shutdown).await?;
    let name = format!("worker-{}", uuid::Uuid::new_v4().simple());
    tracing::info!(worker = name, mappings = mappings.all().count(), "worker starts");
    let mut flusher = Flusher::new(source.clone(), destination.clone(), Arc::clone(&mappings), limits, health.clone());
    let read = settings.source_read_url.as_ref().map(|url| Source::new(url, settings.tls_ca_file.as_deref()));
    let read = read.transpose()?;
    if let Some(read) = &read {
        flusher = flusher.reading_from(read.clone());
    }
    let stopping = shutdown.child_token();
    let mut parts = JoinSet::new();
    let put_offs = PutOffs::default();
    beat(&source, (&health, &put_offs), &stopping, &mut parts);
    let connecting = async {
        for source in [&source].into_iter().chain(&read) {
            row_security::refuse_at_start(source, &set, &health).await?;
        }
        refuse_unfit_at_start(&destination, &health).await?;
        wait_for_both_sides(&mut flusher, &health).await;
        connect(settings, limits, &health).await
    };
    let (consumer, publisher) = match shutdown.run_until_cancelled(connecting).await {
        Some(Ok(connected)) => connected,
        ended => {
            // It signs off.
            stopping.cancel();
            all_ended(parts, &stopping).await?;
            return ended.map_or(Ok(()), |connected| connected.map(drop));
        }
    };
    let publisher = Arc::new(publisher);
    let resumed = Arc::default();
    let (read_pauses, pauses) = ReadPauses::new(Arc::clone(&resumed));
    let (of_tenants, news) = Tenants::new(settings, source.clone(), Arc::clone(&mappings), limits, pauses.clone())?;
    let shared = Shared { destination, mappings, limits, pauses };
    let (unacknowledged, announcing) = (Unacknowledged::default(), Arc::clone(&publisher));
    let stream =
        Stream { shared: shared.clone(), consumer, publisher: announcing, flusher, news, unacknowledged, put_offs };
    parts.spawn(stream.run(stopping.clone()));
    parts.spawn(of_tenants.run(stopping.clone()));
    let tasks = Driver::new("worker", source.clone(), &health, stopping.clone(), &mut parts);
    tasks.spawn(&mut parts, read_pauses, Arc::default());
    // While the destination makes one range durable, the next is read.
    for filler in ["a", "b"] {
        tasks.spawn(&mut parts, Filler::new(shared.clone(), format!("{name}-{filler}")), Arc::default());
    }
    tasks.spawn(&mut parts, Sweep::new(shared, Arc::clone(&publisher)), resumed);
    // Not through `destination`: what it does is ClickHouse's own, and no write of rows.
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    let fill_end = FillEnd { destination: clickhouse.clone(), set: set.clone(), limits };
    tasks.spawn(&mut parts, fill_end, Arc::default());
    tasks.spawn(&mut parts, Janitor::new(source, clickhouse, set, limits), Arc::default());
    let outcome = all_ended(parts, &stopping).await;
    if let Some(publisher) = Arc::into_inner(publisher) {
        publisher.close().await;
    }
    tracing::info!("worker has stopped");
    outcome
}

/// The health of a worker that has not begun yet, served where that is wanted.
async fn serve_health(settings: &Settings, shutdown: &Shutdown) -> Result<Health, WorkerError> {
    let health = Health::of(settings);
    if let Some(address) = settings.listen {
        let bound = health::serve(address, health.clone(), shutdown.clone()).await.map_err(WorkerError::Listen)?;
        tracing::info!(%bound, "serving health and metrics");
    }
    // Not before: the recorder is set there.
    metrics::describe();
    health.not_ready("queue", "is asked once Postgres and ClickHouse answer");
    health.not_ready(flush::DESTINATION, "is asked once Postgres answers");
    Ok(health)
}

/// Says from now on that this worker lives, whether it can begin or waits for a service.
fn beat(source: &Source, (health, put_offs): (&Health, &PutOffs), stop: &Shutdown, on: &mut JoinSet<()>) {
    let (news, health, put_offs) = (health.news(), health.clone(), put_offs.clone());
    let state = move || State { put_off: put_offs.all(), shipped: Some(traffic::shipped()), ..State::of(&health) };
    // Whose beats fail is silent to others; written down it would look as if it failed for ever.
    let beats = Driver::without_statuses(source.clone(), stop.clone());
    beats.spawn(on, Heartbeat::new("worker", state), news);
}

/// Waits for all parts. None ends before the signal, unless it panicked: the others then stop in good order.
async fn all_ended(mut parts: JoinSet<()>, stopping: &Shutdown) -> Result<(), WorkerError> {
    let mut outcome = Ok(());
    while let Some(ended) = parts.join_next().await {
        stopping.cancel();
        if let Err(error) = ended {
            outcome = Err(WorkerError::Ended(error));
        }
    }
    outcome
}

/// Messages are taken only when they can be worked on.
async fn wait_for_both_sides<D: Destination>(flusher: &mut Flusher<D>, health: &Health) {
    let mut backoff = Backoff::for_connections();
    while let Err(reason) = flusher.check().await {
        let wait = backoff.next_wait();
        tracing::warn!(
            reason = health.told(&reason),
            wait_ms = wait.as_millis(),
            "source or destination cannot be used, trying again; `lockstep migrate` makes what is missing"
        );
        tokio::time::sleep(wait).await;
    }
    tracing::info!("{} and {} answer", flush::SOURCE, flush::DESTINATION);
}

async fn connect(settings: &Settings, limits: Limits, health: &Health) -> Result<(Consumer, Publisher), WorkerError> {
    let topology = Topology::new(&settings.queue_prefix);
    let (url, ca) = (&settings.amqp_url, settings.tls_ca_file.as_deref());
    let telling = Some(health.clone());
    let consumer = Consumer::connect_telling(url, ca, &topology, limits.prefetch_messages, telling).await?;
    let publisher = Publisher::connect(url, ca, &topology).await?;
    Ok((consumer, publisher))
}
