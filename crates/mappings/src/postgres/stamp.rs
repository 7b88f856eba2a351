//! Stamping: flagged rows get their place in the global order.
//!
//! Only ever run under the ordering lock (SEQ-1) with [`super::STAMPING_SETTING`] on. Rows that another transaction
//! holds are skipped, not waited for: the ordering lock must not wait for applications.

use std::fmt::Write as _;

use super::names::{FLAG_COLUMN, SEQUENCE, SEQUENCE_COLUMN, deleted_row_table, tenancy_table};
use super::quote::{identifier, literal, table};
use super::row;
use crate::mapping::{Mapping, SourceTable};
use crate::set::MappingSet;

/// How strongly picked rows are locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowLock {
    /// Does not conflict with foreign-key checks of other transactions. Right where the sequence column is in no unique index.
    NoKeyUpdate,
    /// What an update of a column in a unique index takes; anything weaker would let the update wait.
    Update,
}

impl RowLock {
    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::NoKeyUpdate => "FOR NO KEY UPDATE SKIP LOCKED",
            Self::Update => "FOR UPDATE SKIP LOCKED",
        }
    }
}

/// How flagged rows are picked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// As the index has them. Parameters: `$1 bigint` rows.
    Any,
    /// The same share for each of the given tenants. Parameters: `$1 bigint` rows a tenant, then the tenants: one array
    /// for each column that [`flagged_tenants`] returned.
    Fair,
}

/// One statement that asks every table at once whether it has flagged rows: one row with one `bool` a table, in the
/// order of [`stamped_tables`], then one for touches.
pub fn pending(set: &MappingSet) -> String {
    let mut sql = "SELECT ".to_owned();
    for source in stamped_tables(set) {
        let _ = write!(sql, "EXISTS (SELECT 1 FROM {} WHERE \"{FLAG_COLUMN}\"),\n  ", table(&source));
    }
    sql.push_str("EXISTS (SELECT 1 FROM lockstep.touch)");
    sql
}

/// Every table whose rows are stamped: tombstones first, then the source tables by name.
pub fn stamped_tables(set: &MappingSet) -> Vec<SourceTable> {
    std::iter::once(deleted_row_table()).chain(set.by_source().into_keys().cloned()).collect()
}

/// Stamps flagged rows of one source table. Returns one row a tenancy: `tenancy_id uuid?` (null: ownerless rows),
/// `stamped_rows bigint`, `last_sequence bigint`, `news bool[]` (one a mapping of `mappings`, in order).
pub fn rows(mappings: &[&Mapping], pick: Pick, lock: RowLock) -> String {
    let Some(first) = mappings.first() else { return String::new() };
    let picked = match pick {
        Pick::Any => any_pick(&first.source, lock),
        Pick::Fair => fair_pick(&first.source, &row::tenant_columns(&first.tenant), lock),
    };
    format!("WITH {picked},\n{}", stamp_picked(mappings))
}

/// Given a CTE `picked(ctid)`, stamps those rows and sums them up by tenancy.
pub(super) fn stamp_picked(mappings: &[&Mapping]) -> String {
    let Some(first) = mappings.first() else { return String::new() };
    let tenant: Vec<_> =
        row::tenant_columns(&first.tenant).iter().map(|column| format!("s.{}", identifier(column))).collect();
    let news: Vec<_> = mappings
        .iter()
        .map(|mapping| {
            let filter = mapping.filter.as_ref().map_or("TRUE".to_owned(), |filter| row::render(filter, "s"));
            format!("(({filter}) IS TRUE)")
        })
        .collect();
    let any_news: Vec<_> = (1..=mappings.len()).map(|index| format!("bool_or(s.news[{index}])")).collect();
    format!(
        "stamped AS (UPDATE {source} s SET \"{SEQUENCE_COLUMN}\" = nextval('{SEQUENCE}'), \"{FLAG_COLUMN}\" = FALSE\n  FROM picked WHERE s.ctid = picked.ctid\n  RETURNING {tenant}, s.\"{SEQUENCE_COLUMN}\", ARRAY[{news}] AS news)\nSELECT t.\"id\" AS tenancy_id, count(*) AS stamped_rows, max(s.\"{SEQUENCE_COLUMN}\") AS last_sequence, ARRAY[{any_news}] AS news\nFROM stamped s LEFT JOIN {tenancies} t ON {belongs}\nGROUP BY t.\"id\"",
        source = table(&first.source),
        tenant = tenant.join(", "),
        news = news.join(", "),
        any_news = any_news.join(", "),
        tenancies = table(&tenancy_table()),
        belongs = row::belongs(first, "s"),
    )
}

fn any_pick(source: &SourceTable, lock: RowLock) -> String {
    let (source, lock) = (table(source), lock.sql());
    format!("picked AS MATERIALIZED (SELECT s.ctid FROM {source} s WHERE s.\"{FLAG_COLUMN}\" LIMIT $1 {lock})")
}

/// The same number of rows of each given tenant, so that one with a million flagged rows costs a share like any other.
fn fair_pick(source: &SourceTable, tenant: &[&str], lock: RowLock) -> String {
    let names: Vec<_> = (1..=tenant.len()).map(|index| format!("k{index}")).collect();
    let arrays: Vec<_> =
        (0..tenant.len()).map(|index| format!("${}::{}[]", index + 2, position_type(tenant))).collect();
    let same: Vec<_> =
        tenant.iter().zip(&names).map(|(column, name)| format!("s.{} = w.{name}", identifier(column))).collect();
    format!(
        "picked AS MATERIALIZED (SELECT p.ctid FROM unnest({arrays}) AS w({names})\n  CROSS JOIN LATERAL (SELECT s.ctid FROM {source} s WHERE s.\"{FLAG_COLUMN}\" AND {same} LIMIT $1 {lock}) p)",
        arrays = arrays.join(", "),
        names = names.join(", "),
        source = table(source),
        same = same.join(" AND "),
        lock = lock.sql(),
    )
}

/// Tenants are told apart by one uuid, or by project and branch.
fn position_type(tenant: &[&str]) -> &'static str {
    if tenant.len() == 1 { "uuid" } else { "text" }
}

/// The tenants with flagged rows that follow a position, in order: `k1` (and `k2`), of type uuid, or text where there
/// are two. Parameters: `$1 bigint` tenants, then the position, of the same types.
///
/// Walks the flagged index from tenant to tenant, so its cost is that of the tenants, not of their rows.
pub fn flagged_tenants(mappings: &[&Mapping]) -> String {
    mappings.first().map_or_else(String::new, |first| walk(&first.source, &row::tenant_columns(&first.tenant)))
}

/// As [`flagged_tenants`], for tombstones.
pub fn flagged_tombstone_tenants() -> String {
    walk(&deleted_row_table(), &["tenancyId"])
}

fn walk(source: &SourceTable, tenant: &[&str]) -> String {
    let list = |items: Vec<String>| if items.len() == 1 { items.concat() } else { format!("({})", items.join(", ")) };
    let columns: Vec<_> = tenant.iter().map(|column| format!("s.{}", identifier(column))).collect();
    let names: Vec<_> = (1..=tenant.len()).map(|index| format!("k{index}")).collect();
    let position = (0..tenant.len()).map(|index| format!("${}::{}", index + 2, position_type(tenant))).collect();
    let last = names.iter().map(|name| format!("w.{name}")).collect();
    let next = |after: String| {
        let columns = columns.join(", ");
        let row = list(tenant.iter().map(|column| format!("s.{}", identifier(column))).collect());
        format!(
            "SELECT {columns} FROM {} s WHERE s.\"{FLAG_COLUMN}\" AND {row} > {after} ORDER BY {columns} LIMIT 1",
            table(source)
        )
    };
    format!(
        "WITH RECURSIVE walk({names}) AS (\n  ({first})\n  UNION ALL\n  SELECT n.* FROM walk w CROSS JOIN LATERAL ({following}) n)\nSELECT {names} FROM walk LIMIT $1",
        names = names.join(", "),
        first = next(list(position)),
        following = next(list(last)),
    )
}

/// Stamps flagged tombstones. Returns `tenancy_id uuid`, `table_name text`, `stamped_rows bigint`, `last_sequence bigint`.
pub fn tombstones(pick: Pick, lock: RowLock) -> String {
    let deleted = table(&deleted_row_table());
    let picked = match pick {
        Pick::Any => any_pick(&deleted_row_table(), lock),
        Pick::Fair => fair_pick(&deleted_row_table(), &["tenancyId"], lock),
    };
    format!(
        "WITH {picked},\nstamped AS (UPDATE {deleted} s SET \"{SEQUENCE_COLUMN}\" = nextval('{SEQUENCE}'), \"{FLAG_COLUMN}\" = FALSE\n  FROM picked WHERE s.ctid = picked.ctid\n  RETURNING s.\"tenancyId\", s.\"tableName\", s.\"{SEQUENCE_COLUMN}\")\nSELECT s.\"tenancyId\" AS tenancy_id, s.\"tableName\" AS table_name, count(*) AS stamped_rows, max(s.\"{SEQUENCE_COLUMN}\") AS last_sequence\nFROM stamped s GROUP BY 1, 2"
    )
}

/// Opens a stamping transaction: waits for the ordering lock, which is held until commit (SEQ-1), and lets the
/// sequencer's own updates pass the triggers.
pub fn open() -> [String; 2] {
    [
        format!("SELECT pg_advisory_xact_lock({ORDERING_LOCK})"),
        format!("SELECT set_config({}, 'on', true)", literal(super::STAMPING_SETTING)),
    ]
}

/// The advisory lock that puts stamping transactions in order: the bytes of `lockstep`.
pub const ORDERING_LOCK: i64 = i64::from_be_bytes(*b"lockstep");
/// The advisory lock that the leading sequencer holds: the bytes of `lockseqr`.
pub const LEADER_LOCK: i64 = i64::from_be_bytes(*b"lockseqr");
