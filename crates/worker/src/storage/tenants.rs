//! Tenants' own destinations, as the source keeps them (`lockstep.tenant_destination`): who is due, and what became of a visit.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lockstep_core::secret_keys::Sealed;
use lockstep_core::{MappingName, SequenceId, TenancyId, failpoint};
use lockstep_mappings::postgres::inbox::HEAD;
use lockstep_mappings::postgres::{table, tenancy_table};
use lockstep_schema::SourceError;
use lockstep_schema::tenant_destinations::mappings::MappingState;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::DESTINATION;

/// Numbers whose tenancies are noted in one step.
const STEP_NUMBERS: i64 = 50_000;

/// A destination `d` as it is read: with its erasure that is under way, and whether its tenancy exists.
fn selected() -> String {
    format!(
        "SELECT d.id, d.tenancy_id, d.mappings, d.key_id, d.connection, d.revision, d.failures, d.passed, e.id, COALESCE(e.paused, FALSE), EXISTS (SELECT 1 FROM {} t WHERE t.\"id\" = d.tenancy_id)
FROM lockstep.tenant_destination d
  LEFT JOIN lockstep.erasure e ON e.tenancy_id = d.tenancy_id AND e.destination = d.id::text AND e.finished_at IS NULL
WHERE (e.id IS NOT NULL OR NOT EXISTS (SELECT 1 FROM lockstep.pause p
    WHERE (p.kind, p.name) IN (('destination', d.id::text), ('tenancy', d.tenancy_id::text))))",
        table(&tenancy_table())
    )
}

/// Those with work that may be tried now, those that work first. One that is paused, or whose tenancy is, is not due, unless it is
/// erased.
const DUE: &str = "
  AND (d.known > d.passed OR d.unfinished) AND (d.retry_at IS NULL OR d.retry_at <= clock_timestamp())
ORDER BY d.failures > 0, d.retry_at NULLS FIRST LIMIT $1";

/// Where a tenancy is erased, its own destinations are too: each with a receipt of its own, which stays open while the database
/// cannot be reached.
const BEGIN_ERASURES: &str = "
WITH begun AS (
  INSERT INTO lockstep.erasure (tenancy_id, destination, reason, paused, up_to)
  SELECT e.tenancy_id, d.id::text, e.reason, e.paused, e.up_to
  FROM lockstep.tenant_destination d JOIN lockstep.erasure e ON e.tenancy_id = d.tenancy_id AND e.destination = $1 AND e.requested_at > d.added_at
  WHERE (e.paused OR NOT EXISTS (SELECT 1 FROM {tenancies} t WHERE t.\"id\" = d.tenancy_id))
    AND NOT EXISTS (SELECT 1 FROM lockstep.erasure o WHERE o.tenancy_id = e.tenancy_id AND o.destination = d.id::text AND o.requested_at >= e.requested_at)
  ON CONFLICT DO NOTHING RETURNING destination)
UPDATE lockstep.tenant_destination d SET unfinished = TRUE, revision = d.revision + 1 FROM begun WHERE d.id::text = begun.destination";
/// What was removed, by mapping. A tenancy that exists keeps its destination.
const FINISH_ERASURE: &str = "
WITH finished AS (
  UPDATE lockstep.erasure SET removed = $2, hidden_at = COALESCE(hidden_at, clock_timestamp()), proven_at = clock_timestamp(), finished_at = clock_timestamp()
  WHERE id = $1 RETURNING destination),
told AS (DELETE FROM lockstep.quarantine q USING finished WHERE q.destination = finished.destination)
DELETE FROM lockstep.tenant_destination d USING finished WHERE d.id::text = finished.destination AND NOT $3";

/// Takes note of the last changes of tenancies with destinations, in the next step of numbers, and returns how far that went.
fn note_changes() -> String {
    format!(
        "WITH step AS MATERIALIZED (
  SELECT s.through, LEAST(s.through + {STEP_NUMBERS}, h.head) AS up_to FROM lockstep.tenant_sweep s, (SELECT {HEAD} AS head) h),
noted AS (
  UPDATE lockstep.tenant_destination d SET known = c.last
  FROM (SELECT c.tenancy_id, max(c.sequence) AS last FROM lockstep.change c, step
    WHERE c.sequence > step.through AND c.sequence <= step.up_to GROUP BY 1) c
  WHERE d.tenancy_id = c.tenancy_id AND d.known < c.last)
UPDATE lockstep.tenant_sweep s SET through = step.up_to FROM step WHERE s.through < step.up_to
RETURNING step.up_to - step.through = {STEP_NUMBERS}"
    )
}

/// What became of visits. `failures` of one that went well are forgotten; one that failed waits for about a second times two to
/// the power of its failures, a quarter of an hour at most. Whoever asks for something meanwhile raises the revision: then nothing is
/// written, and it is visited again.
const RECORD_SUCCESS: &str = "
UPDATE lockstep.tenant_destination d
SET passed = GREATEST(d.passed, $2), known = GREATEST(d.known, $2),
  unfinished = $3 OR EXISTS (SELECT 1 FROM lockstep.tenant_mapping m WHERE m.destination_id = d.id AND m.refill_requested_at IS NOT NULL),
  retry_at = clock_timestamp() + $4::float8 * interval '1 second',
  last_success_at = clock_timestamp(), failures = 0, failing_since = NULL, error_code = NULL, error = NULL
WHERE d.id = $1 AND d.revision = $5";
const RECORD_FAILURE: &str = "
UPDATE lockstep.tenant_destination d
SET failures = d.failures + 1, failing_since = COALESCE(d.failing_since, clock_timestamp()), error_code = $2, error = $3,
  unfinished = TRUE,
  retry_at = clock_timestamp() + LEAST(interval '15 minutes', interval '1 second' * power(2, LEAST(d.failures, 10))) * (0.5 + random() / 2)
WHERE d.id = $1";

const RECORD_MAPPING: &str = "
INSERT INTO lockstep.tenant_mapping AS m (destination_id, mapping_name, state, fill_reason, filled_rows, total_rows, filled_at, error_code, error)
SELECT d.id, $2, $3, $4, $5, $6, CASE WHEN $3 = 'streaming' THEN clock_timestamp() END, $7, $8 FROM lockstep.tenant_destination d WHERE d.id = $1 AND d.revision = $10
ON CONFLICT (destination_id, mapping_name) DO UPDATE
SET state = EXCLUDED.state, fill_reason = COALESCE(EXCLUDED.fill_reason, m.fill_reason), filled_rows = EXCLUDED.filled_rows,
  total_rows = COALESCE(EXCLUDED.total_rows, m.total_rows), filled_at = COALESCE(EXCLUDED.filled_at, m.filled_at),
  error_code = EXCLUDED.error_code, error = EXCLUDED.error,
  refill_requested_at = CASE WHEN EXCLUDED.fill_reason IS NOT NULL AND m.refill_requested_at::text IS NOT DISTINCT FROM $9 THEN NULL ELSE m.refill_requested_at END";

/// One destination of one tenancy.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) id: Uuid,
    pub(crate) tenancy: TenancyId,
    /// `None`: all that there are.
    pub(crate) mappings: Option<Vec<String>>,
    pub(crate) sealed: Sealed,
    /// Grows when any of this changes.
    pub(crate) revision: i64,
    /// In a row.
    pub(crate) failures: i32,
    pub(crate) passed: SequenceId,
    /// Its rows are to be removed for good: the number of the receipt.
    pub(crate) erasure: Option<i64>,
    /// It was asked for while the tenancy exists, and is paused.
    pub(crate) is_erased_while_paused: bool,
    /// Whether its tenancy exists.
    pub(crate) is_living: bool,
}

/// What the registry says of the mappings of one destination, and the source of all.
#[derive(Debug)]
pub(crate) struct Known {
    /// Mappings that are to be filled again, and those whose state is known, by name.
    pub(crate) mappings: BTreeMap<String, KnownMapping>,
    /// The last number that was given out.
    pub(crate) head: SequenceId,
}

/// What the registry says of one mapping of a destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KnownMapping {
    pub(crate) state: MappingState,
    /// Whether a fill of it was ever begun since it is registered.
    pub(crate) was_filled: bool,
    /// When somebody last asked for it to be filled again, as text; none: nobody has since the last fill began.
    pub(crate) refill_requested: Option<String>,
}

/// What is written down of a mapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MappingRecord {
    pub(crate) state: MappingState,
    /// Where a fill begins: why.
    pub(crate) fill_reason: Option<&'static str>,
    /// And which request it answers; one that was made since stays.
    pub(crate) answers: Option<String>,
    pub(crate) filled_rows: i64,
    pub(crate) total_rows: Option<i64>,
    /// Code and text.
    pub(crate) error: Option<(String, String)>,
}

impl MappingRecord {
    /// Nothing but what it is doing.
    pub(crate) const fn of(state: MappingState) -> Self {
        Self { state, fill_reason: None, answers: None, filled_rows: 0, total_rows: None, error: None }
    }
}

fn registered(row: &Row) -> Result<Registered, SourceError> {
    Ok(Registered {
        id: row.try_get(0)?,
        tenancy: TenancyId::new(row.try_get(1)?),
        mappings: row.try_get(2)?,
        sealed: Sealed { key_id: row.try_get(3)?, bytes: row.try_get(4)? },
        revision: row.try_get(5)?,
        failures: row.try_get(6)?,
        passed: SequenceId::new(row.try_get(7)?),
        erasure: row.try_get(8)?,
        is_erased_while_paused: row.try_get(9)?,
        is_living: row.try_get(10)?,
    })
}

/// Which tenancies have destinations, and which.
pub(crate) async fn by_tenancy(client: &Client) -> Result<HashMap<TenancyId, Vec<Uuid>>, SourceError> {
    let mut all: HashMap<TenancyId, Vec<Uuid>> = HashMap::new();
    for row in client.query("SELECT tenancy_id, id FROM lockstep.tenant_destination", &[]).await? {
        all.entry(TenancyId::new(row.try_get(0)?)).or_default().push(row.try_get(1)?);
    }
    Ok(all)
}

/// How often any of them was added, changed or removed.
pub(crate) async fn registrations(client: &Client) -> Result<i64, SourceError> {
    Ok(client.query_one("SELECT registrations FROM lockstep.tenant_sweep", &[]).await?.try_get(0)?)
}

/// Those with work that may be tried now, `limit` at most.
pub(crate) async fn due(client: &Client, limit: i64) -> Result<Vec<Registered>, SourceError> {
    let rows = client.query(&format!("{}{DUE}", selected()), &[&limit]).await?;
    rows.iter().map(registered).collect()
}

/// These, where they may be tried now, whether or not it is known that there is work.
pub(crate) async fn of_ids(client: &Client, ids: &[Uuid]) -> Result<Vec<Registered>, SourceError> {
    const MAY_BE_TRIED: &str =
        " AND d.id = ANY($1) AND (d.retry_at IS NULL OR d.retry_at <= clock_timestamp() OR d.failures = 0)";
    let sql = format!("{}{MAY_BE_TRIED}", selected());
    client.query(&sql, &[&ids]).await?.iter().map(registered).collect()
}

/// Takes note of changes, one step; returns whether there are more.
pub(crate) async fn note_some_changes(client: &Client) -> Result<bool, SourceError> {
    let row = client.query_opt(&note_changes(), &[]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// Begins to erase the destinations of tenancies that are erased.
pub(crate) async fn begin_erasures(client: &Client) -> Result<(), SourceError> {
    let begin = BEGIN_ERASURES.replace("{tenancies}", &table(&tenancy_table()));
    client.execute(&begin, &[&DESTINATION]).await?;
    Ok(())
}

/// A destination holds nothing any more: so many rows of each mapping were removed. Unless its tenancy exists, that was it.
pub(crate) async fn finish_erasure(
    client: &Client,
    erasure: i64,
    removed: &BTreeMap<MappingName, u64>,
    is_living: bool,
) -> Result<(), SourceError> {
    let removed: serde_json::Map<_, _> =
        removed.iter().map(|(name, rows)| (name.to_string(), (*rows).into())).collect();
    client.execute(FINISH_ERASURE, &[&erasure, &serde_json::Value::Object(removed), &is_living]).await?;
    Ok(())
}

/// A tenancy came back before its destination was erased: it stays.
pub(crate) async fn forget_erasure(client: &Client, erasure: i64) -> Result<(), SourceError> {
    client.execute("DELETE FROM lockstep.erasure WHERE id = $1", &[&erasure]).await?;
    Ok(())
}

/// Tries to become the one that visits a destination, until [`release`] or the end of the connection.
pub(crate) async fn claim(client: &Client, id: Uuid) -> Result<bool, SourceError> {
    let row = client.query_one("SELECT pg_try_advisory_lock(hashtextextended($1, 7))", &[&id.to_string()]).await?;
    Ok(row.try_get(0)?)
}

/// Lets others visit it.
pub(crate) async fn release(client: &Client, id: Uuid) -> Result<(), SourceError> {
    client.query_one("SELECT pg_advisory_unlock(hashtextextended($1, 7))", &[&id.to_string()]).await?;
    Ok(())
}

/// What there is to know before a visit.
pub(crate) async fn known(client: &Client, id: Uuid) -> Result<Known, SourceError> {
    const MAPPINGS: &str = "SELECT mapping_name, state, refill_requested_at::text, fill_reason IS NOT NULL FROM lockstep.tenant_mapping WHERE destination_id = $1";
    let position = format!("SELECT {HEAD}");
    let ids: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&id];
    let (rows, position) = futures_util::try_join!(client.query(MAPPINGS, &ids), client.query_one(&position, &[]))?;
    let mut mappings = BTreeMap::new();
    for row in rows {
        let known = KnownMapping {
            state: MappingState::of(row.try_get(1)?),
            was_filled: row.try_get(3)?,
            refill_requested: row.try_get(2)?,
        };
        mappings.insert(row.try_get(0)?, known);
    }
    Ok(Known { mappings, head: SequenceId::new(position.try_get(0)?) })
}

/// A visit went well: everything up to a number is there. It may be visited again after a rest.
pub(crate) async fn record_success(
    client: &Client,
    row: &Registered,
    passed: SequenceId,
    is_unfinished: bool,
    rest: Duration,
) -> Result<(), SourceError> {
    failpoint!("tenants::recorded::before", return Err(SourceError::Timeout(rest)));
    client
        .execute(RECORD_SUCCESS, &[&row.id, &passed.get(), &is_unfinished, &rest.as_secs_f64(), &row.revision])
        .await?;
    failpoint!("tenants::recorded::after", return Err(SourceError::Timeout(rest)));
    Ok(())
}

/// A visit failed, with this code and text.
pub(crate) async fn record_failure(client: &Client, id: Uuid, code: &str, error: &str) -> Result<(), SourceError> {
    client.execute(RECORD_FAILURE, &[&id, &code, &error]).await?;
    Ok(())
}

/// It is not visited for a while, for no fault of its own.
pub(crate) async fn record_rest(client: &Client, id: Uuid, rest: Duration) -> Result<(), SourceError> {
    const REST: &str = "UPDATE lockstep.tenant_destination SET retry_at = clock_timestamp() + $2::float8 * interval '1 second' WHERE id = $1";
    client.execute(REST, &[&id, &rest.as_secs_f64()]).await?;
    Ok(())
}

/// Writes down how a mapping of it is.
pub(crate) async fn record_mapping(
    client: &Client,
    row: &Registered,
    mapping: &str,
    record: &MappingRecord,
) -> Result<(), SourceError> {
    let MappingRecord { state, fill_reason, answers, filled_rows, total_rows, error } = record;
    let (code, error) = error.as_ref().map(|(code, error)| (code.as_str(), error.as_str())).unzip();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 10] = [
        &row.id,
        &mapping,
        &state.as_str(),
        fill_reason,
        filled_rows,
        total_rows,
        &code,
        &error,
        answers,
        &row.revision,
    ];
    client.execute(RECORD_MAPPING, &parameters).await?;
    Ok(())
}
