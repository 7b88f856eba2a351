//! What the live database has, from its catalogs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lockstep_core::destination_id::CLICKHOUSE;
use lockstep_mappings::postgres::capture::CaptureObject;
use lockstep_mappings::postgres::facts::{
    ColumnFacts, Misfit, SourceFacts, misfits_of, misfits_of_tenancies, tables_needed,
};
use lockstep_mappings::postgres::{capture, fetch, table, tenancy_table};
use lockstep_mappings::{Mapping, MappingSet, SourceTable};
use tokio_postgres::error::DbError;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::connect::{Session, Source};
use crate::definitions::{Recorded, recorded};
use crate::error::SourceError;
use crate::sqlstate::SqlStateKind;

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

/// A table that is captured, as it was when it was last looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Captured {
    /// See [`super::shape()`].
    pub shape: String,
    /// Its triggers name no column.
    pub relaxed: bool,
}

/// Everything that planning needs to know.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// `server_version_num`.
    pub server_version: i32,
    /// Tables and columns; missing tables have no entry.
    pub facts: SourceFacts,
    /// What Postgres refuses to read for a mapping whose columns are there, by its name: a label, an operator or a function
    /// that its expressions name.
    pub refused: BTreeMap<String, Misfit>,
    /// Of the tables that definitions name, by table and name: whether it is valid. A concurrent build that did not finish
    /// leaves one that is not.
    pub indexes: BTreeMap<(SourceTable, String), bool>,
    /// Lockstep's triggers by table and name.
    pub triggers: BTreeMap<(SourceTable, String), LiveObject>,
    /// Lockstep's functions by name with argument types, as `CaptureObject::name` has it.
    pub functions: BTreeMap<String, LiveObject>,
    /// Lockstep's event triggers, each with when it fires: `pg_event_trigger.evtenabled`.
    pub event_triggers: BTreeMap<String, char>,
    /// Whether the role may create event triggers: only superusers may, on every version and provider alike.
    pub may_watch_ddl: bool,
    /// Tables that are captured.
    pub captured: BTreeMap<SourceTable, Captured>,
    /// The targets that `lockstep.target` explains.
    pub targets: BTreeSet<i32>,
    /// Whether every tenancy has its place in `lockstep.tenancy_location`; none where only the catalog was looked at.
    pub tenancies_known: Option<bool>,
    /// Mappings that have a fill for ClickHouse, begun or finished.
    pub fills: BTreeSet<String>,
    /// What mappings were last set up as, by name.
    pub definitions: BTreeMap<String, Recorded>,
    /// Control migrations that were not run.
    pub pending_migrations: Vec<String>,
    /// Whether schema `lockstep` exists.
    pub is_controlled: bool,
}

impl Live {
    /// Everything because of which a mapping cannot be read.
    pub fn misfits_of(&self, mapping: &Mapping) -> Vec<Misfit> {
        let refused = self.refused.get(mapping.name.as_str()).cloned();
        misfits_of(mapping, &self.facts).into_iter().chain(refused).collect()
    }

    /// The tables whose triggers name no column.
    pub fn relaxed(&self) -> BTreeSet<SourceTable> {
        self.captured.iter().filter(|(_, captured)| captured.relaxed).map(|(table, _)| table.clone()).collect()
    }
}

/// Looks at the live database. Changes nothing. Reads the table of tenancies and their places whole: whoever does not plan what
/// is to be set up looks at the catalog alone.
///
/// # Errors
/// When it cannot be asked.
pub async fn inspect(source: &Source, set: &MappingSet) -> Result<Live, SourceError> {
    let client = source.connect(Session::Control).await?;
    let live = look(source, &client, set).await?;
    let is_readable = live.pending_migrations.is_empty() && misfits_of_tenancies(&live.facts).is_empty();
    let tenancies_known = Some(is_readable && tenancies_known(&client, PLANNED_WITHIN).await?);
    Ok(Live { tenancies_known, ..live })
}

/// The same without what is known of tenancies: costs the same however many there are.
///
/// # Errors
/// When it cannot be asked.
pub async fn inspect_catalog(source: &Source, set: &MappingSet) -> Result<Live, SourceError> {
    look(source, &source.connect(Session::Control).await?, set).await
}

async fn look(source: &Source, client: &Client, set: &MappingSet) -> Result<Live, SourceError> {
    let tables = tables_needed(set);
    // Asked before the facts: what is renamed in between is a misfit of the newer ones, which name it.
    let mut refused = refused(client, set).await?;
    let facts = facts(client, &tables).await?;
    let named = |mapping: &Mapping| !misfits_of(mapping, &facts).is_empty();
    set.iter().filter(|mapping| named(mapping)).for_each(|mapping| drop(refused.remove(mapping.name.as_str())));
    let pending_migrations = crate::migrations::pending(source, crate::migrations::Migrations::Control).await?;
    let controlled = pending_migrations.is_empty();
    // Without its tables, nothing of Lockstep's is there.
    let own = async |sql: &str, arguments: &[&(dyn ToSql + Sync)]| {
        if controlled { names(client, sql, arguments).await } else { Ok(BTreeSet::new()) }
    };
    let server: Row = client.query_one(SERVER, &[]).await?;
    let mut live = Live {
        server_version: server.get(0),
        indexes: indexes(client, &tables).await?,
        triggers: triggers(client).await?,
        event_triggers: event_triggers(client).await?,
        may_watch_ddl: server.get(1),
        targets: if controlled { targets(client).await? } else { BTreeSet::new() },
        tenancies_known: None,
        fills: own(FILLS, &[&CLICKHOUSE]).await?,
        definitions: if controlled { recorded(client, CLICKHOUSE).await? } else { BTreeMap::new() },
        is_controlled: server.get(2),
        captured: if controlled { captured(client).await? } else { BTreeMap::new() },
        refused,
        facts,
        pending_migrations,
        functions: BTreeMap::new(),
    };
    let mut expected = capture::objects(set, &live.facts, &live.relaxed());
    expected.push(capture::ddl_function(set));
    live.functions = functions(client, &expected).await?;
    Ok(live)
}

/// Lets Postgres itself say whether it can read what the definitions read. Nothing is read.
async fn refused(client: &Client, set: &MappingSet) -> Result<BTreeMap<String, Misfit>, SourceError> {
    let mut refused = BTreeMap::new();
    for mapping in set.iter() {
        let Err(error) = client.prepare(&fetch::plain_select(mapping)).await else { continue };
        // Names and values that a definition says; whatever else is wrong is no fault of a definition.
        let kind = |said: &DbError| SqlStateKind::of(said.code().code());
        let Some(said) = error.as_db_error().filter(|said| kind(said).is_of_statement() && !kind(said).is_passing())
        else {
            return Err(error.into());
        };
        let remedy = if kind(said) == SqlStateKind::Forbidden {
            "let a superuser run ALTER ROLE … BYPASSRLS for the role that Lockstep connects as, or grant it SELECT"
        } else {
            "migrate the platform to a version that has it, or correct the definition"
        };
        let misfit = Misfit {
            file: mapping.file.clone(),
            subject: format!("what it reads of \"{}\"", mapping.source.name),
            problem: said.message().to_owned(),
            remedy: remedy.to_owned(),
        };
        refused.insert(mapping.name.to_string(), misfit);
    }
    Ok(refused)
}

const SERVER: &str = "
SELECT current_setting('server_version_num')::int, rolsuper, to_regnamespace('lockstep') IS NOT NULL
FROM pg_roles WHERE rolname = current_user";

async fn names(client: &Client, sql: &str, arguments: &[&(dyn ToSql + Sync)]) -> Result<BTreeSet<String>, SourceError> {
    Ok(client.query(sql, arguments).await?.iter().map(|row| row.get(0)).collect())
}

async fn targets(client: &Client) -> Result<BTreeSet<i32>, SourceError> {
    Ok(client.query("SELECT id FROM lockstep.target", &[]).await?.iter().map(|row| row.get(0)).collect())
}

const FILLS: &str = "SELECT mapping_name FROM lockstep.fill WHERE destination = $1";

async fn event_triggers(client: &Client) -> Result<BTreeMap<String, char>, SourceError> {
    const EVENT_TRIGGERS: &str =
        r"SELECT evtname, evtenabled::text FROM pg_event_trigger WHERE evtname LIKE 'lockstep\_ddl\_%'";
    let rows = client.query(EVENT_TRIGGERS, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get::<_, String>(1).chars().next().unwrap_or_default())).collect())
}

fn split(tables: &[SourceTable]) -> (Vec<&str>, Vec<&str>) {
    tables.iter().map(|table| (table.schema.as_str(), table.name.as_str())).unzip()
}

/// Columns with their types, and what else decides how their changes are noticed.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn facts(client: &Client, tables: &[SourceTable]) -> Result<SourceFacts, SourceError> {
    const COLUMNS: &str = r"
SELECT n.nspname, c.relname, a.attname, t.typname, t.typtype = 'e', NOT a.attnotnull, a.attnum, a.attgenerated = 'v',
  ARRAY(SELECT e.oid || '=' || e.enumlabel FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.oid),
  c.relispartition OR EXISTS (SELECT 1 FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)),
  -- Row (1), before (2), update (16).
  EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgtype & 19 = 19),
  pg_relation_filenode(c.oid), b.typmod, b.is_array,
  EXISTS (SELECT 1 FROM pg_collation l WHERE l.oid = a.attcollation AND NOT l.collisdeterministic)
FROM unnest($1::text[], $2::text[]) AS w(schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind = 'r'
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  -- Behind domains, and of an array what its elements are.
  CROSS JOIN LATERAL (WITH RECURSIVE behind (oid, typmod, is_array, depth) AS (
      SELECT a.atttypid, a.atttypmod, FALSE, 0
      UNION ALL SELECT CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.typelem END,
        CASE WHEN b.typmod = -1 THEN y.typtypmod ELSE b.typmod END, b.is_array OR y.typtype <> 'd', b.depth + 1
      FROM behind b JOIN pg_type y ON y.oid = b.oid
      WHERE y.typtype = 'd' OR (y.typcategory = 'A' AND y.typlen = -1 AND y.typelem <> 0 AND NOT b.is_array))
    SELECT * FROM behind ORDER BY depth DESC LIMIT 1) b
  JOIN pg_type t ON t.oid = b.oid";
    let (schemas, names) = split(tables);
    let mut facts = SourceFacts::new();
    for row in client.query(COLUMNS, &[&schemas, &names]).await? {
        let column = ColumnFacts {
            typname: row.get(3),
            is_enum: row.get(4),
            nullable: row.get(5),
            number: row.get(6),
            is_virtual: row.get(7),
            labels: row.get(8),
            typmod: row.get(12),
            is_array: row.get(13),
            equates_texts: row.get(14),
        };
        let table = facts.entry(SourceTable { schema: row.get(0), name: row.get(1) }).or_default();
        table.columns.insert(row.get(2), column);
        (table.is_inherited, table.has_before_update, table.filenode) = (row.get(9), row.get(10), row.get(11));
    }
    Ok(facts)
}

async fn indexes(
    client: &Client,
    tables: &[SourceTable],
) -> Result<BTreeMap<(SourceTable, String), bool>, SourceError> {
    const INDEXES: &str = r"
SELECT n.nspname, c.relname, i.relname, x.indisvalid
FROM unnest($1::text[], $2::text[]) AS w(schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
  JOIN pg_index x ON x.indrelid = c.oid
  JOIN pg_class i ON i.oid = x.indexrelid";
    let (schemas, names) = split(tables);
    let rows = client.query(INDEXES, &[&schemas, &names]).await?;
    let live = |row: &Row| ((SourceTable { schema: row.get(0), name: row.get(1) }, row.get(2)), row.get(3));
    Ok(rows.iter().map(live).collect())
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
WHERE NOT t.tgisinternal AND n.nspname <> 'lockstep' AND t.tgname LIKE 'lockstep\_%'";
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

async fn captured(client: &Client) -> Result<BTreeMap<SourceTable, Captured>, SourceError> {
    let rows = client.query("SELECT schema_name, table_name, shape, relaxed FROM lockstep.captured_table", &[]).await?;
    let captured = |row: &Row| {
        let table = SourceTable { schema: row.get(0), name: row.get(1) };
        (table, Captured { shape: row.get(2), relaxed: row.get(3) })
    };
    Ok(rows.iter().map(captured).collect())
}

/// How long it may take to find out whether a step is needed: a second for each million tenancies.
const PLANNED_WITHIN: Duration = Duration::from_secs(30 * 60);

/// Whether every tenancy has its place in `lockstep.tenancy_location`. Reads both whole, where it is so.
///
/// # Errors
/// When Postgres cannot be asked; [`SqlStateKind::Cancelled`] where it takes longer than `limit`.
pub async fn tenancies_known(client: &Client, limit: Duration) -> Result<bool, SourceError> {
    let sql = format!(
        "SELECT NOT EXISTS (SELECT 1 FROM {} t WHERE NOT EXISTS (SELECT 1 FROM lockstep.tenancy_location l
           WHERE l.tenancy_id = t.\"id\" AND l.project_id = t.\"projectId\" AND l.branch_id = t.\"branchId\"))",
        table(&tenancy_table())
    );
    client.batch_execute(&format!("BEGIN; SET LOCAL statement_timeout = {}", limit.as_millis())).await?;
    let asked = client.query_one(&sql, &[]).await;
    client.batch_execute("ROLLBACK").await?;
    Ok(asked?.get(0))
}
