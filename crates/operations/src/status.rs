//! What waits where. Every number is bounded work: nothing counts a whole table, and nothing is asked per tenancy.

use std::time::Duration;

use lockstep_core::SequenceId;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::{Target, inbox};
use lockstep_schema::events::SinkState;
use lockstep_schema::instances::{self, Instance, Seen};
use lockstep_schema::tasks::{TaskStatus, statuses};
use lockstep_schema::tenant_destinations::{find_all, overview};
use lockstep_schema::{Control, fills, progress};
use serde::Serialize;
use tokio_postgres::Client;

use crate::DESTINATION;
use crate::broker::{Broker, Queue};
use crate::deployment::Deployment;
use crate::destinations::{DestinationEntry, entries};
use crate::error::OperationError;
use crate::events::event_sinks;
use crate::limit::COUNT_LIMIT;
use crate::pause::{PausedPart, paused_parts};
use crate::programs::{ProgramTrouble, TroubleKind, WaitsFor, troubles};

/// The broker has so long to answer a single look; how it came to that is an error of its own by then.
const BROKER_LIMIT: Duration = Duration::from_secs(60);
/// Tenants' destinations that are shown one by one.
const WORST: i64 = 10;

/// What waits where.
#[derive(Serialize, Debug)]
pub struct Status {
    /// The last number that was given out.
    pub last_sequence: i64,
    /// Through which number the destination holds everything.
    pub passed: i64,
    /// Lines that have no number yet.
    pub inbox_lines: i64,
    /// Lines whose rows are still to be searched.
    pub expansions: i64,
    /// Changes that were not announced yet.
    pub unannounced: i64,
    /// Messages that wait.
    pub queue: Queue,
    /// Rows that a destination refused.
    pub quarantine: i64,
    /// Tenancies that are gone, and wait for their erasure.
    pub erasures: i64,
    /// Each mapping.
    pub mappings: Vec<MappingStatus>,
    /// Only the first `count_limit` changes that the destination has not passed were looked through: the tenancies behind of
    /// each mapping are "at least".
    pub behind_cut: bool,
    /// What is paused.
    pub paused: Vec<PausedPart>,
    /// Changes that the destination had not passed were dropped: it is being filled again.
    pub needs_refill: bool,
    /// Tenants' own destinations.
    pub tenants: TenantsStatus,
    /// Who is told of events, and what each does not have yet.
    pub event_sinks: Vec<SinkState>,
    /// The sequencers and workers that run, and those that have stopped in the last ten minutes.
    pub instances: Vec<Instance>,
    /// What the periodic tasks of all programs did last.
    pub tasks: Vec<TaskStatus>,
    /// What is wrong with the sequencers and workers: which are not there, what keeps them from their work, and what they put off.
    pub programs: Vec<ProgramTrouble>,
    /// Numbers that reached this are "at least".
    pub count_limit: i64,
}

/// How tenants' own destinations are, all together. One can be several things.
#[derive(Serialize, Debug)]
pub struct TenantsStatus {
    /// How many there are.
    pub total: i64,
    /// Those that are paused, or whose tenancies are.
    pub paused: i64,
    /// Those whose last attempt failed.
    pub backing_off: i64,
    /// Those that are filled, or to be looked at for the first time.
    pub unfinished: i64,
    /// Those with changes that are not there yet.
    pub behind: i64,
    /// Those that hold everything that was noted, and whose last attempt went well.
    pub in_step: i64,
    /// Mappings of all of them that are stopped.
    pub stopped_mappings: i64,
    /// Mappings of all of them that are to be filled again.
    pub refills: i64,
    /// Through which number changes were noted for them.
    pub noted: i64,
    /// Those that most need somebody to look, a few of them.
    pub worst: Vec<DestinationEntry>,
}

/// How far a mapping has come.
#[derive(Serialize, Debug)]
pub struct MappingStatus {
    /// Its name.
    pub name: String,
    /// Tenancies with a change that the destination has not passed.
    pub tenancies_behind: i64,
    /// Ranges of the last fill that are shipped.
    pub fill_ranges_done: i64,
    /// All of them.
    pub fill_ranges: i64,
    /// Rows that it has shipped.
    pub filled_rows: i64,
    /// Whether it has ended.
    pub filled: bool,
}

impl Status {
    /// Whether a sequencer or a worker runs.
    pub fn any_runs(&self) -> bool {
        self.instances.iter().any(|instance| instance.is_alive)
    }

    /// Whether no sequencer and no worker has run since `lockstep migrate`: none has told of itself or of a task of its own.
    pub fn is_not_started(&self) -> bool {
        self.instances.is_empty() && self.tasks.is_empty()
    }

    /// What is wrong with programs, of which these were seen. Before any was started none is missed.
    fn with_programs(self, seen: Seen) -> Self {
        let waits_for = WaitsFor {
            sequencer: self.inbox_lines + self.expansions + self.unannounced > 0,
            worker: !self.is_all_shipped() || self.tenants.behind + self.tenants.unfinished > 0,
        };
        let mut programs = troubles(&seen, SequenceId::new(self.passed), waits_for);
        let status = Self { instances: seen.instances, ..self };
        programs.retain(|trouble| trouble.kind != TroubleKind::Absent || !status.is_not_started());
        Self { programs, ..status }
    }

    /// Whether what has its number is shipped, and all that was there before is too.
    pub fn is_all_shipped(&self) -> bool {
        !self.needs_refill && self.mappings.iter().all(|mapping| mapping.filled && mapping.tenancies_behind == 0)
    }
}

/// Looks everywhere.
///
/// # Errors
/// When Postgres cannot be asked. A broker that does not answer is part of the report.
pub async fn status(deployment: &Deployment<'_>) -> Result<Status, OperationError> {
    let mut broker = Broker::new(deployment.settings, BROKER_LIMIT);
    let status = status_with(deployment, &mut broker).await;
    broker.close().await;
    status
}

/// The same, again and again: the broker is asked over a connection that stays.
///
/// # Errors
/// As [`status`].
pub async fn status_with(deployment: &Deployment<'_>, broker: &mut Broker) -> Result<Status, OperationError> {
    let (queue, status) = tokio::join!(broker.queue(), in_postgres(deployment));
    Ok(Status { queue, ..status? })
}

/// All that Postgres knows.
pub(crate) async fn in_postgres(deployment: &Deployment<'_>) -> Result<Status, OperationError> {
    let (client, control) = (&deployment.client, deployment.control()?);
    let destination = DESTINATION.into();
    // Few of the rows are asked for, which the planner cannot know where it is told a number.
    client.batch_execute("SET enable_seqscan = off").await?;
    let last_sequence = deployment.last_sequence().await?;
    let passed = progress::passed(control, &destination).await?;
    let announced = progress::last_announced(control).await?;
    let (mappings, behind_cut) = mapping_statuses(deployment, passed).await?;
    let status = Status {
        last_sequence: last_sequence.get(),
        passed: passed.get(),
        inbox_lines: client.query_one(&inbox::count_unseen(COUNT_LIMIT), &[]).await?.get(0),
        expansions: capped(client, "SELECT 1 FROM lockstep.expansion").await?,
        unannounced: capped(client, &format!("SELECT 1 FROM lockstep.change WHERE sequence > {announced}")).await?,
        queue: Queue::Unknown { error: "it was not asked".to_owned() },
        quarantine: capped(client, "SELECT 1 FROM lockstep.quarantine").await?,
        erasures: capped(client, "SELECT 1 FROM lockstep.erasure WHERE finished_at IS NULL").await?,
        mappings,
        behind_cut,
        paused: paused_parts(deployment).await?,
        needs_refill: progress::needs_refill(control, &destination).await?,
        tenants: tenants(control).await?,
        event_sinks: event_sinks(deployment).await?,
        instances: Vec::new(),
        tasks: statuses(control).await?,
        programs: Vec::new(),
        count_limit: COUNT_LIMIT,
    };
    Ok(status.with_programs(instances::seen(control).await?))
}

async fn tenants(control: &Control) -> Result<TenantsStatus, OperationError> {
    let counts = overview::counts(control).await?;
    let (stopped_mappings, refills) = overview::troubled_mappings(control).await?;
    let worst = overview::worst(control, WORST).await?;
    let found = find_all(control, &worst).await?;
    let in_order = worst.iter().filter_map(|id| found.iter().find(|found| found.setup.id == *id).cloned()).collect();
    Ok(TenantsStatus {
        total: counts.total,
        paused: counts.paused,
        backing_off: counts.failing,
        unfinished: counts.unfinished,
        behind: counts.behind,
        in_step: counts.in_step,
        stopped_mappings,
        refills,
        noted: overview::noted_through(control).await?.get(),
        worst: entries(control, in_order).await?,
    })
}

async fn capped(client: &Client, rows: &str) -> Result<i64, OperationError> {
    let sql = format!("SELECT count(*) FROM ({rows} LIMIT {COUNT_LIMIT}) r");
    Ok(client.query_one(&sql, &[]).await?.get(0))
}

/// Of each mapping, and whether only the first changes were looked through.
pub(crate) async fn mapping_statuses(
    deployment: &Deployment<'_>,
    passed: SequenceId,
) -> Result<(Vec<MappingStatus>, bool), OperationError> {
    const BEHIND: &str = "SELECT mapping, count(DISTINCT tenancy_id), count(*) FROM (
  SELECT c.mapping, c.tenancy_id FROM lockstep.change c WHERE c.sequence > $1 LIMIT $2) c GROUP BY 1";
    let fills = fills::statuses(deployment.control()?, &DESTINATION.into()).await?;
    let behind = deployment.client.query(BEHIND, &[&passed.get(), &COUNT_LIMIT]).await?;
    let looked_through: i64 = behind.iter().map(|row| row.get::<_, i64>(2)).sum();
    let status = |mapping: &Mapping| {
        let fill = fills.iter().find(|fill| fill.mapping == mapping.name.as_str());
        let behind = behind.iter().find(|row| row.get::<_, i32>(0) == Target::row(mapping).id());
        MappingStatus {
            name: mapping.name.to_string(),
            tenancies_behind: behind.map_or(0, |row| row.get(1)),
            fill_ranges_done: fill.map_or(0, |fill| fill.ranges_done),
            fill_ranges: fill.map_or(0, |fill| fill.ranges),
            filled_rows: fill.and_then(|fill| fill.shipped_rows).unwrap_or_default(),
            filled: fill.is_some_and(|fill| fill.is_finished),
        }
    };
    Ok((deployment.mappings.iter().map(status).collect(), looked_through >= COUNT_LIMIT))
}
