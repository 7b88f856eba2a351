//! The verifier's own view of the source: every exported column as canonical text, in an order that both sides share.
//!
//! Canonical text: uuid in lower case, bool as 0 or 1, timestamps as milliseconds or microseconds since 1970, days as
//! YYYY-MM-DD, integers in decimal, decimals without trailing zeros, floats and bytes in hexadecimal digits, everything else as
//! it is exported. Independent of the worker's fetch query on purpose.

mod claims;
mod evidence;
mod own;
mod part;
mod scope;
mod totals;

use lockstep_core::Location;

pub(super) use self::claims::searches;
pub use self::claims::{claims, own_claims};
pub use self::evidence::{not_seen, own_written, owners, written};
pub use self::own::own_rows;
pub use self::part::{Part, Positions, keys_at};
pub use self::scope::{Projects, Scope};
pub(crate) use self::scope::{bucket, list};
pub(crate) use self::totals::hashes;
pub use self::totals::{Grouping, NUMBERS_FROM, content, counts, numbers, own_count, own_totals};
use super::names::{identifier, literal, table, tenancy_table};
use super::row;
use crate::column_type::{BaseType, ColumnType};
use crate::mapping::{Column, Mapping};

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

impl Key {
    /// Whether Postgres can hold all of it: it holds no NUL.
    pub fn is_possible(&self) -> bool {
        let Location { project_id, branch_id } = &self.location;
        ![project_id, branch_id].into_iter().chain(&self.values).any(|text| text.contains('\0'))
    }
}

/// A value of a key as canonical text, from an expression of its type.
pub(super) fn key_text(value: &str) -> String {
    format!("({value})::text")
}

/// An exported value as canonical text. An array is the list of its elements, each with the bytes of its text in front, or `n`
/// for a null; one that no destination holds is never like one that it holds.
fn canonical(column_type: ColumnType, value: &str) -> String {
    if column_type.array.is_none() {
        return canonical_one(column_type.base, value);
    }
    format!(
        "CASE WHEN {value} IS NOT NULL THEN CASE WHEN array_ndims({value}) > 1 THEN 'dimensions ' ELSE '' END || COALESCE((SELECT string_agg(COALESCE(octet_length(a.text) || ':' || a.text, 'n'), '' ORDER BY a.place) FROM (SELECT {element}, u.place FROM unnest({value}) WITH ORDINALITY u(element, place)) a(text, place)), '') END",
        element = canonical_one(column_type.base, "u.element"),
    )
}

fn canonical_one(base: BaseType, value: &str) -> String {
    match base {
        BaseType::Bool => format!("CASE WHEN {value} THEN '1' WHEN NOT {value} THEN '0' END"),
        // What DateTime64(3) holds, floored to milliseconds.
        BaseType::Timestamp => epoch(value, base, 1000),
        BaseType::TimestampMicros => epoch(value, base, 1_000_000),
        BaseType::Date => {
            format!("CASE WHEN {value} IS NOT NULL THEN LEAST(GREATEST({value}, '1900-01-01'), '2299-12-31')::text END")
        }
        BaseType::Float32 => format!("encode(float4send({value}), 'hex')"),
        BaseType::Float64 => format!("encode(float8send({value}), 'hex')"),
        BaseType::Decimal { .. } => format!("trim_scale({value})::text"),
        BaseType::Bytes => format!("encode({value}, 'hex')"),
        _ => format!("({value})::text"),
    }
}

/// How often a second of it has passed since 1970, floored.
fn epoch(value: &str, base: BaseType, parts: u32) -> String {
    // GREATEST and LEAST pass nulls over: without the condition a null would become the lower limit.
    let clamped = in_range(value, base);
    format!("CASE WHEN {value} IS NOT NULL THEN floor(extract(epoch FROM {clamped}) * {parts})::bigint::text END")
}

/// A moment clamped to what every destination holds.
fn in_range(value: &str, base: BaseType) -> String {
    let last = if base == BaseType::TimestampMicros { ".999999" } else { ".999" };
    format!("LEAST(GREATEST({value}, '1900-01-01'), '2299-12-31 23:59:59{last}')")
}

pub(crate) fn canonical_column(mapping: &Mapping, column: &Column) -> String {
    let value = format!("c.{}", identifier(&column.name));
    if mapping.is_key(column) { key_text(&value) } else { canonical(column.column_type, &value) }
}

/// The key as bytes that sort as the columns of its canonical text do, one after the other: a uuid by itself, a text up to
/// a NUL, which none contains.
fn key_bytes(column: &Column) -> String {
    match column.column_type.base {
        BaseType::Uuid => format!("uuid_send(c.{})", identifier(&column.name)),
        _ => {
            let text = key_text(&format!("c.{}", identifier(&column.name)));
            format!("convert_to({text}, 'UTF8') || '\\x00'::bytea")
        }
    }
}

/// Every row of the mapping that has an owner, as binary `COPY`: `project_id`, `branch_id`, each column as canonical
/// text, then `tenancy_id uuid`. Ordered by location and key, byte by byte, unless keys are asked for.
pub fn rows(mapping: &Mapping, scope: Scope<'_>) -> String {
    rows_of(mapping, scope, Part::Without(&[]))
}

/// As [`rows`], of a part of the table alone; a range comes in no order.
///
/// What is Lockstep's own is named `sync_…`, as no exported column is.
pub fn rows_of(mapping: &Mapping, scope: Scope<'_>, part: Part<'_>) -> String {
    let (tenancies, same) = match scope {
        Scope::Keys(keys) => (
            // The condition on keys stands in WHERE: an inner join has no other meaning there.
            format!("{} JOIN {} t ON TRUE", wanted(mapping, keys), table(&tenancy_table())),
            format!(" AND {} AND {}", at_wanted("t"), key_is_wanted(mapping, "s")),
        ),
        _ if part.is_range() => {
            let in_scope = scope.of_tenancy().map_or_else(String::new, |condition| format!(" AND {condition}"));
            (part::tenancies(), format!("{in_scope}{}", scope.and_bucket(mapping)))
        }
        _ => (placed_tenancies(scope), scope.and_bucket(mapping)),
    };
    let place = "t.\"projectId\" AS project_id, t.\"branchId\" AS branch_id";
    let is_ordered = !matches!(scope, Scope::Keys(_)) && !part.is_range();
    let (place, order) = if is_ordered {
        (format!("t.sync_place, {place}"), ordered_by(mapping, "int4send(c.sync_place::int4) || "))
    } else {
        (place.to_owned(), String::new())
    };
    let joins = if matches!(scope, Scope::Keys(_)) { row::joins(mapping, "s") } else { plain_joins(mapping) };
    let chosen = format!("{}{same}", part.condition(mapping));
    copied(mapping, &Chosen { place: &place, tenancies: &tenancies, joins: &joins, chosen: &chosen, order: &order })
}

/// The query whose rows a statement of this module copies: for a few rows, without a stream.
pub fn query(copy: &str) -> &str {
    copy.strip_prefix(COPY).and_then(|rest| rest.strip_suffix(TO_STDOUT)).unwrap_or(copy)
}

const COPY: &str = "COPY (\n";
const TO_STDOUT: &str = "\n) TO STDOUT (FORMAT binary)";

/// What [`copied`] is made of.
struct Chosen<'a> {
    /// The columns of a row's place.
    place: &'a str,
    /// Tenancies as `t`, and what is joined with them.
    tenancies: &'a str,
    joins: &'a str,
    /// The condition on `t` and the source row `s`.
    chosen: &'a str,
    order: &'a str,
}

fn copied(mapping: &Mapping, of: &Chosen<'_>) -> String {
    let columns: Vec<_> = mapping.columns.iter().map(|column| canonical_column(mapping, column)).collect();
    format!(
        "{COPY}SELECT c.project_id, c.branch_id, {columns}, c.sync_tenancy\n{rows}{order}{TO_STDOUT}",
        columns = columns.join(", "),
        rows = chosen(mapping, of),
        order = of.order,
    )
}

/// `FROM` the chosen rows `c`: place, `sync_tenancy`, and every exported column in its own type.
fn chosen(mapping: &Mapping, of: &Chosen<'_>) -> String {
    format!(
        "FROM (SELECT {place}, t.\"id\" AS sync_tenancy, {exported}\n  FROM {tenancies} JOIN {source} s ON {belongs}{joins}\n  WHERE {chosen}) c",
        place = of.place,
        exported = row::select_list(mapping, "s"),
        tenancies = of.tenancies,
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        joins = of.joins,
        chosen = of.chosen,
    )
}

/// The order of the bytes of the key, behind what `first` says.
fn ordered_by(mapping: &Mapping, first: &str) -> String {
    let keys: Vec<_> = mapping.key_columns().map(key_bytes).collect();
    format!("\nORDER BY {first}{}", keys.join(" || "))
}

/// The joins over whole tables, which the planner may hash: the lookups of [`row::joins`] take as long as all the rest.
/// Should a join find two rows, against its definition, then so many rows come of the key; a look at the key finds one.
fn plain_joins(mapping: &Mapping) -> String {
    let joined = mapping.joins.iter().map(|join| {
        let name = identifier(&format!("j_{}", join.alias));
        let filter =
            join.filter.as_ref().map_or_else(String::new, |filter| format!(" AND ({})", row::render(filter, &name)));
        format!(
            "\n  LEFT JOIN {table} {name} ON {name}.{tenant} = t.\"id\" AND {name}.{there} = ({here})::{cast}{filter}",
            table = table(&join.table),
            tenant = identifier(&join.tenant),
            there = identifier(&join.there),
            here = row::render(&join.here, "s"),
            cast = join.match_type.base.postgres_cast(),
        )
    });
    joined.collect()
}

/// Tenancies, each with the place of its location among all: one number and the key make one short text of bytes to sort
/// by, which takes a third of the time that project, branch and key take.
fn placed_tenancies(scope: Scope<'_>) -> String {
    format!(
        "(SELECT t.*, dense_rank() OVER (ORDER BY convert_to(t.\"projectId\", 'UTF8'), convert_to(t.\"branchId\", 'UTF8')) AS sync_place\n    FROM {} t{}) t",
        table(&tenancy_table()),
        scope.of_tenancy().map_or_else(String::new, |condition| format!(" WHERE {condition}"))
    )
}

/// The keys as a table `w (project_id, branch_id, k1, …)`, each value in the type of its column, so that indexes serve.
pub(super) fn wanted(mapping: &Mapping, keys: &[Key]) -> String {
    let casts: Vec<_> = mapping.key_columns().map(|column| column.column_type.base.postgres_cast()).collect();
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            let values: Vec<_> =
                key.values.iter().zip(&casts).map(|(value, cast)| format!("{}::{cast}", literal(value))).collect();
            format!(
                "({}, {}, {})",
                literal(&key.location.project_id),
                literal(&key.location.branch_id),
                values.join(", ")
            )
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
pub(super) fn at_wanted(alias: &str) -> String {
    format!("{alias}.\"projectId\" = w.project_id AND {alias}.\"branchId\" = w.branch_id")
}

/// The condition that the source row `alias` has the key of `w`.
pub(super) fn key_is_wanted(mapping: &Mapping, alias: &str) -> String {
    let same: Vec<_> = mapping
        .key_sources()
        .zip(1..)
        .map(|((column, source), index)| {
            format!("({alias}.{})::{} = w.k{index}", identifier(source), column.column_type.base.postgres_cast())
        })
        .collect();
    same.join(" AND ")
}

#[cfg(test)]
mod tests;
