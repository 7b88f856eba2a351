//! Waiting until every destination holds what the source held at the call.
//!
//! The sequencer answers a fence with a number that covers everything committed before the fence; then the destination has
//! to pass that number, and fills have to end. Cursors pass rows that are in quarantine, which waiting does not mend: that
//! is said, and not called in step.

use std::time::Duration;

use lockstep_core::{SequenceId, TenancyId};
use lockstep_schema::quarantine::{QuarantineScope, count};
use lockstep_schema::{fills, progress};
use serde::Serialize;

use crate::DESTINATION;
use crate::backlog::{fence, late};
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::pause::{PausedPart, paused_parts};
use crate::progress::{Progress, Waiting};
use crate::tenancies::must_exist;

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
}

impl Lag {
    async fn read(
        deployment: &Deployment<'_>,
        tenancy: Option<TenancyId>,
        up_to: SequenceId,
    ) -> Result<Self, OperationError> {
        let (control, destination) = (deployment.control()?, DESTINATION.into());
        let names: Vec<_> = deployment.mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        let filling = fills::unfinished(control, &destination, &names).await?.into_iter().collect();
        let mut lag = Self { filling, ..Self::default() };
        if let Some(tenancy) = tenancy {
            let late = late(deployment, &deployment.clickhouse()?, &[tenancy], up_to).await?;
            lag.behind = late.into_iter().map(|(mapping, _)| mapping).collect();
        } else {
            let passed = progress::passed(control, &destination).await?;
            lag.passed = Some(passed.get()).filter(|passed| *passed < up_to.get());
        }
        Ok(lag)
    }

    fn is_none(&self) -> bool {
        self.passed.is_none() && self.behind.is_empty() && self.filling.is_empty()
    }

    /// What is missing, a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let passed = self.passed.map(|passed| format!("everything is shipped through sequence {passed} only"));
        let behind = self.behind.iter().map(|mapping| format!("{mapping} is behind"));
        let filling = self.filling.iter().map(|mapping| format!("{mapping} is still being filled"));
        passed.into_iter().chain(behind).chain(filling).collect()
    }
}

/// Waits for one tenancy, or for all.
///
/// # Errors
/// When the tenancy does not exist, or one side cannot be asked.
pub async fn wait(
    deployment: &Deployment<'_>,
    tenancy: Option<TenancyId>,
    limit: Duration,
    progress: Progress<'_>,
) -> Result<WaitReport, OperationError> {
    let mut waiting = Waiting::new(limit, progress);
    if let Some(tenancy) = tenancy {
        must_exist(&deployment.client, tenancy).await?;
    }
    let control = deployment.control()?;
    let up_to = match fence(control, &mut waiting).await {
        Ok(up_to) => Some(up_to),
        Err(OperationError::Unfinished(_)) => None,
        Err(error) => return Err(error),
    };
    let (lag, in_time) = match up_to {
        Some(up_to) => until_none(deployment, tenancy, up_to, &mut waiting).await?,
        None => (Lag::default(), false),
    };
    let quarantined_rows = if in_time { count(control, &QuarantineScope { mapping: None, tenancy }).await? } else { 0 };
    let outcome = match (in_time, quarantined_rows) {
        (false, _) => WaitOutcome::InFlight,
        (true, 0) => WaitOutcome::InStep,
        (true, _) => WaitOutcome::Quarantined,
    };
    Ok(WaitReport {
        outcome,
        sequence: up_to.map(SequenceId::get),
        waited_ms: waiting.elapsed_ms(),
        lag,
        quarantined_rows,
        paused: if in_time { Vec::new() } else { paused_parts(deployment).await? },
    })
}

/// Looks until there is no lag. Returns the last one, and whether it went in time.
async fn until_none(
    deployment: &Deployment<'_>,
    tenancy: Option<TenancyId>,
    up_to: SequenceId,
    waiting: &mut Waiting<'_>,
) -> Result<(Lag, bool), OperationError> {
    loop {
        let lag = Lag::read(deployment, tenancy, up_to).await?;
        if lag.is_none() {
            return Ok((lag, true));
        }
        if waiting.pause(|| lag.sentences().join(", ")).await.is_err() {
            return Ok((lag, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lags_is_named_in_json_and_in_sentences() {
        let lag = Lag { passed: Some(7), behind: Vec::new(), filling: vec!["users".to_owned()] };
        assert_eq!(lag.sentences(), ["everything is shipped through sequence 7 only", "users is still being filled"]);
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
        };
        insta::assert_snapshot!(serde_json::to_string(&report).unwrap(), @r#"{"outcome":"in_flight","sequence":9,"waited_ms":60000,"lag":{"passed":7,"behind":[],"filling":["users"]},"quarantined_rows":0,"paused":[{"kind":"mapping","name":"users","since":"2026-11-26T01:02:03Z","reason":"too wide"}]}"#);
    }
}
