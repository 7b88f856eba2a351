//! The tombstone triggers: a row that leaves, however it leaves, leaves its key behind (CAP-2).

use std::collections::{BTreeMap, BTreeSet};

use super::{CaptureObject, DEFINER, function, trigger};
use crate::mapping::{Mapping, SourceTable, Tenant};
use crate::postgres::names::{deleted_row_table, object_name, tenancy_table};
use crate::postgres::quote::{identifier, literal, table};
use crate::postgres::row;
use crate::set::MappingSet;

pub(super) fn objects(set: &MappingSet) -> Vec<CaptureObject> {
    set.by_source().into_iter().flat_map(|(source, mappings)| of_table(source, &mappings)).collect()
}

fn of_table(source: &SourceTable, mappings: &[&Mapping]) -> Vec<CaptureObject> {
    let name = |what: &str| object_name(&[&source.schema, &source.name, what]);
    let (deleted, left, truncated) = (name("deleted"), name("left"), name("truncated"));
    let Some(owner) = mappings.first().map(|mapping| Owner::current(mapping)) else { return Vec::new() };
    let insert = |from: &str| {
        format!("  {};\n  RETURN NULL;", record(source, mappings, &owner, from, &row::in_any(mappings, "s")))
    };
    vec![
        function(&deleted, DEFINER, &insert("deleted s")),
        function(&left, DEFINER, &insert("(SELECT OLD.*) s")),
        function(
            &truncated,
            DEFINER,
            &format!("{}\n{}", refuse_old_snapshot(), insert(&format!("{} s", table(source)))),
        ),
        // One insert for a bulk delete, cascades included.
        trigger(
            source,
            "lockstep_deleted",
            "AFTER DELETE",
            "REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT",
            &deleted,
        ),
        trigger(source, "lockstep_left", "AFTER UPDATE", &format!("FOR EACH ROW WHEN ({})", has_left(mappings)), &left),
        trigger(source, "lockstep_truncated", "BEFORE TRUNCATE", "FOR EACH STATEMENT", &truncated),
    ]
}

/// TRUNCATE removes rows that an older snapshot cannot see, so their keys could not be recorded.
pub(super) fn refuse_old_snapshot() -> &'static str {
    "  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'LS-0020: TRUNCATE of a synced table needs a transaction at READ COMMITTED'
      USING HINT = 'Rows that this transaction cannot see would be removed without a trace. Use DELETE, or READ COMMITTED.';
  END IF;"
}

/// How the tenancy of recorded rows is found: an expression, and the join it needs.
pub(super) struct Owner {
    pub(super) id: String,
    pub(super) join: String,
}

impl Owner {
    /// The tenancy that the row `s` belongs to now.
    fn current(mapping: &Mapping) -> Self {
        match &mapping.tenant {
            Tenant::Column(column) => Self { id: format!("s.{}", identifier(column)), join: String::new() },
            Tenant::ProjectAndBranch { .. } => Self {
                id: "t.\"id\"".to_owned(),
                join: format!(" JOIN {} t ON {}", table(&tenancy_table()), row::belongs(mapping, "s")),
            },
        }
    }
}

/// The statement that records tombstones for the rows `from` (aliased `s`) that satisfy `condition`.
///
/// Only key columns are written, those of all mappings of the table: no secret can get in.
pub(super) fn record(
    source: &SourceTable,
    mappings: &[&Mapping],
    owner: &Owner,
    from: &str,
    condition: &str,
) -> String {
    let Owner { id, join } = owner;
    format!(
        "INSERT INTO {deleted} (\"id\", \"tenancyId\", \"tableName\", \"primaryKey\", \"deletedAt\")\n  SELECT gen_random_uuid(), {id}, {name}, {key}, now() AT TIME ZONE 'UTC'\n  FROM {from}{join} WHERE {condition}",
        deleted = table(&deleted_row_table()),
        name = literal(&source.name),
        key = key_object(mappings, id, "s"),
    )
}

/// The key columns of all mappings of a table, once each.
pub(super) fn key_columns<'a>(mappings: &[&'a Mapping]) -> BTreeSet<&'a str> {
    mappings.iter().flat_map(|mapping| mapping.key_sources().map(|(_, source)| source)).collect()
}

/// Text keys as text, which is how they are exported: JSON keeps the blanks that pad a `char(n)`.
fn key_object(mappings: &[&Mapping], tenancy: &str, alias: &str) -> String {
    let mut pairs = vec![format!("'tenancyId', {tenancy}")];
    let keys = mappings.iter().flat_map(|mapping| mapping.key_sources());
    let casts: BTreeMap<_, _> =
        keys.map(|(column, source)| (source, column.column_type.base.postgres_cast())).collect();
    for (column, cast) in casts {
        let cast = if cast == "text" { "::text" } else { "" };
        pairs.push(format!("{}, {alias}.{}{cast}", literal(column), identifier(column)));
    }
    format!("jsonb_build_object({})", pairs.join(", "))
}

/// Whether an update took the row out of any mapping: its key or tenant changed, or it no longer passes the filter.
fn has_left(mappings: &[&Mapping]) -> String {
    let each: Vec<_> = mappings
        .iter()
        .map(|mapping| {
            let mut moved: Vec<_> = mapping.key_sources().map(|(_, source)| source).collect();
            moved.extend(row::tenant_columns(&mapping.tenant));
            let moved: BTreeSet<_> = moved.into_iter().collect();
            let mut left: Vec<_> =
                moved.iter().map(|column| format!("OLD.{0} IS DISTINCT FROM NEW.{0}", identifier(column))).collect();
            match &mapping.filter {
                None => left.join(" OR "),
                Some(filter) => {
                    left.push(format!("({}) IS NOT TRUE", row::render(filter, "NEW")));
                    format!("(({}) AND ({}))", row::render(filter, "OLD"), left.join(" OR "))
                }
            }
        })
        .collect();
    each.join(" OR ")
}
