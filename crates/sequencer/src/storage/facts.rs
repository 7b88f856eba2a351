//! What a stamping session has to know about the source before its first pass.

use std::collections::BTreeSet;

use lockstep_mappings::postgres::stamp::{RowLock, stamped_tables};
use lockstep_mappings::postgres::{FLAG_COLUMN, SEQUENCE_COLUMN};
use lockstep_mappings::{MappingSet, SourceTable};
use lockstep_schema::SourceError;
use tokio_postgres::Client;

use crate::error::SequencerError;

/// Tables on which an update of the capture columns takes the strongest row lock.
pub(crate) struct RowLocks(BTreeSet<SourceTable>);

impl RowLocks {
    /// How rows of `table` are locked when they are picked.
    pub(crate) fn of(&self, table: &SourceTable) -> RowLock {
        if self.0.contains(table) { RowLock::Update } else { RowLock::NoKeyUpdate }
    }
}

/// Postgres takes the strongest row lock for an update of a column that a foreign key could reference: one in a unique
/// index without predicate and expressions (`RelationGetIndexAttrBitmap`).
pub(crate) async fn row_locks(client: &Client, set: &MappingSet) -> Result<RowLocks, SourceError> {
    const UNIQUE: &str = "
SELECT n.nspname, c.relname
FROM unnest($1::text[], $2::text[]) AS w(schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
WHERE EXISTS (
  SELECT 1 FROM pg_index x JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = ANY($3::text[])
  WHERE x.indrelid = c.oid AND x.indisunique AND x.indpred IS NULL AND x.indexprs IS NULL
    AND a.attnum = ANY((x.indkey::int2[])[0:x.indnkeyatts - 1]))";
    let tables = stamped_tables(set);
    let (schemas, names): (Vec<_>, Vec<_>) =
        tables.iter().map(|table| (table.schema.as_str(), table.name.as_str())).unzip();
    let rows = client.query(UNIQUE, &[&schemas, &names, &vec![SEQUENCE_COLUMN, FLAG_COLUMN]]).await?;
    Ok(RowLocks(rows.iter().map(|row| SourceTable { schema: row.get(0), name: row.get(1) }).collect()))
}

/// What matters about the sequence that stamps all rows.
pub(crate) struct SequenceFacts {
    /// Each session takes several numbers at once and hands them out later.
    pub(crate) is_cached: bool,
}

/// Looks whether Lockstep's own tables (the newest of them) and the sequence are there, and whether its numbers only grow.
pub(crate) async fn sequence(client: &Client) -> Result<SequenceFacts, SequencerError> {
    const SEQUENCE: &str = "
SELECT s.increment_by, s.cycle, s.cache_size, to_regclass('lockstep.resync') IS NOT NULL
FROM pg_sequences s WHERE s.schemaname = 'public' AND s.sequencename = 'global_seq_id'";
    let row = client.query_opt(SEQUENCE, &[]).await.map_err(SourceError::from)?;
    let row = row.filter(|row| row.get(3)).ok_or(SequencerError::NotMigrated)?;
    if row.get::<_, i64>(0) <= 0 {
        return Err(SequencerError::Sequence("its increment is negative"));
    }
    if row.get(1) {
        return Err(SequencerError::Sequence("it starts again when it reaches its end (CYCLE)"));
    }
    Ok(SequenceFacts { is_cached: row.get::<_, i64>(2) > 1 })
}
