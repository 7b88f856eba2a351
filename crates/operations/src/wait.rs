//! Waiting until every destination holds what the source held at the call.
//!
//! The sequencer answers a fence with a number that covers everything committed before the fence; then the destination has
//! to pass that number, and fills have to end. Cursors pass rows that are in quarantine, which waiting does not mend: that
//! is said, and not called in step.

use std::time::Duration;

use lockstep_core::{DestinationId, SequenceId, TenancyId};
use lockstep_destinations::clickhouse::Timeouts;
use lockstep_schema::instances;
use lockstep_schema::quarantine::{QuarantineScope, count};
use lockstep_schema::tasks::statuses;
use lockstep_schema::tenant_destinations::overview::{self, Behind, Scope};
use lockstep_schema::{fills, progress};
use serde::Serialize;
use uuid::Uuid;

use crate::DESTINATION;
use crate::backlog::{fence, late};
use crate::deployment::Deployment;
use crate::destinations::Named;
use crate::error::OperationError;
use crate::pause::{PausedPart, paused_parts};
use crate::programs::sentences_of;
use crate::progress::{Progress, Waiting};
use crate::tenancies::must_exist;

/// So many of tenants' own destinations are named.
const MAX_NAMED: i64 = 20;

/// A question that is asked when the time is nearly up is given so long.
const LAST_QUESTION: Duration = Duration::from_secs(2);

/// What waiting came to.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum WaitOutcome {
    /// The destination holds everything.
    InStep,
    /// The time is up, and something is still on its way.
    InFlight,
    /// Nothing is on its way any more, but the destination has refused rows.
    Quarantined,
}

/// What waiting came to, and what is missing.
#[derive(Serialize, Debug)]
pub struct WaitReport {
    /// In one word.
    pub outcome: WaitOutcome,
    /// The number that covers everything committed before the call; none when the sequencer did not answer.
    pub sequence: Option<i64>,
    /// How long it took.
    pub waited_ms: u64,
    /// What is on its way.
    pub lag: Lag,
    /// Rows that the destination has refused, counted once nothing is on its way.
    pub quarantined_rows: i64,
    /// What is paused, where something is still on its way.
    pub paused: Vec<PausedPart>,
    /// What is wrong with programs, where something is still on its way: in sentences.
    pub wrong: Vec<String>,
    /// Which of them run, then: in sentences.
    pub known: Vec<String>,
    /// Tenants' own destinations that are behind and were not waited for, some of them.
    pub left_out: Vec<LeftOut>,
}

/// What has not arrived.
#[derive(Default, Serialize, Debug)]
pub struct Lag {
    /// Waiting for all tenancies: through which number everything is shipped, where that is too low.
    pub passed: Option<i64>,
    /// Waiting for one tenancy: the mappings that are behind.
    pub behind: Vec<String>,
    /// Mappings that are still being filled.
    pub filling: Vec<String>,
    /// Mappings that `lockstep migrate` has not set up.
    pub not_set_up: Vec<String>,
    /// Tenants' own destinations that are behind, some of them.
    pub destinations: Vec<DestinationLag>,
    /// Changes before the call may not have been noted for tenants' own destinations yet.
    pub unnoted: bool,
}

/// A tenant's own destination that is behind.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct DestinationLag {
    /// Which one.
    pub id: Uuid,
    /// Through which number it holds everything.
    pub passed: i64,
    /// Whether it is filled, or was not looked at yet.
    pub unfinished: bool,
}

/// A tenant's own destination that was not waited for.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct LeftOut {
    /// Which one.
    pub id: Uuid,
    /// `paused`, `backing off`, or `stopped`: tables of some mappings there do not fit.
    pub why: &'static str,
}

/// What is waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WaitFor {
    /// All tenancies, in every destination.
    All,
    /// One tenancy, in every destination that has it.
    Tenancy(TenancyId),
    /// One destination: `clickhouse`, or the id of a tenant's own, which is also waited for while it is paused or backing off.
    Destination(String),
}

/// The same, after everything that was named is known to be there.
#[derive(Clone, Copy)]
struct Parts {
    tenancy: Option<TenancyId>,
    clickhouse: bool,
    tenants: Option<Scope>,
}

impl Parts {
    async fn find(deployment: &Deployment<'_>, what: &WaitFor) -> Result<Self, OperationError> {
        Ok(match what {
            WaitFor::All => Self { tenancy: None, clickhouse: true, tenants: Some(Scope::All) },
            WaitFor::Tenancy(id) => {
                must_exist(&deployment.client, *id).await?;
                Self { tenancy: Some(*id), clickhouse: true, tenants: Some(Scope::Tenancy(*id)) }
            }
            WaitFor::Destination(name) => match Named::find(deployment, name).await? {
                Named::ClickHouse => Self { tenancy: None, clickhouse: true, tenants: None },
                Named::Tenants(id) => Self { tenancy: None, clickhouse: false, tenants: Some(Scope::Destination(id)) },
            },
        })
    }

    fn quarantine(self) -> QuarantineScope {
        let destination = match self.tenants {
            Some(Scope::Destination(id)) => Some(DestinationId::tenant(id)),
            Some(_) => None,
            None => Some(DestinationId::clickhouse()),
        };
        QuarantineScope { mapping: None, tenancy: self.tenancy, destination, code: None }
    }

    /// Whether one that is paused or backing off is waited for all the same.
    fn waits_for_all(self) -> bool {
        matches!(self.tenants, Some(Scope::Destination(_)))
    }
}

impl Lag {
    async fn read(
        deployment: &Deployment<'_>,
        parts: Parts,
        up_to: SequenceId,
        limit: Duration,
    ) -> Result<Self, OperationError> {
        let mut lag = Self::default();
        if parts.clickhouse {
            lag.read_clickhouse(deployment, parts.tenancy, up_to, limit).await?;
        }
        if let Some(scope) = parts.tenants {
            let control = deployment.control()?;
            let mut behind = overview::behind(control, scope, up_to, true, MAX_NAMED).await?;
            if parts.waits_for_all() {
                behind.extend(overview::behind(control, scope, up_to, false, MAX_NAMED).await?);
            }
            lag.destinations = behind.into_iter().map(DestinationLag::from).collect();
            lag.unnoted = overview::is_unnoted(control, scope, up_to).await?;
        }
        Ok(lag)
    }

    async fn read_clickhouse(
        &mut self,
        deployment: &Deployment<'_>,
        tenancy: Option<TenancyId>,
        up_to: SequenceId,
        limit: Duration,
    ) -> Result<(), OperationError> {
        let (control, destination) = (deployment.control()?, DESTINATION.into());
        let names: Vec<_> = deployment.mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        let not_set_up = fills::not_set_up(control, &destination, &names).await?;
        let unfinished = fills::unfinished(control, &destination, &names).await?;
        self.filling = unfinished.into_iter().filter(|name| !not_set_up.contains(name)).collect();
        self.not_set_up = not_set_up.into_iter().collect();
        if let Some(tenancy) = tenancy {
            let clickhouse = deployment.clickhouse()?;
            let usual = clickhouse.timeouts();
            let timeouts = Timeouts { statement: usual.statement.min(limit.max(LAST_QUESTION)), ..usual };
            let late = late(deployment, &clickhouse.with_timeouts(timeouts), &[tenancy], up_to).await?;
            self.behind = late.into_iter().map(|(mapping, _)| mapping).collect();
        } else {
            let passed = progress::passed(control, &destination).await?;
            self.passed = Some(passed.get()).filter(|passed| *passed < up_to.get());
        }
        Ok(())
    }

    fn is_none(&self) -> bool {
        self.passed.is_none()
            && self.behind.is_empty()
            && self.filling.is_empty()
            && self.not_set_up.is_empty()
            && self.destinations.is_empty()
            && !self.unnoted
    }

    /// What is missing, a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let passed = self.passed.map(|passed| format!("everything is shipped through sequence {passed} only"));
        let behind = self.behind.iter().map(|mapping| format!("{mapping} is behind"));
        let filling = self.filling.iter().map(|mapping| format!("{mapping} is still being filled"));
        let not_set_up =
            self.not_set_up.iter().map(|mapping| format!("{mapping} is not set up: run `lockstep migrate`"));
        let destinations = self.destinations.iter().map(|lag| match lag.unfinished {
            true => format!("destination {} is still being filled", lag.id),
            false => format!("destination {} holds everything through sequence {} only", lag.id, lag.passed),
        });
        let unnoted = self.unnoted.then(|| "changes were not noted yet for tenants' own destinations".to_owned());
        passed.into_iter().chain(behind).chain(filling).chain(not_set_up).chain(destinations).chain(unnoted).collect()
    }
}

impl From<Behind> for DestinationLag {
    fn from(Behind { id, passed, unfinished, .. }: Behind) -> Self {
        Self { id, passed, unfinished }
    }
}

impl From<Behind> for LeftOut {
    fn from(behind: Behind) -> Self {
        let why = match behind {
            Behind { is_paused: true, .. } => "paused",
            Behind { is_backing_off: true, .. } => "backing off",
            _ => "stopped",
        };
        Self { id: behind.id, why }
    }
}

/// Waits for all that is asked for. Tenants' own destinations that are paused, backing off, or have mappings that are stopped are
/// left out, unless one is named.
///
/// # Errors
/// When the tenancy or the destination does not exist, or one side cannot be asked.
pub async fn wait(
    deployment: &Deployment<'_>,
    what: &WaitFor,
    limit: Duration,
    progress: Progress<'_>,
) -> Result<WaitReport, OperationError> {
    let mut waiting = Waiting::new(limit, progress);
    let parts = Parts::find(deployment, what).await?;
    let control = deployment.control()?;
    let up_to = match fence(control, &mut waiting).await {
        Ok(up_to) => Some(up_to),
        Err(OperationError::Unfinished(_)) => None,
        Err(error) => return Err(error),
    };
    let (lag, in_time) = match up_to {
        Some(up_to) => until_none(deployment, parts, up_to, &mut waiting).await?,
        None => (Lag::default(), false),
    };
    let left_out = match (parts.tenants, up_to) {
        (Some(scope), Some(up_to)) if !parts.waits_for_all() => {
            overview::behind(control, scope, up_to, false, MAX_NAMED).await?
        }
        _ => Vec::new(),
    };
    let quarantined_rows = if in_time { count(control, &parts.quarantine()).await? } else { 0 };
    let outcome = match (in_time, quarantined_rows) {
        (false, _) => WaitOutcome::InFlight,
        (true, 0) => WaitOutcome::InStep,
        (true, _) => WaitOutcome::Quarantined,
    };
    let (wrong, known) = if in_time {
        (Vec::new(), Vec::new())
    } else {
        let passed = progress::passed(control, &DESTINATION.into()).await?;
        sentences_of(&instances::seen(control).await?, &statuses(control).await?, passed)
    };
    Ok(WaitReport {
        outcome,
        sequence: up_to.map(SequenceId::get),
        waited_ms: waiting.elapsed_ms(),
        lag,
        quarantined_rows,
        paused: if in_time { Vec::new() } else { paused_parts(deployment).await? },
        wrong,
        known,
        left_out: left_out.into_iter().map(LeftOut::from).collect(),
    })
}

/// Looks until there is no lag. Returns the last one, and whether it went in time.
async fn until_none(
    deployment: &Deployment<'_>,
    parts: Parts,
    up_to: SequenceId,
    waiting: &mut Waiting<'_>,
) -> Result<(Lag, bool), OperationError> {
    loop {
        let lag = Lag::read(deployment, parts, up_to, waiting.left()).await?;
        if lag.is_none() {
            return Ok((lag, true));
        }
        let paused = paused_parts(deployment).await?;
        let what = || {
            let paused = paused.iter().map(ToString::to_string);
            lag.sentences().into_iter().chain(paused).collect::<Vec<_>>().join(", ")
        };
        if waiting.pause(what).await.is_err() {
            return Ok((lag, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lags_is_named_in_json_and_in_sentences() {
        let id = Uuid::from_u128(1);
        let lag = Lag {
            passed: Some(7),
            filling: vec!["users".to_owned()],
            not_set_up: vec!["teams".to_owned()],
            destinations: vec![DestinationLag { id, passed: 3, unfinished: false }],
            ..Lag::default()
        };
        let sentences = [
            "everything is shipped through sequence 7 only",
            "users is still being filled",
            "teams is not set up: run `lockstep migrate`",
            "destination 00000000-0000-0000-0000-000000000001 holds everything through sequence 3 only",
        ];
        assert_eq!(lag.sentences(), sentences);
        assert!(!lag.is_none() && Lag::default().is_none());
        let paused = vec![PausedPart {
            kind: "mapping".to_owned(),
            name: "users".to_owned(),
            since: "2026-11-26T01:02:03Z".to_owned(),
            reason: "too wide".to_owned(),
        }];
        let report = WaitReport {
            outcome: WaitOutcome::InFlight,
            sequence: Some(9),
            waited_ms: 60_000,
            lag,
            quarantined_rows: 0,
            paused,
            wrong: vec!["worker sweep failed".to_owned()],
            known: vec!["one worker runs".to_owned()],
            left_out: vec![LeftOut { id, why: "paused" }],
        };
        insta::assert_snapshot!(serde_json::to_string(&report).unwrap(), @r#"{"outcome":"in_flight","sequence":9,"waited_ms":60000,"lag":{"passed":7,"behind":[],"filling":["users"],"not_set_up":["teams"],"destinations":[{"id":"00000000-0000-0000-0000-000000000001","passed":3,"unfinished":false}],"unnoted":false},"quarantined_rows":0,"paused":[{"kind":"mapping","name":"users","since":"2026-11-26T01:02:03Z","reason":"too wide"}],"wrong":["worker sweep failed"],"known":["one worker runs"],"left_out":[{"id":"00000000-0000-0000-0000-000000000001","why":"paused"}]}"#);
    }
}
