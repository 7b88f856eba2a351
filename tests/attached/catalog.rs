//! Everything that a database's catalogs say about tables, one line a thing.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use tokio_postgres::Client;

const LINES: &str = r"
SELECT 'column ' || c.oid::regclass || ' ' || a.attnum || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' ||
    a.attnotnull || ' ' || a.attgenerated::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'table ' || c.oid::regclass || ' ' || c.relfilenode || ' ' || c.relreplident::text || ' ' || c.relrowsecurity || ' ' || c.relowner::regrole ||
    coalesce(c.relacl::text, '')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'index ' || pg_get_indexdef(x.indexrelid) || ' ' || x.indisvalid
  FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname NOT LIKE 'pg\_%'
UNION ALL
SELECT 'constraint ' || k.conrelid::regclass || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid) || ' ' || k.convalidated
  FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE k.conrelid <> 0 AND n.nspname NOT LIKE 'pg\_%'
UNION ALL
SELECT 'trigger ' || t.tgrelid::regclass || ' ' || t.tgenabled::text || ' ' || pg_get_triggerdef(t.oid)
  FROM pg_trigger t WHERE NOT t.tgisinternal
UNION ALL
SELECT 'function ' || p.oid::regprocedure || ' ' || md5(pg_get_functiondef(p.oid))
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE p.prokind = 'f' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'event-trigger ' || e.evtname || ' ' || e.evtenabled::text FROM pg_event_trigger e
UNION ALL
SELECT 'sequence ' || s.seqrelid::regclass || ' ' || s.seqstart || ' ' || s.seqincrement FROM pg_sequence s
UNION ALL
SELECT 'enum ' || e.enumtypid::regtype || ' ' || e.enumlabel || ' ' || e.enumsortorder FROM pg_enum e
UNION ALL
SELECT 'schema ' || n.nspname || coalesce(n.nspacl::text, '') FROM pg_namespace n WHERE n.nspname NOT LIKE 'pg\_%'";

/// The lines. Sessions' temporary things are left out.
pub(crate) async fn lines(client: &Client) -> Result<BTreeSet<String>> {
    let rows = client.query(LINES, &[]).await.context("reading the catalogs")?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Whether the line is about something that Lockstep may add: its schema, and what carries its name.
pub(super) fn is_lockstep(line: &str) -> bool {
    let words: Vec<_> = line.split(' ').collect();
    match words.as_slice() {
        ["column" | "table" | "constraint" | "function" | "sequence", name, ..] => name.starts_with("lockstep."),
        ["index", ..] => {
            [" INDEX lockstep_", " ON lockstep.", " ON ONLY lockstep."].iter().any(|ours| line.contains(ours))
        }
        ["trigger", _, fires, ..] => *fires == "A" && line.contains("TRIGGER lockstep_"),
        ["event-trigger", name, fires] => *fires == "A" && name.starts_with("lockstep_"),
        ["schema", name] => *name == "lockstep",
        _ => false,
    }
}
