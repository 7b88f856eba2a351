//! What sinks are to be told, and how that went (`lockstep.event_sink`, `lockstep.event_delivery`).

use std::time::Duration;

use lockstep_schema::SourceError;
use lockstep_schema::events::TOLD;
use serde_json::Value;

use super::events::EventSession;

/// A sink that is new must not miss what is written meanwhile.
const NOTHING_IS_WRITTEN: &str = "LOCK TABLE lockstep.event IN SHARE MODE";

/// Sinks that are not set any more: what they had is forgotten.
const UNFOLLOW: &str = "DELETE FROM lockstep.event_sink WHERE sink <> ALL ($1)";

/// What tasks of sinks that are not set any more did: one that failed last would be told of for ever.
const FORGET_TASKS: &str = "DELETE FROM lockstep.task
WHERE program = 'sequencer' AND (name = $2 OR starts_with(name, $3)) AND name <> ALL ($1)";

/// A sink that is new begins with what is open: it needs not be told what is over.
const FOLLOW: &str = "
WITH begun AS (INSERT INTO lockstep.event_sink (sink) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING sink)
INSERT INTO lockstep.event_delivery (event_id, sink) SELECT e.id, b.sink FROM lockstep.event e, begun b WHERE e.open";

/// The id in requests is another's where another installation, or this one after its source was restored, has this number.
const DUE: &str = "
FROM lockstep.event_sink s JOIN lockstep.event_delivery d ON d.sink = s.sink AND d.delivered_at IS NULL
  JOIN lockstep.event e ON e.id = d.event_id
WHERE s.sink = $1 AND s.stopped_at IS NULL AND COALESCE(s.rests_until <= clock_timestamp(), TRUE)
  AND d.next_at <= clock_timestamp() ORDER BY e.id LIMIT $2";

const DELIVERED: &str = "UPDATE lockstep.event_delivery
SET delivered_at = clock_timestamp(), next_at = NULL, attempts = attempts + 1, last_error = NULL
WHERE sink = $1 AND event_id = ANY ($2) AND delivered_at IS NULL";

/// Without a wait it is given up. An operator may have asked for new attempts meanwhile: then these count.
const FAILED: &str = "UPDATE lockstep.event_delivery
SET next_at = clock_timestamp() + make_interval(secs => $4), attempts = attempts + 1, last_error = $5
WHERE sink = $1 AND event_id = $2 AND attempts = $3 AND delivered_at IS NULL";

const STOP: &str =
    "UPDATE lockstep.event_sink SET stopped_at = clock_timestamp() WHERE sink = $1 AND stopped_at IS NULL";

const REST: &str =
    "UPDATE lockstep.event_sink SET rests_until = clock_timestamp() + make_interval(secs => $2) WHERE sink = $1";

/// An event that a sink is to be told now.
pub(crate) struct Due {
    /// The event's number.
    pub(crate) id: i64,
    /// What names it in requests, however often it is sent.
    pub(crate) webhook_id: String,
    /// How often it was tried.
    pub(crate) attempts: i32,
    /// As it is told.
    pub(crate) event: Value,
}

impl EventSession {
    /// Writes down which sinks there are.
    pub(crate) async fn follow(&mut self, sinks: &[&str]) -> Result<(), SourceError> {
        let transaction = self.client.transaction().await?;
        transaction.execute(NOTHING_IS_WRITTEN, &[]).await?;
        transaction.execute(UNFOLLOW, &[&sinks]).await?;
        transaction.execute(FOLLOW, &[&sinks]).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets what tasks that tell events did, but these.
    pub(crate) async fn forget_tasks(
        &self,
        tasks: &[String],
        (lines, webhooks): (&str, &str),
    ) -> Result<(), SourceError> {
        self.client.execute(FORGET_TASKS, &[&tasks, &lines, &webhooks]).await?;
        Ok(())
    }

    /// The next events that a sink is to be told, in the order of their numbers.
    pub(crate) async fn due(&self, sink: &str, limit: i64) -> Result<Vec<Due>, SourceError> {
        let webhook_id = "format('evt_%s_%s', e.id, (extract(epoch FROM e.at) * 1000000)::bigint)";
        let sql = format!("SELECT e.id, {webhook_id}, d.attempts, {TOLD}{DUE}");
        let rows = self.client.query(&sql, &[&sink, &limit]).await?;
        let due = rows.iter().map(|row| {
            let (id, webhook_id, attempts) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok(Due { id, webhook_id, attempts, event: row.try_get(3)? })
        });
        due.collect()
    }

    /// Notes that a sink has them.
    pub(crate) async fn delivered(&self, sink: &str, events: &[i64]) -> Result<(), SourceError> {
        self.client.execute(DELIVERED, &[&sink, &events]).await?;
        Ok(())
    }

    /// Notes that a sink does not have it, why, and in how long it is tried again; never: it is given up.
    pub(crate) async fn failed(
        &self,
        sink: &str,
        due: &Due,
        class: &str,
        wait: Option<Duration>,
    ) -> Result<(), SourceError> {
        let wait = wait.map(|wait| wait.as_secs_f64());
        self.client.execute(FAILED, &[&sink, &due.id, &due.attempts, &wait, &class]).await?;
        Ok(())
    }

    /// Notes that a sink is told nothing until an operator resumes it.
    pub(crate) async fn stop(&self, sink: &str) -> Result<(), SourceError> {
        self.client.execute(STOP, &[&sink]).await?;
        Ok(())
    }

    /// Notes that a sink is told nothing for so long.
    pub(crate) async fn rest(&self, sink: &str, wait: Duration) -> Result<(), SourceError> {
        self.client.execute(REST, &[&sink, &wait.as_secs_f64()]).await?;
        Ok(())
    }
}
