//! From commit to visible: one user is renamed again and again, and looked for in ClickHouse's view.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use lockstep_core::shutdown::Shutdown;
use lockstep_destinations::ClickHouse;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Installation;

/// Between two looks: an eighth of the smallest lag that was seen.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
/// Between two measurements of a probe that does not say otherwise, so that they meet the system in different moments.
const PAUSE: Duration = Duration::from_millis(37);
/// A rename that is not visible by then is lost, not late.
const DEADLINE: Duration = Duration::from_secs(60);
/// As many as a long demo needs for its percentiles; the oldest are forgotten.
const MAX_LAGS: usize = 10_000;

/// One change, from its commit until it was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lag {
    /// Since 1970.
    pub(crate) committed_at: Duration,
    pub(crate) took: Duration,
}

/// The probe's user, whose every change but the first is a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProbedUser {
    pub(crate) tenancy: uuid::Uuid,
    pub(crate) user: uuid::Uuid,
}

/// Measures in a task of its own.
pub(crate) struct LagProbe {
    pub(crate) probed: ProbedUser,
    task: JoinHandle<anyhow::Result<()>>,
    stop: Shutdown,
    lags: Arc<Mutex<Vec<Lag>>>,
}

impl LagProbe {
    /// Makes a user in the first tenancy and begins.
    ///
    /// # Errors
    /// When a service refuses.
    pub(crate) async fn start(installation: &Installation) -> anyhow::Result<Self> {
        Self::start_every(PAUSE, installation).await
    }

    /// The same with so long between two measurements; one writes to the source once, and then looks at ClickHouse alone.
    ///
    /// # Errors
    /// When a service refuses.
    pub(crate) async fn start_every(pause: Duration, installation: &Installation) -> anyhow::Result<Self> {
        let client = installation.database().connect().await?;
        let (stop, lags) = (Shutdown::new(), Arc::new(Mutex::new(Vec::new())));
        let probe = Probe { client, clickhouse: installation.clickhouse()?, views: installation.view_database() };
        let (probed, place) = probe.user().await?;
        let (task_stop, task_lags) = (stop.clone(), Arc::clone(&lags));
        let task = tokio::spawn(async move {
            let mut smallest = None;
            for number in 0_u64.. {
                if task_stop.run_until_cancelled(tokio::time::sleep(pause + moment(number))).await.is_none() {
                    break;
                }
                let name = format!("lag probe {number}");
                let lag = probe.measure(&probed.user, &place, &name, smallest.unwrap_or_default()).await?;
                smallest = Some(smallest.unwrap_or(lag.took).min(lag.took));
                let mut lags = task_lags.lock().unwrap_or_else(PoisonError::into_inner);
                if lags.len() >= MAX_LAGS {
                    lags.remove(0);
                }
                lags.push(lag);
            }
            Ok(())
        });
        Ok(Self { probed, task, stop, lags })
    }

    /// What was measured so far.
    pub(crate) fn lags(&self) -> Vec<Lag> {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many lags were measured.
    ///
    /// # Errors
    /// When the probe fails or it takes too long.
    pub(crate) async fn until(&mut self, count: usize) -> anyhow::Result<()> {
        let what = format!("{count} measured lags");
        eventually(&what, Duration::from_secs(300), async || {
            if self.task.is_finished() {
                bail!("the probe ended by itself");
            }
            Ok(self.lags().len() >= count)
        })
        .await
    }

    /// Stops; the measurement in hand is finished.
    ///
    /// # Errors
    /// When a measurement failed.
    pub(crate) async fn stop(self) -> anyhow::Result<Vec<Lag>> {
        self.stop.cancel();
        self.task.await.context("the lag probe panicked")??;
        Ok(self.lags.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// A few milliseconds, others each time: else a slow probe would meet what the system does every second in the same moment.
const fn moment(number: u64) -> Duration {
    Duration::from_millis(number * 7 % 23)
}

/// The value below which the given share of all lags lies; zero where there are none.
pub(crate) fn percentile(lags: impl IntoIterator<Item = Duration>, share: f64) -> Duration {
    let mut sorted: Vec<_> = lags.into_iter().collect();
    sorted.sort();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
    let index = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

struct Probe {
    client: Client,
    clickhouse: ClickHouse,
    views: String,
}

impl Probe {
    /// A user of the first tenancy that no edit finds, with project and branch: it belongs to no team and has no channels.
    async fn user(&self) -> anyhow::Result<(ProbedUser, [String; 2])> {
        const INSERT: &str = r#"INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "updatedAt", "lastActiveAt", "signedUpAt", "isAnonymous", "restrictedByAdmin")
SELECT t."id", gen_random_uuid(), t."projectId", t."branchId", now(), now(), now(), TRUE, FALSE FROM "Tenancy" t ORDER BY t."id" LIMIT 1
RETURNING "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId""#;
        let row = self.client.query_one(INSERT, &[]).await.context("inserting the lag probe's user")?;
        Ok((ProbedUser { tenancy: row.get(0), user: row.get(1) }, [row.get(2), row.get(3)]))
    }

    /// One change. It is looked for from three quarters of `smallest` on, the smallest lag that was seen: looking all the time
    /// keeps ClickHouse from writing the row. A smaller lag is found then, and the next look begins earlier.
    async fn measure(
        &self,
        user: &uuid::Uuid,
        place: &[String; 2],
        name: &str,
        smallest: Duration,
    ) -> anyhow::Result<Lag> {
        let update = r#"UPDATE "ProjectUser" SET "displayName" = $1 WHERE "projectUserId" = $2"#;
        if self.client.execute(update, &[&name, user]).await? != 1 {
            bail!("the lag probe's user is gone");
        }
        let (committed_at, committed) = (SystemTime::now().duration_since(UNIX_EPOCH)?, Instant::now());
        // As a tenant asks: of its own place.
        let [project, branch] = place;
        let look = format!(
            "SELECT count() FROM {}.users WHERE project_id = '{project}' AND branch_id = '{branch}' AND id = '{user}' AND display_name = '{name}' SETTINGS max_threads = 1",
            self.views
        );
        tokio::time::sleep(smallest * 3 / 4).await;
        loop {
            // A question that sees it was asked when it was visible, however long the answer takes.
            let took = committed.elapsed();
            let found: Vec<(u64,)> = self.clickhouse.fetch_rows(&look).await?;
            if found == [(1,)] {
                return Ok(Lag { committed_at, took });
            }
            if committed.elapsed() > DEADLINE {
                bail!("a change was not visible in ClickHouse {DEADLINE:?} after its commit");
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let lags: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(lags.clone(), 0.5), Duration::from_millis(50));
        assert_eq!(percentile(lags.clone(), 0.99), Duration::from_millis(99));
        assert_eq!(percentile([lags[0]], 0.99), Duration::from_millis(100));
        assert_eq!(percentile([], 0.5), Duration::ZERO);
    }
}
