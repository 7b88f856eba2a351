//! The verifier's own view of the source: every exported column as canonical text, in an order that both sides share.
//!
//! Canonical text: uuid in lower case, bool as 0 or 1, timestamps as milliseconds since 1970, integers in decimal, floats
//! as the hexadecimal digits of their bits, text and JSON as they are. Independent of the worker's fetch query on purpose.

mod claims;

use lockstep_core::Location;

pub use self::claims::claims;
use super::names::{CONTROL_SCHEMA, TENANCY_TOUCH, capture_columns, tenancy_table};
use super::quote::{identifier, literal, table};
use super::{row, touch};
use crate::column_type::BaseType;
use crate::mapping::{Column, Join, Mapping};

/// A row, however many tenancies share its location: where it is, and its key as canonical text, in order.
///
/// Postgres holds no NUL in a text: a key with one must not get here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// Project and branch.
    pub location: Location,
    /// The values of the key columns.
    pub values: Vec<String>,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// Every row.
    All,
    /// Rows at these locations. Whole locations, because tenancies can share one.
    Locations(&'a [Location]),
    /// Rows with these keys.
    Keys(&'a [Key]),
}

pub(super) fn canonical(base: BaseType, value: &str) -> String {
    match base {
        BaseType::Bool => format!("CASE WHEN {value} THEN '1' WHEN NOT {value} THEN '0' END"),
        // What DateTime64(3) holds, floored to milliseconds.
        BaseType::Timestamp => format!(
            // GREATEST and LEAST pass nulls over: without the condition a null would become the lower limit.
            "CASE WHEN {value} IS NOT NULL THEN floor(extract(epoch FROM LEAST(GREATEST({value}, '1900-01-01'), '2299-12-31 23:59:59.999')) * 1000)::bigint::text END"
        ),
        BaseType::Float64 => format!("encode(float8send({value}), 'hex')"),
        _ => format!("({value})::text"),
    }
}

fn canonical_column(column: &Column) -> String {
    canonical(column.column_type.base, &format!("c.{}", identifier(&column.name)))
}

/// Sorts as the canonical text does, byte by byte. A uuid does so by itself, and is sorted before it becomes text.
fn order(column: &Column) -> String {
    match column.column_type.base {
        BaseType::Uuid => format!("c.{}", identifier(&column.name)),
        _ => format!("{} COLLATE \"C\"", canonical_column(column)),
    }
}

/// Every row of the mapping that has an owner, as binary `COPY`: `project_id`, `branch_id`, each column as canonical
/// text, then `tenancy_id uuid`, `sequence int8?`, `waiting bool`; ordered by location and key, byte by byte.
///
/// A row waits to be stamped when it is flagged; where keys are asked for, also when a touch that concerns it is pending.
pub fn rows(mapping: &Mapping, scope: Scope<'_>) -> String {
    let (sequence, flag) = capture_columns("s");
    let columns: Vec<_> = mapping.columns.iter().map(canonical_column).collect();
    let order: Vec<_> = ["c.project_id COLLATE \"C\"".to_owned(), "c.branch_id COLLATE \"C\"".to_owned()]
        .into_iter()
        .chain(mapping.key_columns().map(order))
        .collect();
    let (wanted, same, waiting) = match scope {
        Scope::All => (String::new(), String::new(), flag),
        Scope::Locations(locations) => (String::new(), format!(" AND {}", in_locations(locations)), flag),
        Scope::Keys(keys) => (
            format!("{} JOIN ", wanted(mapping, keys)),
            format!(" AND {} AND {}", at_wanted("t"), key_is_wanted(mapping, "s")),
            format!("({flag} OR {})", touched(mapping)),
        ),
    };
    // The condition on keys stands in WHERE: an inner join has no other meaning there.
    let on = if wanted.is_empty() { String::new() } else { " ON TRUE".to_owned() };
    format!(
        "COPY (\nSELECT c.project_id, c.branch_id, {columns}, c.tenancy_id, c.sequence, c.waiting\nFROM (SELECT t.\"projectId\" AS project_id, t.\"branchId\" AS branch_id, t.\"id\" AS tenancy_id, {sequence} AS sequence, {waiting} AS waiting, {exported}\n  FROM {wanted}{tenancies} t{on} JOIN {source} s ON {belongs}{joins}\n  WHERE TRUE{filter}{same}) c\nORDER BY {order}\n) TO STDOUT (FORMAT binary)",
        columns = columns.join(", "),
        exported = row::select_list(mapping, "s"),
        tenancies = table(&tenancy_table()),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        joins = row::joins(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
        order = order.join(", "),
    )
}

fn location(location: &Location) -> String {
    format!("{}, {}", literal(&location.project_id), literal(&location.branch_id))
}

fn in_locations(locations: &[Location]) -> String {
    let list: Vec<_> = locations.iter().map(|at| format!("({})", location(at))).collect();
    if list.is_empty() {
        "FALSE".to_owned()
    } else {
        format!("(t.\"projectId\", t.\"branchId\") IN ({})", list.join(", "))
    }
}

/// The keys as a table `w (project_id, branch_id, k1, …)`, each value in the type of its column, so that indexes serve.
fn wanted(mapping: &Mapping, keys: &[Key]) -> String {
    let casts: Vec<_> = mapping.key_columns().map(|column| column.column_type.base.postgres_cast()).collect();
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            let values: Vec<_> =
                key.values.iter().zip(&casts).map(|(value, cast)| format!("{}::{cast}", literal(value))).collect();
            format!("({}, {})", location(&key.location), values.join(", "))
        })
        .collect();
    let names: Vec<_> = (1..=casts.len()).map(|index| format!("k{index}")).collect();
    let rows = if rows.is_empty() {
        let nulls: Vec<_> = casts.iter().map(|cast| format!("NULL::{cast}")).collect();
        format!("SELECT NULL, NULL, {} WHERE FALSE", nulls.join(", "))
    } else {
        format!("VALUES {}", rows.join(", "))
    };
    format!("({rows}) w(project_id, branch_id, {})", names.join(", "))
}

/// The condition that the tenancy `alias` is at the location of `w`.
fn at_wanted(alias: &str) -> String {
    format!("{alias}.\"projectId\" = w.project_id AND {alias}.\"branchId\" = w.branch_id")
}

/// The condition that the source row `alias` has the key of `w`.
fn key_is_wanted(mapping: &Mapping, alias: &str) -> String {
    let same: Vec<_> = mapping
        .key_sources()
        .zip(1..)
        .map(|((column, source), index)| {
            format!("({alias}.{})::{} = w.k{index}", identifier(source), column.column_type.base.postgres_cast())
        })
        .collect();
    same.join(" AND ")
}

/// The condition that a touch is pending that will stamp the row `s` of the tenancy `t`.
fn touched(mapping: &Mapping) -> String {
    let joins: Vec<_> = mapping.joins.iter().map(|join| touched_through(mapping, join)).collect();
    format!(
        "EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.touch u WHERE u.tenancy_id = t.\"id\" AND CASE u.target WHEN {} THEN TRUE{} ELSE FALSE END)",
        literal(TENANCY_TOUCH),
        joins.concat()
    )
}

/// One branch of a CASE, because a match key can be cast to the type of its own join only.
fn touched_through(mapping: &Mapping, join: &Join) -> String {
    let cast = join.match_type.base.postgres_cast();
    format!(
        " WHEN {} THEN ({})::{cast} = (u.match_key)::{cast}",
        literal(&touch::target(mapping, join)),
        row::render(&join.here, "s")
    )
}

#[cfg(test)]
mod tests;
