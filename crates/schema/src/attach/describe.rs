//! What a definition of a table is written from: which table is meant, and what tells its rows apart.

use lockstep_mappings::SourceTable;
use tokio_postgres::{Client, Row};

use crate::error::SourceError;

/// The ordinary tables that a name may mean, those of schema `public` first: `Invoice`, or `billing.Invoice` with a schema.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn tables_named(client: &Client, name: &str) -> Result<Vec<SourceTable>, SourceError> {
    const TABLES: &str = r"
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('lockstep', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
  AND $1::text IN (c.relname::text, n.nspname || '.' || c.relname)
ORDER BY n.nspname <> 'public', n.nspname, c.relname";
    let rows = client.query(TABLES, &[&name]).await?;
    Ok(rows.iter().map(|row| SourceTable { schema: row.get(0), name: row.get(1) }).collect())
}

/// Ordinary tables that are no partition, each with its columns that refer to `"Tenancy"."id"`, in the order of their names.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn tables_with_tenants(client: &Client) -> Result<Vec<(SourceTable, Vec<String>)>, SourceError> {
    const TABLES: &str = r#"
SELECT n.nspname, c.relname, ARRAY(
  SELECT a.attname::text FROM pg_constraint f JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
  WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid = to_regclass('public."Tenancy"') AND cardinality(f.conkey) = 1
  ORDER BY a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND NOT c.relispartition AND n.nspname NOT IN ('lockstep', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
ORDER BY n.nspname, c.relname"#;
    let rows = client.query(TABLES, &[]).await?;
    Ok(rows.iter().map(|row| (SourceTable { schema: row.get(0), name: row.get(1) }, row.get(2))).collect())
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
