//! What the sampler has seen at one moment, shared by all viewers.

use std::sync::Arc;
use std::time::SystemTime;

use lockstep_operations::doctor::{Check, Outcome};
use lockstep_operations::{
    Broker, Deployment, Freshness, LatestEvents, OperationError, QuarantineGroups, QuarantineScope, Queue,
    REWIND_MARGIN, SessionCount, SinkDeliveries, Status, VerificationRun, freshness, latest_events, quarantine_groups,
    sessions, sink_deliveries, status_with, verification_runs,
};

use crate::history::{History, Series};
use crate::traffic::Recent;

/// What was seen.
pub(crate) struct Sample {
    pub(crate) taken_at: SystemTime,
    pub(crate) took_ms: u128,
    /// Or why it is unknown.
    pub(crate) seen: Result<Seen, String>,
    /// What workers have shipped in the last minute, or why that is unknown.
    pub(crate) recent: Result<Recent, &'static str>,
    pub(crate) history: History,
    /// The doctor's checks, which take longer and are asked more rarely; none before the first.
    pub(crate) checks: Option<Arc<Checks>>,
}

/// The doctor's checks.
pub(crate) struct Checks {
    pub(crate) taken_at: SystemTime,
    pub(crate) checks: Vec<Check>,
}

impl Checks {
    /// What is to be done.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome != Outcome::Ok)
    }
}

/// What Postgres, the broker and ClickHouse have said.
pub(crate) struct Seen {
    pub(crate) status: Status,
    pub(crate) freshness: Freshness,
    /// The last runs of the verifier, the last first.
    pub(crate) runs: Vec<VerificationRun>,
    pub(crate) sessions: Vec<SessionCount>,
    /// What is in quarantine, by what was wrong.
    pub(crate) quarantine: QuarantineGroups,
    pub(crate) events: LatestEvents,
    /// What each sink of events was told last; how far it is stands in `status`.
    pub(crate) deliveries: Vec<SinkDeliveries>,
}

/// Events that are shown, of those that hold and of all.
const EVENTS: i64 = 20;

impl Seen {
    /// Asks for everything. Bounded work, however many tenants there are.
    pub(crate) async fn take(deployment: &Deployment<'_>, broker: &mut Broker) -> Result<Self, OperationError> {
        let status = status_with(deployment, broker).await?;
        let quarantine = if status.quarantine > 0 {
            quarantine_groups(deployment, &QuarantineScope::default()).await?
        } else {
            QuarantineGroups::default()
        };
        Ok(Self {
            freshness: freshness(deployment).await?,
            runs: verification_runs(deployment, None).await?,
            sessions: sessions(deployment).await?,
            quarantine,
            events: latest_events(deployment, EVENTS).await?,
            deliveries: sink_deliveries(deployment).await?,
            status,
        })
    }

    /// What is followed; rates come from the head and the position that were seen so many seconds ago.
    pub(crate) fn values(&self, recent: Option<&Recent>, before: Option<([i64; 2], f64)>) -> [f64; Series::ALL.len()] {
        let mut values = [f64::NAN; Series::ALL.len()];
        let mut set = |of: Series, value: f64| values[of as usize] = value;
        #[expect(clippy::cast_precision_loss, reason = "numbers that are shown")]
        let number = |count: i64| count as f64;
        let (status, freshness) = (&self.status, &self.freshness);
        if let Some(([head, passed], seconds)) = before.filter(|(_, seconds)| *seconds > 0.0) {
            set(Series::Numbered, moved(status.last_sequence, head).map_or(f64::NAN, number) / seconds);
            set(Series::Shipped, moved(status.passed, passed).map_or(f64::NAN, number) / seconds);
        }
        if let Some(recent) = recent {
            set(Series::Rows, recent.all_rates().sum());
            set(Series::LagHalf, recent.lag_s(0.5).unwrap_or(f64::NAN));
            set(Series::LagMost, recent.lag_s(0.99).unwrap_or(f64::NAN));
        }
        set(Series::OldestNews, freshness.oldest_news_s.unwrap_or(0.0));
        set(Series::Behind, number(freshness.behind));
        set(Series::Inbox, number(status.inbox_lines));
        set(Series::Unannounced, number(status.unannounced));
        set(Series::Quarantine, number(status.quarantine));
        if let Queue::Known { ready, retrying, dead } = &status.queue {
            let number = |count: u64| number(i64::try_from(count).unwrap_or(i64::MAX));
            set(Series::Ready, number(*ready));
            set(Series::Retrying, number(*retrying));
            set(Series::Dead, number(*dead));
        }
        values
    }
}

/// By how many changes a number moved; none where that tells nothing: a rewind leaves numbers out, and after the source was restored they
/// begin below.
fn moved(now: i64, then: i64) -> Option<i64> {
    Some(now - then).filter(|moved| (0..REWIND_MARGIN).contains(moved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewind_and_a_source_that_went_back_make_no_rate() {
        assert_eq!((moved(20, 20), moved(500_020, 20)), (Some(0), Some(500_000)));
        assert_eq!((moved(20 + REWIND_MARGIN, 20), moved(20, 21)), (None, None));
    }
}
