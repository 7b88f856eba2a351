//! What the live database has, from its catalogs.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_mappings::postgres::capture::CaptureObject;
use lockstep_mappings::postgres::facts::{ColumnFacts, SourceFacts, tables_needed};
use lockstep_mappings::postgres::{capture, identifier};
use lockstep_mappings::{MappingSet, SourceTable};
use tokio_postgres::{Client, Row};

use crate::connect::{Session, Source};
use crate::error::SourceError;

/// An index of a source table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveIndex {
    /// Its table.
    pub table: SourceTable,
    /// Its name.
    pub name: String,
    /// False when a concurrent build did not finish.
    pub valid: bool,
    /// As `pg_get_indexdef` prints each key.
    pub keys: Vec<String>,
    /// As `pg_get_expr` prints it.
    pub predicate: Option<String>,
}

/// A trigger or a function of Lockstep's, as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveObject {
    /// Its comment: the fingerprint of the definition that installed it.
    pub fingerprint: String,
    /// Whether it is still what was installed then: nobody has replaced it, switched it off or switched it on since.
    pub untouched: bool,
    /// When a trigger fires: `pg_trigger.tgenabled`. A function has none.
    pub enabled: Option<char>,
}

/// Everything that planning needs to know.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// `server_version_num`.
    pub server_version: i32,
    /// Tables and columns; missing tables have no entry.
    pub facts: SourceFacts,
    /// Of the tables that definitions name.
    pub indexes: Vec<LiveIndex>,
    /// Lockstep's triggers by table and name.
    pub triggers: BTreeMap<(SourceTable, String), LiveObject>,
    /// Lockstep's functions by name with argument types, as `CaptureObject::name` has it.
    pub functions: BTreeMap<String, LiveObject>,
    /// Tables of which it is written down since when they are captured.
    pub captured: BTreeSet<SourceTable>,
    /// Whether the sequence exists.
    pub sequence: bool,
    /// Whether numbers of an earlier system are not yet covered by `lockstep.sequence_head`.
    pub numbers_to_take_over: bool,
    /// Whether every tenancy has its place in `lockstep.tenancy_location`.
    pub tenancies_known: bool,
    /// Mappings that have a snapshot for ClickHouse, begun or finished.
    pub snapshots: BTreeSet<String>,
    /// Control migrations that were not run.
    pub pending_migrations: Vec<String>,
}

/// Looks at the live database. Changes nothing.
///
/// # Errors
/// When it cannot be asked.
pub async fn inspect(source: &Source, set: &MappingSet) -> Result<Live, SourceError> {
    let client = source.connect(Session::Control).await?;
    let tables = tables_needed(set);
    let facts = facts(&client, &tables).await?;
    let expected = capture::objects(set, &facts);
    let pending_migrations = crate::migrations::pending(source, crate::migrations::Migrations::Control).await?;
    let controlled = pending_migrations.is_empty();
    let sequence: bool = client.query_one("SELECT to_regclass('public.global_seq_id') IS NOT NULL", &[]).await?.get(0);
    Ok(Live {
        numbers_to_take_over: sequence && numbers_to_take_over(&client, controlled).await?,
        server_version: client.query_one("SELECT current_setting('server_version_num')::int", &[]).await?.get(0),
        indexes: indexes(&client, &tables).await?,
        triggers: triggers(&client).await?,
        functions: functions(&client, &expected).await?,
        sequence,
        tenancies_known: controlled && facts.contains_key(&tenancy()) && tenancies_known(&client).await?,
        snapshots: if controlled { snapshots(&client).await? } else { BTreeSet::new() },
        captured: if controlled { captured(&client).await? } else { BTreeSet::new() },
        facts,
        pending_migrations,
    })
}

fn tenancy() -> SourceTable {
    lockstep_mappings::postgres::tenancy_table()
}

fn split(tables: &[SourceTable]) -> (Vec<&str>, Vec<&str>) {
    tables.iter().map(|table| (table.schema.as_str(), table.name.as_str())).unzip()
}

/// Columns with their types, and what generated ones are generated from: those dependencies hang on the column's default
/// up to PostgreSQL 15 and later alike.
async fn facts(client: &Client, tables: &[SourceTable]) -> Result<SourceFacts, SourceError> {
    const COLUMNS: &str = r"
SELECT n.nspname, c.relname, a.attname, t.typname, t.typtype = 'e', NOT a.attnotnull,
  CASE WHEN a.attgenerated <> '' THEN ARRAY(
    SELECT b.attname::text FROM pg_attrdef x
      JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = x.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid
      JOIN pg_attribute b ON b.attrelid = d.refobjid AND b.attnum = d.refobjsubid
    WHERE x.adrelid = a.attrelid AND x.adnum = a.attnum AND b.attnum <> a.attnum ORDER BY b.attnum)
  ELSE '{}' END
FROM unnest($1::text[], $2::text[]) AS w(schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind = 'r'
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid";
    let (schemas, names) = split(tables);
    let mut facts = SourceFacts::new();
    for row in client.query(COLUMNS, &[&schemas, &names]).await? {
        let table = SourceTable { schema: row.get(0), name: row.get(1) };
        let column =
            ColumnFacts { typname: row.get(3), is_enum: row.get(4), nullable: row.get(5), generated_from: row.get(6) };
        facts.entry(table).or_default().insert(row.get(2), column);
    }
    Ok(facts)
}

async fn indexes(client: &Client, tables: &[SourceTable]) -> Result<Vec<LiveIndex>, SourceError> {
    const INDEXES: &str = r"
SELECT n.nspname, c.relname, i.relname, x.indisvalid,
  ARRAY(SELECT pg_get_indexdef(x.indexrelid, k, TRUE) FROM generate_series(1, x.indnkeyatts::int) k),
  pg_get_expr(x.indpred, x.indrelid, TRUE)
FROM unnest($1::text[], $2::text[]) AS w(schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
  JOIN pg_index x ON x.indrelid = c.oid
  JOIN pg_class i ON i.oid = x.indexrelid";
    let (schemas, names) = split(tables);
    let rows = client.query(INDEXES, &[&schemas, &names]).await?;
    Ok(rows
        .iter()
        .map(|row| LiveIndex {
            table: SourceTable { schema: row.get(0), name: row.get(1) },
            name: row.get(2),
            valid: row.get(3),
            keys: row.get(4),
            predicate: row.get(5),
        })
        .collect())
}

/// Triggers of capture; those of Lockstep's own tables belong to their migrations.
///
/// An object and its comment are made by one transaction, so both catalog rows have the same `xmin`, until somebody
/// changes one of them: `CREATE OR REPLACE` keeps the comment, and so does `ALTER TABLE … DISABLE TRIGGER`.
async fn triggers(client: &Client) -> Result<BTreeMap<(SourceTable, String), LiveObject>, SourceError> {
    const TRIGGERS: &str = r"
SELECT n.nspname, c.relname, t.tgname, COALESCE(d.description, ''), COALESCE(t.xmin = d.xmin, FALSE), t.tgenabled::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_description d ON d.classoid = 'pg_trigger'::regclass AND d.objoid = t.oid AND d.objsubid = 0
WHERE NOT t.tgisinternal AND n.nspname <> 'lockstep' AND (t.tgname LIKE 'lockstep\_%' OR t.tgname LIKE 'zz\_lockstep\_%')";
    let rows = client.query(TRIGGERS, &[]).await?;
    let live = |row: &Row| {
        let table = SourceTable { schema: row.get(0), name: row.get(1) };
        let enabled = row.get::<_, String>(5).chars().next();
        ((table, row.get(2)), LiveObject { fingerprint: row.get(3), untouched: row.get(4), enabled })
    };
    Ok(rows.iter().map(live).collect())
}

async fn functions(client: &Client, expected: &[CaptureObject]) -> Result<BTreeMap<String, LiveObject>, SourceError> {
    const FUNCTIONS: &str = r"
SELECT w.name, COALESCE(d.description, ''), COALESCE(p.xmin = d.xmin, FALSE)
FROM unnest($1::text[]) AS w(name) JOIN pg_proc p ON p.oid = to_regprocedure('lockstep.' || w.name)
  LEFT JOIN pg_description d ON d.classoid = 'pg_proc'::regclass AND d.objoid = p.oid AND d.objsubid = 0";
    let names: Vec<_> =
        expected.iter().filter(|object| object.table.is_none()).map(|object| object.name.as_str()).collect();
    let rows = client.query(FUNCTIONS, &[&names]).await?;
    let live = |row: &Row| LiveObject { fingerprint: row.get(1), untouched: row.get(2), enabled: None };
    Ok(rows.iter().map(|row| (row.get(0), live(row))).collect())
}

async fn captured(client: &Client) -> Result<BTreeSet<SourceTable>, SourceError> {
    let rows = client.query("SELECT schema_name, table_name FROM lockstep.captured_table", &[]).await?;
    Ok(rows.iter().map(|row| SourceTable { schema: row.get(0), name: row.get(1) }).collect())
}

/// The head is zero only before the first stamp of ours; numbers that were handed out before that are somebody else's.
async fn numbers_to_take_over(client: &Client, controlled: bool) -> Result<bool, SourceError> {
    let used: bool = client.query_one("SELECT is_called FROM public.global_seq_id", &[]).await?.get(0);
    if !used || !controlled {
        return Ok(used);
    }
    let fresh = client.query_one("SELECT last_sequence = 0 FROM lockstep.sequence_head", &[]).await?;
    Ok(fresh.get(0))
}

async fn tenancies_known(client: &Client) -> Result<bool, SourceError> {
    let sql = format!(
        "SELECT NOT EXISTS (SELECT 1 FROM {}.{} t WHERE NOT EXISTS (SELECT 1 FROM lockstep.tenancy_location l
           WHERE l.tenancy_id = t.\"id\" AND l.project_id = t.\"projectId\" AND l.branch_id = t.\"branchId\"))",
        identifier(&tenancy().schema),
        identifier(&tenancy().name)
    );
    Ok(client.query_one(&sql, &[]).await?.get(0))
}

async fn snapshots(client: &Client) -> Result<BTreeSet<String>, SourceError> {
    let rows = client.query("SELECT mapping_name FROM lockstep.snapshot WHERE destination = 'clickhouse'", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
