//! How each mapping is. Bounded work, however many tenants and changes there are.

use std::fmt;

use lockstep_core::SequenceId;
use lockstep_mappings::postgres::Target;
use lockstep_mappings::postgres::passes::first_beyond;
use lockstep_schema::progress;
use lockstep_schema::verifications::latest::latest;
use serde::Serialize;
use tokio_postgres::Row;

use super::own::{OwnDatabases, own_databases};
use crate::DESTINATION;
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::limit::COUNT_LIMIT;
use crate::pause::{PausedPart, paused_parts};
use crate::quarantine::{QuarantineGroup, QuarantineScope, quarantine_groups};
use crate::status::{MappingStatus, mapping_statuses};

/// Every mapping.
#[derive(Serialize, Debug)]
pub struct MappingsReport {
    /// In the order of their definitions.
    pub mappings: Vec<MappingEntry>,
}

/// How one mapping is.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct MappingEntry {
    /// Its name.
    pub name: String,
    /// Where its rows go.
    pub destination: String,
    /// What it is doing.
    pub state: MappingState,
    /// How much of its last fill is done, in percent; none where it has none.
    pub filled_percent: Option<i64>,
    /// Tenants with a change that the destination has not passed.
    pub tenants_behind: i64,
    /// Whether that is "at least": only the first changes that the destination has not passed are looked through, of all mappings.
    pub behind_cut: bool,
    /// Since when the oldest change waits that the destination has not passed, in seconds; none where nothing waits.
    pub oldest_s: Option<f64>,
    /// Rows in quarantine.
    pub quarantined: i64,
    /// What the verifier's last run over all tenants found of it; none where no run is kept.
    pub last_verdict: Option<String>,
    /// When such a run last found it equal, in UTC.
    pub equal_at: Option<String>,
    /// How tenants' own databases are with it.
    pub own_databases: OwnDatabases,
}

/// What a mapping is doing; what matters most of all that is so.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum MappingState {
    /// It is paused.
    Paused,
    /// Its destination is, or all workers are.
    Stopped,
    /// Its rows are being read.
    Filling,
    /// Its fill has not begun.
    ToBeFilled,
    /// Rows of it were refused.
    Refused,
    /// Changes are on their way.
    Behind,
    /// No change of it is among the first of those on their way, and there are more than are looked through.
    Unknown,
    /// The destination holds everything.
    InStep,
}

impl MappingState {
    /// From what was asked. `behind_cut`: only the first changes on the way were looked through.
    pub fn of((mapping, behind_cut): (&MappingStatus, bool), paused: &[PausedPart], quarantined: i64) -> Self {
        let is_paused = |kind: &str, name: &str| paused.iter().any(|part| part.kind == kind && part.name == name);
        if is_paused("mapping", &mapping.name) {
            Self::Paused
        } else if is_paused("workers", "") || is_paused("destination", DESTINATION) {
            Self::Stopped
        } else if !mapping.filled {
            if mapping.fill_ranges > 0 { Self::Filling } else { Self::ToBeFilled }
        } else if quarantined > 0 {
            Self::Refused
        } else if mapping.tenancies_behind > 0 {
            Self::Behind
        } else if behind_cut {
            Self::Unknown
        } else {
            Self::InStep
        }
    }
}

impl fmt::Display for MappingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paused => "paused",
            Self::Stopped => "stands still: shipping is paused",
            Self::Filling => "being filled",
            Self::ToBeFilled => "waits to be filled",
            Self::Refused => "rows refused",
            Self::Behind => "behind",
            Self::Unknown => "unknown: none among the first changes on the way",
            Self::InStep => "in step",
        })
    }
}

impl MappingStatus {
    /// How much of its last fill is done, in percent; none where it has none.
    pub fn filled_percent(&self) -> Option<i64> {
        if self.filled { Some(100) } else { (self.fill_ranges_done * 100).checked_div(self.fill_ranges) }
    }
}

/// Rows of a mapping that are in quarantine.
pub fn quarantined_of(groups: &[QuarantineGroup], mapping: &str) -> i64 {
    let is_of = |group: &&QuarantineGroup| group.mapping == mapping && group.destination == DESTINATION;
    groups.iter().filter(is_of).map(|group| group.rows).sum()
}

/// Looks how each mapping is.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn mappings(deployment: &Deployment<'_>) -> Result<MappingsReport, OperationError> {
    let passed = progress::passed(deployment.control()?, &DESTINATION.into()).await?;
    let (statuses, behind_cut) = mapping_statuses(deployment, passed).await?;
    let paused = paused_parts(deployment).await?;
    let groups = quarantine_groups(deployment, &QuarantineScope::default()).await?;
    Ok(MappingsReport {
        mappings: mapping_entries(deployment, (&statuses, behind_cut, passed), &paused, &groups.groups).await?,
    })
}

/// How long ago the first change of each mapping above `$1 bigint` got its number: `$2` changes at most are looked through.
fn oldest() -> String {
    format!(
        "SELECT f.mapping, (SELECT extract(epoch FROM clock_timestamp() - p.passed_at)::float8 FROM {} p)
FROM (SELECT c.mapping, min(c.sequence) AS sequence FROM (
  SELECT mapping, sequence FROM lockstep.change WHERE sequence > $1 ORDER BY sequence LIMIT $2) c GROUP BY 1) f",
        first_beyond("f.sequence - 1")
    )
}

/// The same, from what is known of them already.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn mapping_entries(
    deployment: &Deployment<'_>,
    (statuses, behind_cut, passed): (&[MappingStatus], bool, SequenceId),
    paused: &[PausedPart],
    groups: &[QuarantineGroup],
) -> Result<Vec<MappingEntry>, OperationError> {
    let client = &deployment.client;
    let oldest = client.query(&oldest(), &[&passed.get(), &COUNT_LIMIT]).await?;
    let own = own_databases(deployment, groups).await?;
    let oldest = |name: &str| {
        let id = deployment.mappings.iter().find(|of| of.name.as_str() == name).map(|of| Target::row(of).id())?;
        let is_of = |row: &&Row| row.get::<_, i32>(0) == id;
        oldest.iter().find(is_of).and_then(|row| row.get::<_, Option<f64>>(1))
    };
    let mut looked = latest(client).await?;
    let mut entry = |status: &MappingStatus| {
        let quarantined = quarantined_of(groups, &status.name);
        let found = looked.iter().position(|found| found.mapping == status.name).map(|at| looked.swap_remove(at));
        MappingEntry {
            name: status.name.clone(),
            destination: DESTINATION.to_owned(),
            state: MappingState::of((status, behind_cut), paused, quarantined),
            filled_percent: status.filled_percent(),
            tenants_behind: status.tenancies_behind,
            behind_cut,
            oldest_s: oldest(&status.name),
            quarantined,
            last_verdict: found.as_ref().map(|found| found.verdict.clone()),
            equal_at: found.and_then(|found| found.equal_at),
            own_databases: own.get(&status.name).copied().unwrap_or_default(),
        }
    };
    Ok(statuses.iter().map(&mut entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_most_is_told_first() {
        let mut mapping = MappingStatus {
            name: "users".to_owned(),
            tenancies_behind: 0,
            fill_ranges_done: 1,
            fill_ranges: 4,
            filled_rows: 7,
            filled: true,
        };
        let part = |kind: &str, name: &str| PausedPart {
            kind: kind.to_owned(),
            name: name.to_owned(),
            since: "2026-11-27T00:00:00Z".to_owned(),
            reason: String::new(),
        };
        let of = |mapping: &MappingStatus, paused: &[PausedPart], refused| {
            MappingState::of((mapping, false), paused, refused)
        };
        assert_eq!(of(&mapping, &[part("mapping", "teams"), part("tenancy", "x")], 0), MappingState::InStep);
        mapping.tenancies_behind = 3;
        assert_eq!(of(&mapping, &[], 0), MappingState::Behind);
        assert_eq!(of(&mapping, &[], 1), MappingState::Refused);
        mapping.tenancies_behind = 0;
        assert_eq!(MappingState::of((&mapping, true), &[], 0), MappingState::Unknown);
        mapping.filled = false;
        assert_eq!((of(&mapping, &[], 1), mapping.filled_percent()), (MappingState::Filling, Some(25)));
        mapping.fill_ranges = 0;
        assert_eq!((of(&mapping, &[], 0), mapping.filled_percent()), (MappingState::ToBeFilled, None));
        for kind in [("workers", ""), ("destination", DESTINATION)] {
            assert_eq!(of(&mapping, &[part(kind.0, kind.1)], 0), MappingState::Stopped);
        }
        assert_eq!(of(&mapping, &[part("workers", ""), part("mapping", "users")], 0), MappingState::Paused);
    }
}
