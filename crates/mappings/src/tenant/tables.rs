//! The tables of a tenant's database: made, found, judged, and given the columns that a definition has gained.

use super::{columns, literal, table};
use crate::mapping::{Column, Mapping};
use crate::postgres::identifier;

/// Makes the table of a mapping: readable by everyone, writable by its owner alone.
pub fn create(mapping: &Mapping) -> Vec<String> {
    let one = |column: &Column| {
        let not_null = if column.column_type.nullable { "" } else { " NOT NULL" };
        format!("{} {}{not_null}", identifier(&column.name), column.column_type.postgres())
    };
    let all: Vec<_> = mapping.columns.iter().map(one).collect();
    let name = table(mapping);
    vec![
        format!("CREATE TABLE {name} ({}, PRIMARY KEY ({}))", all.join(", "), columns("", mapping.key_columns())),
        format!("REVOKE ALL ON {name} FROM PUBLIC"),
        format!("GRANT SELECT ON {name} TO PUBLIC"),
    ]
}

/// Adds columns. They can be null, whatever the definition says: until the rows were read again, nothing is known of them.
pub fn add_columns(mapping: &Mapping, gained: &[&Column]) -> String {
    let one = |column: &&Column| format!("ADD COLUMN {} {}", identifier(&column.name), column.column_type.postgres());
    format!("ALTER TABLE {} {}", table(mapping), gained.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// Who may write to the table beside its owner, since the database gives new tables such rights by default: one row each,
/// the name of a role.
pub fn writers(mapping: &Mapping) -> String {
    format!(
        "SELECT DISTINCT pg_catalog.pg_get_userbyid(a.grantee) FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a WHERE c.oid = {}::regclass AND a.grantee <> 0 AND a.grantee <> c.relowner AND a.privilege_type <> 'SELECT'",
        literal(&table(mapping))
    )
}

/// Leaves a role the right to read alone.
pub fn revoke(mapping: &Mapping, role: &str) -> String {
    format!(
        "REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON {} FROM {}",
        table(mapping),
        identifier(role)
    )
}

/// What stands in the place of a mapping's table.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FoundTable {
    /// `pg_class.relkind`.
    pub kind: String,
    /// `pg_class.relpersistence`.
    pub persistence: String,
    /// It is a part of a partitioned table, or others inherit from it.
    pub is_part: bool,
    /// Whether we may do with it what its owner may.
    pub is_ours: bool,
    /// A policy hides rows of it from us.
    pub hides_rows: bool,
    /// In order.
    pub columns: Vec<FoundColumn>,
}

/// A column of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FoundColumn {
    /// Its name.
    pub name: String,
    /// As `format_type` prints it.
    pub sql_type: String,
    /// It takes no null, and nothing stands where no value is given.
    pub needs_value: bool,
    /// Its values are computed.
    pub is_generated: bool,
    /// Its place in the primary key, from 1.
    pub key_place: Option<usize>,
}

/// Looks for what stands in a mapping's place: a row for each column, in the order of [`FoundTable`]'s fields and
/// [`FoundColumn`]'s. A table without columns is one row with nulls; without rows there is nothing.
pub fn find(mapping: &Mapping) -> String {
    format!(
        "SELECT c.relkind, c.relpersistence, c.relispartition OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid OR i.inhrelid = c.oid), pg_catalog.pg_has_role(c.relowner, 'USAGE'), c.relkind = 'r' AND pg_catalog.row_security_active(c.oid), a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', a.attgenerated <> '', pg_catalog.array_position(p.conkey, a.attnum)\nFROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_catalog.pg_constraint p ON p.conrelid = c.oid AND p.contype = 'p' AND NOT p.condeferrable\nWHERE c.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public') AND c.relname = {} AND c.relkind NOT IN ('i', 'I', 't')\nORDER BY a.attnum",
        literal(mapping.name.as_str())
    )
}

/// What the server says of itself and of us: one row, `version` as a number, whether it takes writes, whether the connection
/// is encrypted, whether we may create tables (null: there is no schema `public`) and temporary ones, and how many connections are free.
pub fn facts() -> String {
    "SELECT pg_catalog.current_setting('server_version_num'), NOT pg_catalog.pg_is_in_recovery() AND pg_catalog.current_setting('transaction_read_only') = 'off', COALESCE((SELECT s.ssl FROM pg_catalog.pg_stat_ssl s WHERE s.pid = pg_catalog.pg_backend_pid()), FALSE), (SELECT pg_catalog.has_schema_privilege(n.oid, 'CREATE') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public'), pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY'), pg_catalog.current_setting('max_connections')::bigint - pg_catalog.current_setting('superuser_reserved_connections')::bigint - (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.backend_type = 'client backend' OR a.backend_type IS NULL)".to_owned()
}

/// How what was found stands to a definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shape<'a> {
    /// It fits.
    Fits,
    /// The definition has gained columns.
    Lacks(Vec<&'a Column>),
    /// Another table, in words.
    Misfit(Vec<String>),
}

/// Judges what was found. A tenant's own indexes, triggers and views, columns that can be left out, and what it has relaxed or
/// tightened are its own business.
pub fn judge<'a>(mapping: &'a Mapping, found: &FoundTable) -> Shape<'a> {
    let mut misfits = of_table(found);
    if misfits.is_empty() {
        misfits = of_columns(mapping, found);
    }
    if !misfits.is_empty() {
        return Shape::Misfit(misfits);
    }
    let is_there = |column: &Column| found.columns.iter().any(|there| there.name == column.name);
    let gained: Vec<_> = mapping.columns.iter().filter(|column| !is_there(column)).collect();
    if gained.is_empty() { Shape::Fits } else { Shape::Lacks(gained) }
}

fn of_table(found: &FoundTable) -> Vec<String> {
    let kind = match found.kind.as_str() {
        "r" => None,
        "p" => Some("it is partitioned"),
        "f" => Some("it is a foreign table"),
        "v" => Some("it is a view"),
        "m" => Some("it is a materialized view"),
        _ => Some("it is no table"),
    };
    let persistence = match found.persistence.as_str() {
        "u" => Some("it is unlogged: a crash would empty it"),
        "t" => Some("it is temporary"),
        _ => None,
    };
    let others = [
        (found.is_part, "it is a part of another table, or others are parts of it"),
        (!found.is_ours, "it belongs to another role"),
        (found.hides_rows, "row level security is forced on its owner and hides rows"),
    ];
    let others = others.into_iter().filter_map(|(is_so, words)| is_so.then_some(words));
    kind.into_iter().chain(persistence).chain(others).map(str::to_owned).collect()
}

fn of_columns(mapping: &Mapping, found: &FoundTable) -> Vec<String> {
    let mut misfits = Vec::new();
    for there in &found.columns {
        let column = mapping.columns.iter().find(|column| column.name == there.name);
        let shown = shorten(&there.name);
        match column {
            Some(column) if there.sql_type != column.column_type.postgres() => {
                let (is, wanted) = (shorten(&there.sql_type), column.column_type.postgres());
                misfits.push(format!("column {shown} is {is}, not {wanted}"));
            }
            Some(_) if there.is_generated => misfits.push(format!("column {shown} is generated")),
            None if there.needs_value && !there.is_generated => {
                misfits.push(format!("column {shown} is not of the mapping, takes no null and has no default"));
            }
            _ => {}
        }
    }
    let mut key: Vec<_> =
        found.columns.iter().filter_map(|column| Some((column.key_place?, column.name.as_str()))).collect();
    key.sort_unstable();
    if !key.iter().map(|(_, name)| *name).eq(mapping.key_columns().map(|column| column.name.as_str())) {
        let wanted: Vec<_> = mapping.key_columns().map(|column| column.name.as_str()).collect();
        misfits.push(format!("its primary key is not ({})", wanted.join(", ")));
    }
    misfits
}

/// A name that a tenant gave, as far as it is shown: short, and without what could change a terminal.
fn shorten(name: &str) -> String {
    const MAX_SHOWN: usize = 63;
    name.chars().map(|letter| if letter.is_control() { '?' } else { letter }).take(MAX_SHOWN).collect()
}
