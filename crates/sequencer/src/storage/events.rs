//! Events: what is so now, what was told, and what a sink does not have yet.

use std::collections::BTreeSet;

use lockstep_schema::verifications::latest::latest;
use lockstep_schema::{Session, Source, SourceError};
use serde_json::{Value, json};
use tokio_postgres::{Client, Row};

use crate::plan::events::{Condition, News, Topic};

/// Conditions of a kind that are looked at.
pub(crate) const LIMIT: usize = 1000;
/// Events that are told at a time.
const PAGE: i64 = 100;

/// What is so now: kind, subject, whether it lasts, and a body. `$1`: at most so many of a kind. A tenant's database is down once it
/// has failed for half a minute, a task fails once it has for a minute, and a pause is told of after an hour, or at once where
/// Lockstep has paused something by itself. Texts of errors are left out: a code is enough.
const NOW: &str = "
(SELECT 'destination_down', id::text, TRUE, jsonb_build_object('destination', id, 'tenancy', tenancy_id, 'code', error_code,
    'since', failing_since, 'failures', failures, 'look', 'lockstep destination show ' || id)
  FROM lockstep.tenant_destination WHERE failing_since < clock_timestamp() - interval '30 seconds' ORDER BY id LIMIT $1)
UNION ALL (SELECT 'mapping_stopped', destination_id || ' ' || mapping_name, TRUE, jsonb_build_object('destination', destination_id,
    'mapping', mapping_name, 'code', error_code, 'look', 'lockstep destination show ' || destination_id)
  FROM lockstep.tenant_mapping WHERE state = 'stopped' ORDER BY destination_id, mapping_name LIMIT $1)
UNION ALL (SELECT 'quarantine', destination || ' ' || mapping_name, TRUE, jsonb_build_object('destination', destination,
    'mapping', mapping_name, 'code', min(code), 'since', min(first_refused_at), 'rows', count(*),
    'look', 'lockstep quarantine list --mapping ' || mapping_name)
  FROM lockstep.quarantine GROUP BY destination, mapping_name ORDER BY destination, mapping_name LIMIT $1)
UNION ALL (SELECT 'erasure_done', id::text, FALSE, jsonb_build_object('erasure', id, 'tenancy', tenancy_id, 'destination', destination,
    'requested_at', requested_at, 'proven_at', proven_at, 'finished_at', finished_at, 'look', 'lockstep erase --tenant ' || tenancy_id)
  FROM lockstep.erasure e WHERE finished_at > clock_timestamp() - interval '1 day'
    AND NOT EXISTS (SELECT FROM lockstep.event v WHERE v.kind = 'erasure_done' AND v.subject = e.id::text) ORDER BY id LIMIT $1)
UNION ALL (SELECT 'needs_refill', name, TRUE, jsonb_build_object('destination', name, 'code', 'LS-0513', 'since', needs_refill_since,
    'look', 'lockstep status')
  FROM lockstep.destination WHERE needs_refill_since IS NOT NULL ORDER BY name LIMIT $1)
UNION ALL (SELECT 'paused', rtrim(kind || ' ' || name), TRUE, jsonb_build_object('part', kind, 'name', name, 'since', paused_at,
    'automatic', automatic, 'code', CASE WHEN automatic THEN substring(reason FROM '^LS-[0-9]{4}') END, 'look', 'lockstep paused')
  FROM lockstep.pause WHERE automatic OR paused_at < clock_timestamp() - interval '1 hour' ORDER BY kind, name LIMIT $1)
UNION ALL (SELECT 'task_failing', program || ' ' || name, TRUE, jsonb_build_object('program', program, 'task', name,
    'failed_at', failed_at, 'last_run', last_run, 'code', substring(error FROM 'LS-[0-9]{4}'), 'look', 'lockstep status')
  FROM lockstep.task WHERE failed_at > COALESCE(last_run, '-infinity')
    AND COALESCE(last_run, '-infinity') < clock_timestamp() - interval '1 minute' ORDER BY program, name LIMIT $1)";

const OPEN: &str = "SELECT kind, subject FROM lockstep.event WHERE open";

/// Somebody else may have written it meanwhile.
const BEGIN: &str = "INSERT INTO lockstep.event (kind, subject, state, open, body)
VALUES ($1, $2, CASE WHEN $3 THEN 'raised' ELSE 'told' END, $3, $4) ON CONFLICT DO NOTHING";

/// One statement, so that it is over once; it tells which event has raised it, and when.
const END: &str = "WITH over AS (UPDATE lockstep.event SET open = FALSE WHERE kind = $1 AND subject = $2 AND open RETURNING id, at, body)
INSERT INTO lockstep.event (kind, subject, state, open, body)
SELECT $1, $2, 'resolved', FALSE, (body - 'look') || jsonb_build_object('raised_by', id, 'raised_at', at) FROM over";

/// What is older than 30 days, and the oldest beyond 10,000; what is open stays.
const PRUNE: &str = "DELETE FROM lockstep.event WHERE NOT open AND (at < clock_timestamp() - interval '30 days'
  OR id <= (SELECT id FROM lockstep.event ORDER BY id DESC OFFSET 10000 LIMIT 1))";

/// In the order of their numbers, which is the one in which they were found.
const WAITING: &str = "SELECT e.id, jsonb_build_object('id', e.id, 'at', e.at, 'kind', e.kind, 'subject', e.subject, 'state', e.state, 'about', e.body)
FROM lockstep.event e WHERE NOT EXISTS (SELECT FROM lockstep.event_delivery d WHERE d.event_id = e.id AND d.sink = $1) ORDER BY e.id LIMIT $2";

const DELIVERED: &str = "INSERT INTO lockstep.event_delivery (event_id, sink)
SELECT e.id, $2 FROM lockstep.event e WHERE e.id = ANY($1) ON CONFLICT DO NOTHING";

/// The connection for events.
pub(crate) struct EventSession(Client);

impl EventSession {
    pub(crate) async fn open(source: &Source) -> Result<Self, SourceError> {
        Ok(Self(source.connect(Session::Control).await?))
    }

    /// Everything that is so now.
    pub(crate) async fn now(&self) -> Result<Vec<Condition>, SourceError> {
        let limit = i64::try_from(LIMIT).unwrap_or(i64::MAX);
        let rows = self.0.query(NOW, &[&limit]).await?;
        let condition = |row: &Row| {
            let topic = (row.try_get::<_, &str>(0)?.to_owned(), row.try_get(1)?);
            Ok(Condition { topic, lasts: row.try_get(2)?, body: row.try_get(3)? })
        };
        let mut all = rows.iter().map(condition).collect::<Result<Vec<_>, SourceError>>()?;
        let differs = latest(&self.0).await?.into_iter().filter(|latest| latest.verdict == "different");
        all.extend(differs.map(|latest| Condition {
            topic: ("verification_differs".to_owned(), latest.mapping.clone()),
            lasts: true,
            body: json!({ "mapping": latest.mapping, "missing": latest.rows[0], "unexpected": latest.rows[1],
                "different": latest.rows[2], "look": "lockstep verified" }),
        }));
        Ok(all)
    }

    /// What was told as raised, and not as resolved.
    pub(crate) async fn open_topics(&self) -> Result<BTreeSet<Topic>, SourceError> {
        let rows = self.0.query(OPEN, &[]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Writes events; returns how many nobody else had written.
    pub(crate) async fn write(&self, news: &News) -> Result<usize, SourceError> {
        let mut written = 0;
        for Condition { topic: (kind, subject), lasts, body } in &news.begun {
            written += self.0.execute(BEGIN, &[kind, subject, lasts, body]).await?;
        }
        for (kind, subject) in &news.over {
            written += self.0.execute(END, &[kind, subject]).await?;
        }
        Ok(usize::try_from(written).unwrap_or(usize::MAX))
    }

    /// Forgets old events; returns how many.
    pub(crate) async fn prune(&self) -> Result<u64, SourceError> {
        Ok(self.0.execute(PRUNE, &[]).await?)
    }

    /// The next events that a sink does not have.
    pub(crate) async fn waiting(&self, sink: &str) -> Result<Vec<(i64, Value)>, SourceError> {
        let rows = self.0.query(WAITING, &[&sink, &PAGE]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Notes that a sink has them.
    pub(crate) async fn delivered(&self, sink: &str, events: &[i64]) -> Result<(), SourceError> {
        self.0.execute(DELIVERED, &[&events, &sink]).await?;
        Ok(())
    }
}
