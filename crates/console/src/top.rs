//! What `lockstep top` shows: what the sampler sees, as one report.

use std::collections::BTreeMap;

use lockstep_core::SequenceId;
use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_operations::{
    Deployment, Instance, MappingEntry, MappingState, OperationError, TenantEntry, TenantSearch, find_tenants,
    mapping_entries,
};
use serde::{Serialize, Serializer};

use crate::figures::utc;
use crate::history::Series;
use crate::sample::{Sample, Seen};
use crate::sampler::{Reading, Sampler};
use crate::verdict::{self, Verdict};
use crate::views::overview::{Stage, numbers, stages};

/// Tenants that are shown.
const TENANTS: i64 = 10;

/// Looks at a deployment again and again, over one connection.
pub struct Top {
    sampler: Sampler,
    at: Reading,
}

/// How a deployment is.
#[derive(Serialize, Debug)]
pub struct TopReport {
    /// When it was looked at, in UTC.
    pub taken_at: String,
    /// How long that took.
    pub took_ms: u64,
    /// How all is, and what is wrong, worst first.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// By name; in JSON each is a number, or null where it is not known.
    #[serde(serialize_with = "by_name")]
    pub numbers: Vec<TopNumber>,
    /// The way of a change.
    pub stages: Vec<Stage>,
    /// Those that somebody should look at first come first.
    pub mappings: Vec<MappingEntry>,
    /// Those that something is wrong with, or that are behind, worst first; some of them.
    pub tenants: Vec<TenantEntry>,
    /// Sequencers and workers.
    pub instances: Vec<Instance>,
}

/// A number that is followed.
#[derive(Debug)]
pub struct TopNumber {
    /// In words, with its unit.
    pub what: &'static str,
    /// As people read it.
    pub now: String,
    key: &'static str,
    value: Option<f64>,
}

fn by_name<S: Serializer>(numbers: &[TopNumber], serializer: S) -> Result<S::Ok, S::Error> {
    numbers.iter().map(|number| (number.key, number.value)).collect::<BTreeMap<_, _>>().serialize(serializer)
}

impl Top {
    /// Of a deployment; nothing is connected yet. These settings and definitions last as long as the program.
    pub fn new(settings: &'static Settings, mappings: &'static MappingSet) -> Self {
        Self { sampler: Sampler::new(settings), at: (settings, mappings) }
    }

    /// Looks once. What cannot be asked is unknown, and said.
    ///
    /// # Errors
    /// When Postgres answers, and then does not.
    pub async fn look(&mut self) -> Result<TopReport, OperationError> {
        let sample = self.sampler.take(self.at, None).await;
        let (mut mappings, mut tenants, mut instances) = Default::default();
        if let Some((deployment, seen)) = self.sampler.deployment.as_ref().zip(sample.seen.as_ref().ok()) {
            (mappings, tenants) = worst(deployment, seen).await?;
            instances = seen.status.instances.clone();
        }
        Ok(TopReport {
            taken_at: utc(sample.taken_at),
            took_ms: u64::try_from(sample.took_ms).unwrap_or(u64::MAX),
            verdict: verdict::of(&sample),
            numbers: followed(&sample),
            stages: stages(&sample),
            mappings,
            tenants,
            instances,
        })
    }
}

/// The mappings and tenants that somebody should look at, worst first.
async fn worst(
    deployment: &Deployment<'_>,
    seen: &Seen,
) -> Result<(Vec<MappingEntry>, Vec<TenantEntry>), OperationError> {
    let status = &seen.status;
    let mut mappings = mapping_entries(
        deployment,
        (&status.mappings, status.behind_cut, SequenceId::new(status.passed)),
        &status.paused,
        &seen.quarantine.groups,
    )
    .await?;
    mappings.sort_by_key(|mapping| (mapping.state == MappingState::InStep, std::cmp::Reverse(mapping.tenants_behind)));
    let mut tenants = find_tenants(deployment, &TenantSearch::Troubled, None, TENANTS).await?.tenants;
    tenants.truncate(usize::try_from(TENANTS).unwrap_or_default());
    Ok((mappings, tenants))
}

fn followed(sample: &Sample) -> Vec<TopNumber> {
    let number =
        |series: Series, what, now| TopNumber { what, now, key: series.key(), value: sample.history.last(series) };
    numbers(sample).into_iter().map(|row| number(row.series, row.what, row.now)).collect()
}
