//! The verifier's own view of the source: every exported column as canonical text, in an order that both sides share.
//!
//! Canonical text: uuid in lower case, bool as 0 or 1, timestamps as milliseconds since 1970, integers in decimal, floats
//! as the hexadecimal digits of their bits, text and JSON as they are. Independent of the worker's fetch query on purpose.

use lockstep_core::Location;

use super::names::{capture_columns, tenancy_table};
use super::quote::{identifier, literal, table};
use super::{row, tombstone};
use crate::column_type::BaseType;
use crate::mapping::{Column, Mapping};

/// What is compared. Both bounds hold at once.
#[derive(Clone, Copy, Default, Debug)]
pub struct Scope<'a> {
    /// Only rows at these locations. Whole locations, because tenancies can share one.
    pub locations: Option<&'a [Location]>,
    /// Only these keys, as canonical text: location, then the key's values in order.
    pub keys: Option<&'a [(Location, Vec<String>)]>,
}

fn canonical(base: BaseType, value: &str) -> String {
    match base {
        BaseType::Bool => format!("CASE WHEN {value} THEN '1' WHEN NOT {value} THEN '0' END"),
        // What DateTime64(3) holds, floored to milliseconds.
        BaseType::Timestamp => format!(
            "floor(extract(epoch FROM LEAST(GREATEST({value}, '1900-01-01'), '2299-12-31 23:59:59.999')) * 1000)::bigint::text"
        ),
        BaseType::Float64 => format!("encode(float8send({value}), 'hex')"),
        _ => format!("({value})::text"),
    }
}

fn canonical_column(column: &Column) -> String {
    canonical(column.column_type.base, &format!("c.{}", identifier(&column.name)))
}

/// Every row of the mapping that has an owner, as binary `COPY`: `project_id`, `branch_id`, each column as canonical
/// text, then `tenancy_id uuid`, `sequence int8?`, `flagged bool`; ordered by location and key, byte by byte.
pub fn rows(mapping: &Mapping, scope: Scope<'_>) -> String {
    let (sequence, flag) = capture_columns("s");
    let columns: Vec<_> = mapping.columns.iter().map(canonical_column).collect();
    let keys: Vec<_> = mapping.key_columns().map(canonical_column).collect();
    let order: Vec<_> = ["c.project_id".to_owned(), "c.branch_id".to_owned()]
        .into_iter()
        .chain(keys.iter().cloned())
        .map(|key| format!("{key} COLLATE \"C\""))
        .collect();
    format!(
        "COPY (\nSELECT c.project_id, c.branch_id, {columns}, c.tenancy_id, c.sequence, c.flagged\nFROM (SELECT t.\"projectId\" AS project_id, t.\"branchId\" AS branch_id, t.\"id\" AS tenancy_id, {sequence} AS sequence, {flag} AS flagged, {exported}\n  FROM {tenancies} t JOIN {source} s ON {belongs}{joins}\n  WHERE TRUE{filter}{locations}) c\nWHERE TRUE{some_keys}\nORDER BY {order}\n) TO STDOUT (FORMAT binary)",
        columns = columns.join(", "),
        exported = row::select_list(mapping, "s"),
        tenancies = table(&tenancy_table()),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        joins = row::joins(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
        locations = in_locations(scope.locations),
        some_keys = in_keys(scope.keys, &keys),
        order = order.join(", "),
    )
}

fn location(location: &Location) -> String {
    format!("{}, {}", literal(&location.project_id), literal(&location.branch_id))
}

fn in_locations(locations: Option<&[Location]>) -> String {
    locations.map_or_else(String::new, |locations| {
        let list: Vec<_> = locations.iter().map(|at| format!("({})", location(at))).collect();
        if list.is_empty() {
            " AND FALSE".to_owned()
        } else {
            format!(" AND (t.\"projectId\", t.\"branchId\") IN ({})", list.join(", "))
        }
    })
}

fn in_keys(wanted: Option<&[(Location, Vec<String>)]>, keys: &[String]) -> String {
    wanted.map_or_else(String::new, |wanted| {
        let list: Vec<_> = wanted.iter().map(|(at, key)| format!("({}, {})", location(at), literals(key))).collect();
        if list.is_empty() {
            " AND FALSE".to_owned()
        } else {
            format!(" AND (c.project_id, c.branch_id, {}) IN ({})", keys.join(", "), list.join(", "))
        }
    })
}

fn literals(key: &[String]) -> String {
    key.iter().map(|value| literal(value)).collect::<Vec<_>>().join(", ")
}

/// What is still to come for keys that are not in the source: `project_id`, `branch_id`, the key as canonical text,
/// then `last_sequence bigint?` and `flagged bool` over their tombstones. An ordinary query, no `COPY`.
pub fn tombstones(mapping: &Mapping, wanted: &[(Location, Vec<String>)]) -> String {
    let (sequence, flag) = capture_columns("d");
    let keys: Vec<_> = mapping
        .key_columns()
        .map(|column| canonical(column.column_type.base, &format!("k.{}", identifier(&column.name))))
        .collect();
    let names: Vec<_> = (1..=keys.len()).map(|index| format!("k{index}")).collect();
    let named: Vec<_> = keys.iter().zip(&names).map(|(key, name)| format!("{key} AS {name}")).collect();
    let branches: Vec<_> = tombstone::table_names(mapping)
        .map(|name| {
            format!(
                "SELECT {named}, {sequence} AS sequence, {flag} AS flagged {from_where}",
                named = named.join(", "),
                from_where = tombstone::from_where(mapping, name, "t.\"id\""),
            )
        })
        .collect();
    let list: Vec<_> = wanted.iter().map(|(at, key)| format!("({}, {})", location(at), literals(key))).collect();
    let qualified: Vec<_> = names.iter().map(|name| format!("c.{name}")).collect();
    format!(
        "SELECT t.\"projectId\", t.\"branchId\", {qualified}, max(c.sequence), bool_or(c.flagged)\nFROM {tenancies} t CROSS JOIN LATERAL (\n{branches}) c\nWHERE (t.\"projectId\", t.\"branchId\", {qualified}) IN ({list})\nGROUP BY t.\"projectId\", t.\"branchId\", {qualified}",
        qualified = qualified.join(", "),
        tenancies = table(&tenancy_table()),
        branches = branches.join("\nUNION ALL\n"),
        list = if list.is_empty() { "(NULL)".to_owned() } else { list.join(", ") },
    )
}
