//! Fills of a tenant's own database: the rows of one tenancy in the order of their keys, a page at a time.

use lockstep_core::{SequenceId, TenancyId};

use super::fetch::own_tenancy;
use super::names::{identifier, literal, table};
use super::row;
use crate::column_type::BaseType;
use crate::mapping::{Mapping, Tenant};

/// Where a page of a fill begins and how much it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TenantPage<'a> {
    /// Whose rows.
    pub tenancy: TenancyId,
    /// The key behind which it begins, as text; at the first row where there is none.
    pub after: Option<&'a [String]>,
    /// Most rows.
    pub rows: u32,
    /// The number that was drawn before the first row of the fill was read: the version of all of them.
    pub version: SequenceId,
}

/// The key columns of the source row `s`, in the types of the mapping, as they are ordered: texts by their bytes, which is
/// the only order that two databases share.
fn key(mapping: &Mapping) -> Vec<String> {
    let one = |base: BaseType, source: &str| {
        let value = format!("s.{}", identifier(source));
        // A cast that is none would not stand in the way of an index; a cast of a number does.
        if base.postgres_cast() == "text" { format!("({value})::text COLLATE \"C\"") } else { value }
    };
    mapping.key_sources().map(|(column, source)| one(column.column_type.base, source)).collect()
}

/// Whether texts can be a key of this mapping. They come from a tenant's database, which may say anything.
pub fn is_key(mapping: &Mapping, texts: &[String]) -> bool {
    let fits = |base: BaseType, text: &str| match base {
        BaseType::Uuid => uuid::Uuid::try_parse(text).is_ok(),
        BaseType::Int16 => text.parse::<i16>().is_ok(),
        BaseType::Int32 => text.parse::<i32>().is_ok(),
        BaseType::Int64 => text.parse::<i64>().is_ok(),
        BaseType::Date => text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'),
        _ => !text.contains('\0'),
    };
    texts.len() == mapping.key_columns().count()
        && mapping.key_columns().zip(texts).all(|(column, text)| fits(column.column_type.base, text))
}

/// The condition that the row `s` lies behind a key. Said of the first column alone as well, which an index can answer
/// whatever the others are.
fn behind(mapping: &Mapping, after: &[String]) -> String {
    let casts = mapping.key_columns().map(|column| column.column_type.base.postgres_cast());
    let values: Vec<_> = after.iter().zip(casts).map(|(value, cast)| format!("{}::{cast}", literal(value))).collect();
    let columns = key(mapping);
    if values.len() != columns.len() {
        // No key of this mapping: see [`is_key`].
        return String::new();
    }
    let first = format!("{} >= {}", columns[0], values[0]);
    if columns.len() == 1 {
        return format!(" AND {} > {}", columns[0], values[0]);
    }
    format!(" AND {first} AND ({}) > ({})", columns.join(", "), values.join(", "))
}

/// The tenancy `t` and its rows `s` behind a key, as many as `limit` in the order of the key. They are taken before anything
/// is joined to them, in a query of their own that has an order and a limit: so the index that the platform has for the rows
/// of a tenancy, or of a project and branch, is cheaper to the planner than a look at all rows of the table, however few
/// tenancies own most of them.
fn rows_of(mapping: &Mapping, of: TenantPage<'_>, filter: &str) -> String {
    let TenantPage { tenancy, after, rows: limit, .. } = of;
    // The value itself, beside the tenancy's: the planner knows then how many rows there are.
    let direct = match &mapping.tenant {
        Tenant::Column(column) => format!(" AND s.{} = '{tenancy}'::uuid", identifier(column)),
        Tenant::ProjectAndBranch { .. } => String::new(),
    };
    format!(
        "{tenancy_row}\n  CROSS JOIN LATERAL (SELECT s.* FROM {source} s WHERE {belongs}{direct}{behind}{filter}\n    ORDER BY {order} LIMIT {limit}) s",
        tenancy_row = own_tenancy(&format!("'{tenancy}'::uuid")),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        behind = after.map_or_else(String::new, |after| behind(mapping, after)),
        order = key(mapping).join(", "),
    )
}

/// One page as binary `COPY`, laid out as [`super::fetch::page`] lays rows out. Ordered by the key's columns.
pub fn page(mapping: &Mapping, page: TenantPage<'_>) -> String {
    format!(
        "COPY (\nSELECT t.\"id\", t.\"projectId\", t.\"branchId\", {columns}, {version}::int8 AS sync_sequence_id, 0::int2 AS sync_is_deleted\nFROM {rows}{joins}\nORDER BY {order}\n) TO STDOUT (FORMAT binary)",
        columns = row::select_list(mapping, "s"),
        version = page.version,
        rows = rows_of(mapping, page, &row::and_filter(mapping, "s")),
        joins = row::joins(mapping, "s"),
        order = key(mapping).join(", "),
    )
}

/// The same page without a look at anything but the keys, for a row that cannot be read: every other column is blank. The filter
/// may be what cannot be read, and is left out.
pub fn keys(mapping: &Mapping, page: TenantPage<'_>) -> String {
    let columns: Vec<_> = mapping
        .columns
        .iter()
        .map(|column| if mapping.is_key(column) { row::exported(column, "s") } else { column.column_type.blank() })
        .collect();
    format!(
        "COPY (\nSELECT t.\"id\", t.\"projectId\", t.\"branchId\", {columns}, {version}::int8 AS sync_sequence_id, 0::int2 AS sync_is_deleted\nFROM {rows}\nORDER BY {order}\n) TO STDOUT (FORMAT binary)",
        columns = columns.join(", "),
        version = page.version,
        rows = rows_of(mapping, page, ""),
        order = key(mapping).join(", "),
    )
}

/// How many rows a tenancy has of a mapping, as far as `limit`: one row, `rows bigint`.
pub fn count(mapping: &Mapping, tenancy: TenancyId, limit: u32) -> String {
    let all = TenantPage { tenancy, after: None, rows: limit, version: SequenceId::BASE };
    format!("SELECT count(*) AS rows FROM {}", rows_of(mapping, all, &row::and_filter(mapping, "s")))
}
