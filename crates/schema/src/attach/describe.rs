//! What a definition of a table is written from: which table is meant, and what tells its rows apart.

use lockstep_mappings::SourceTable;
use lockstep_mappings::postgres::{KEEPER, table};
use tokio_postgres::{Client, Row};

use crate::error::SourceError;

/// Tables `c` of the application's own schemas `n`.
pub const OF_APPLICATION: &str = r"n.nspname NOT IN ('lockstep', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'";
/// Tables `c` that triggers can capture, as far as their kind tells.
pub const ORDINARY: &str = "c.relkind = 'r'";

/// The ordinary tables that a name may mean, those of schema `public` first: `Invoice`, or `billing.Invoice` with a schema.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn tables_named(client: &Client, name: &str) -> Result<Vec<SourceTable>, SourceError> {
    let sql = format!(
        r"
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {OF_APPLICATION} AND {ORDINARY}
  AND $1::text IN (c.relname::text, n.nspname || '.' || c.relname)
ORDER BY n.nspname <> 'public', n.nspname, c.relname"
    );
    let rows = client.query(&sql, &[&name]).await?;
    Ok(rows.iter().map(|row| SourceTable { schema: row.get(0), name: row.get(1) }).collect())
}

/// A table, as far as it is about tenants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApplicationTable {
    /// The table.
    pub table: SourceTable,
    /// Its columns that refer to the table of tenants, those of type `uuid` first.
    pub references: Vec<String>,
    /// Whether it is partitioned. Triggers cannot capture such a table.
    pub is_partitioned: bool,
}

/// Tables of the application that are no partition, in the order of their names.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn application_tables(client: &Client, tenants: &SourceTable) -> Result<Vec<ApplicationTable>, SourceError> {
    let sql = format!(
        r"
SELECT n.nspname, c.relname, c.relkind = 'p', ARRAY(
  SELECT a.attname::text FROM pg_constraint f JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
  WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid = to_regclass($1) AND cardinality(f.conkey) = 1
  ORDER BY a.atttypid <> 'uuid'::regtype, a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {OF_APPLICATION} AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY n.nspname, c.relname"
    );
    let rows = client.query(&sql, &[&table(tenants)]).await?;
    let tables = rows.iter().map(|row| ApplicationTable {
        table: SourceTable { schema: row.get(0), name: row.get(1) },
        references: row.get(3),
        is_partitioned: row.get(2),
    });
    Ok(tables.collect())
}

/// Columns of ordinary tables that are of type `uuid`, or of a domain over it: their names, those of the most tables first, each with how
/// many tables have it.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn uuid_columns(client: &Client) -> Result<Vec<(String, i64)>, SourceError> {
    let sql = format!(
        r"
SELECT a.attname::text, count(*)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
WHERE {OF_APPLICATION} AND {ORDINARY} AND a.attnum > 0 AND NOT a.attisdropped AND 'uuid'::regtype IN (t.oid, t.typbasetype)
GROUP BY 1 ORDER BY 2 DESC, 1"
    );
    let rows = client.query(&sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Whether a column says what a row of another table than `tenants` is: it refers to one, or it is the whole key of its own table.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn is_of_others(
    client: &Client,
    (of, column): (&SourceTable, &str),
    tenants: &SourceTable,
) -> Result<bool, SourceError> {
    const OF_OTHERS: &str = r"
SELECT EXISTS (SELECT FROM pg_constraint f JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = ALL (f.conkey)
  WHERE f.conrelid = to_regclass($1) AND a.attname = $2
    AND (f.contype = 'f' AND f.confrelid <> to_regclass($3) OR f.contype = 'p' AND f.conrelid <> to_regclass($3)))";
    let row = client.query_one(OF_OTHERS, &[&table(of), &column, &table(tenants)]).await?;
    Ok(row.try_get(0)?)
}

/// A table whose rows may be the tenants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantsTable {
    /// The table.
    pub table: SourceTable,
    /// Its key of one column: a unique one of type `uuid` where it has any, else the primary key.
    pub key: String,
    /// The type of that column, as people write it.
    pub key_type: String,
    /// Whether triggers keep a table of tenancies from it.
    pub is_kept: bool,
    /// How many other tables refer to it.
    pub referring: i64,
}

/// The tables whose rows may be the tenants, those that most others refer to first.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn tenants_tables(client: &Client) -> Result<Vec<TenantsTable>, SourceError> {
    let sql = format!(
        r"
SELECT n.nspname, c.relname, k.attname, format_type(k.atttypid, NULL),
  EXISTS (SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
    WHERE g.tgrelid = c.oid AND p.proname = '{KEEPER}' AND p.pronamespace = 'public'::regnamespace),
  (SELECT count(DISTINCT f.conrelid) FROM pg_constraint f
    WHERE f.confrelid = c.oid AND f.contype = 'f' AND f.conrelid <> c.oid AND cardinality(f.confkey) = 1)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
  SELECT a.attname, a.atttypid FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
  WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid AND x.indnkeyatts = 1 AND x.indpred IS NULL AND a.attnotnull
    AND (x.indisprimary OR a.atttypid = 'uuid'::regtype)
  ORDER BY a.atttypid <> 'uuid'::regtype, NOT x.indisprimary, a.attnum LIMIT 1) k
WHERE {OF_APPLICATION} AND {ORDINARY} AND NOT EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent))
ORDER BY 6 DESC, n.nspname <> 'public', n.nspname, c.relname"
    );
    let rows = client.query(&sql, &[]).await?;
    let tables = rows.iter().map(|row| TenantsTable {
        table: SourceTable { schema: row.get(0), name: row.get(1) },
        key: row.get(2),
        key_type: row.get(3),
        is_kept: row.get(4),
        referring: row.get(5),
    });
    Ok(tables.collect())
}

/// The sets of columns that are unique together and cannot be null: the primary key first, then the shortest.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn unique_keys(client: &Client, table: &SourceTable) -> Result<Vec<Vec<String>>, SourceError> {
    const KEYS: &str = r"
SELECT ARRAY(
  SELECT a.attname::text FROM unnest((x.indkey::int2[])[0:x.indnkeyatts - 1]) WITH ORDINALITY k(number, place)
    JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.number ORDER BY k.place)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND x.indisunique AND x.indisvalid AND x.indimmediate
  AND x.indpred IS NULL AND x.indexprs IS NULL
  AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1]) AND NOT a.attnotnull)
ORDER BY NOT x.indisprimary, x.indnkeyatts, i.relname";
    let rows = client.query(KEYS, &[&table.schema, &table.name]).await?;
    Ok(rows.iter().map(|row: &Row| row.get(0)).collect())
}
