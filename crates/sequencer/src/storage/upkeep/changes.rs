//! Dropping changes that nobody needs any more, a partition at a time.

use lockstep_schema::SourceError;
use tokio_postgres::{Client, Row};

use super::UpkeepSession;

/// So many tenants' destinations are named in one line of a log.
const NAMED: usize = 5;

/// A partition that may be over.
struct Partition {
    first: i64,
    end: i64,
    /// Destinations that have not passed it.
    late: Vec<String>,
    /// Whether a tenant's own destination has not, or may not have.
    are_tenants_late: bool,
    /// Nobody has written to it for longer than `change_retention`.
    is_old: bool,
}

impl TryFrom<Row> for Partition {
    type Error = tokio_postgres::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        Ok(Self {
            first: row.try_get(0)?,
            end: row.try_get(1)?,
            late: row.try_get(2)?,
            are_tenants_late: row.try_get(3)?,
            is_old: row.try_get(4)?,
        })
    }
}

impl UpkeepSession {
    /// Drops the first partition of changes if every destination has it on its disk, or if nobody has written to it for longer
    /// than `change_retention`: then destinations that had not passed it are marked, and filled again by the watch, or by the
    /// workers where they are tenants' own. Returns whether it was dropped.
    pub(crate) async fn drop_changes(&self) -> Result<bool, SourceError> {
        // A tenant's destination that nothing is known of has passed what the sweep has passed.
        const OVER: &str = "
SELECT p.first_sequence, p.end_sequence,
  ARRAY(SELECT d.name FROM lockstep.destination d WHERE lockstep.durable(d.name) < p.end_sequence - 1),
  EXISTS (SELECT 1 FROM lockstep.tenant_destination t WHERE (t.known > t.passed OR t.unfinished) AND t.passed < p.end_sequence - 1)
    OR (SELECT s.through FROM lockstep.tenant_sweep s) < p.end_sequence - 1 AND EXISTS (SELECT 1 FROM lockstep.tenant_destination),
  n.created_at < now() - (SELECT value FROM lockstep.setting WHERE name = 'change_retention')
FROM lockstep.change_partition p JOIN lockstep.change_partition n ON n.first_sequence >= p.end_sequence
WHERE p.end_sequence <= (SELECT max(sequence) FROM lockstep.announced)
ORDER BY p.first_sequence, n.first_sequence LIMIT 1";
        let Some(row) = self.client.query_opt(OVER, &[]).await? else { return Ok(false) };
        let partition = Partition::try_from(row)?;
        if (!partition.late.is_empty() || partition.are_tenants_late) && !partition.is_old {
            return Ok(false);
        }
        self.client.batch_execute("BEGIN").await?;
        match drop_partition(&self.client, &partition).await {
            Ok(tenants) => tell(&partition.late, &tenants),
            Err(error) => {
                self.client.batch_execute("ROLLBACK").await?;
                return Err(error.into());
            }
        }
        Ok(true)
    }
}

/// Marks destinations that have not passed the partition, and drops it. Returns those of tenants that were marked.
async fn drop_partition(client: &Client, partition: &Partition) -> Result<Vec<String>, tokio_postgres::Error> {
    const MARK: &str = "UPDATE lockstep.destination SET needs_refill_since = COALESCE(needs_refill_since, now()), passed = GREATEST(passed, $2) WHERE name = ANY($1)";
    let Partition { first, end, late, .. } = partition;
    client.execute(MARK, &[late, &(end - 1)]).await?;
    let tenants = if partition.are_tenants_late { mark_tenants(client, *end).await? } else { Vec::new() };
    client.execute("DELETE FROM lockstep.change_partition WHERE first_sequence = $1", &[first]).await?;
    client.batch_execute(&format!("DROP TABLE lockstep.change_{first}; COMMIT")).await?;
    Ok(tenants)
}

/// Marks tenants' own destinations that lack changes below a number: those that are known to, and those of tenancies with changes
/// that the sweep has not come to. Returns their ids.
async fn mark_tenants(client: &Client, end: i64) -> Result<Vec<String>, tokio_postgres::Error> {
    const MARK: &str = "
WITH late AS (
  UPDATE lockstep.tenant_destination t SET passed = $1, known = GREATEST(t.known, $1), unfinished = TRUE, revision = t.revision + 1
  WHERE t.passed < $1 AND (t.known > t.passed OR t.unfinished OR EXISTS (
    SELECT 1 FROM lockstep.change c
    WHERE c.tenancy_id = t.tenancy_id AND c.sequence <= $1 AND c.sequence > (SELECT s.through FROM lockstep.tenant_sweep s)))
  RETURNING t.id
), refills AS (
  UPDATE lockstep.tenant_mapping m SET refill_requested_at = now() FROM late WHERE m.destination_id = late.id
)
SELECT id::text FROM late ORDER BY 1";
    client.query(MARK, &[&(end - 1)]).await?.iter().map(|row| row.try_get(0)).collect()
}

fn tell(late: &[String], tenants: &[String]) {
    for destination in late {
        tracing::error!(%destination, "LS-0513: changes that the destination has not passed are dropped: it is filled again");
    }
    if !tenants.is_empty() {
        let some = tenants.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        tracing::error!(
            destinations = tenants.len(),
            %some,
            "LS-0513: changes that tenants' destinations have not passed are dropped: they are filled again"
        );
    }
}
