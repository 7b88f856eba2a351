//! The stream: live rows and tombstones above each tenancy's cursor, a mapping at a time, all tenancies in one read.
//!
//! Every row starts with tenancy id (uuid), project and branch (text), then the mapping's columns in order, then the
//! sequence (int8) and whether it is a tombstone (int2). One statement reads one snapshot, and the order is: tenancies
//! as given, within a tenancy by sequence. So a page that is cut anywhere is still a prefix of each tenancy's news.

use lockstep_core::{SequenceId, TenancyId};

use super::names::{CONTROL_SCHEMA, capture_columns, tenancy_table};
use super::quote::{identifier, table};
use super::{row, tombstone};
use crate::mapping::{Mapping, Tenant};

/// How far one tenancy's destination is: its news start above `after`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Work {
    /// Whose rows.
    pub tenancy: TenancyId,
    /// The cursor.
    pub after: SequenceId,
}

/// Bounds of one read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageLimits {
    /// Rows of one tenancy.
    pub tenancy_rows: u32,
    /// Rows of all tenancies together.
    pub total_rows: u32,
}

/// Ids and integers only, so literals are safe: `COPY` takes no parameters.
fn arrays(work: &[Work]) -> String {
    let tenancies: Vec<_> = work.iter().map(|work| work.tenancy.to_string()).collect();
    let after: Vec<_> = work.iter().map(|work| work.after.to_string()).collect();
    format!("'{{{}}}'::uuid[], '{{{}}}'::bigint[]", tenancies.join(","), after.join(","))
}

/// The tenancy `t` of `w`. The limit keeps the planner from turning the lookup into a join that loses the order of `w`.
pub(super) fn tenancy_lookup() -> String {
    format!(
        "(SELECT t.\"id\", t.\"projectId\", t.\"branchId\", t.\"hasNoOrganization\" FROM {} t WHERE t.\"id\" = w.tenancy_id LIMIT 1) t",
        table(&tenancy_table())
    )
}

fn copy(query: &str) -> String {
    format!("COPY (\n{query}\n) TO STDOUT (FORMAT binary)")
}

/// One page of news as binary `COPY`.
pub fn page(mapping: &Mapping, work: &[Work], limits: PageLimits) -> String {
    let limit = limits.tenancy_rows;
    let (sequence, _) = capture_columns("s");
    let live = format!(
        "(SELECT {columns}, {sequence} AS sync_sequence_id, 0::int2 AS sync_is_deleted\n  FROM {source} s{joins}\n  WHERE {belongs} AND {sequence} > w.after{filter}\n  ORDER BY {sequence} LIMIT {limit})",
        columns = row::select_list(mapping, "s"),
        source = table(&mapping.source),
        joins = row::joins(mapping, "s"),
        belongs = row::belongs(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
    );
    let tombstones = tombstone::table_names(mapping).map(|name| {
        format!(
            "(SELECT {columns}, {sequence}, 1::int2\n  {from_where} AND {sequence} > w.after\n  AND {dead}\n  ORDER BY {sequence} LIMIT {limit})",
            columns = tombstone::select_list(mapping, |name| format!("k.{}", identifier(name))),
            sequence = tombstone::sequence(),
            from_where = tombstone::from_where(mapping, name, "w.tenancy_id"),
            dead = tombstone::key_is_dead(mapping),
        )
    });
    let branches: Vec<_> = std::iter::once(live).chain(tombstones).collect();
    copy(&format!(
        "SELECT w.tenancy_id, t.\"projectId\", t.\"branchId\", r.*\nFROM unnest({arrays}) AS w(tenancy_id, after)\nCROSS JOIN LATERAL {tenancy}\nCROSS JOIN LATERAL (\n{branches}\nORDER BY sync_sequence_id LIMIT {limit}) r\nLIMIT {total}",
        arrays = arrays(work),
        tenancy = tenancy_lookup(),
        branches = branches.join("\nUNION ALL\n"),
        total = limits.total_rows,
    ))
}

/// What the stream reads of all live rows, as an ordinary query: for comparisons with systems that read by themselves.
pub fn plain_select(mapping: &Mapping) -> String {
    format!(
        "SELECT t.\"projectId\" AS project_id, t.\"branchId\" AS branch_id, {columns}, COALESCE({sequence}, 0) AS sync_sequence_id, 0::int2 AS sync_is_deleted\nFROM {source} s JOIN {tenancies} t ON {belongs}{joins}\nWHERE TRUE{filter}",
        columns = row::select_list(mapping, "s"),
        sequence = capture_columns("s").0,
        source = table(&mapping.source),
        tenancies = table(&tenancy_table()),
        belongs = row::belongs(mapping, "s"),
        joins = row::joins(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
    )
}

/// Tombstones for the places where moved tenancies used to live: everything of theirs that changed in (after, up to].
///
/// A tenancy that moves has all its rows stamped anew; at its former locations each of them, and each deleted key, must
/// vanish. Rows as in [`page`], with the former location as project and branch.
pub fn former_locations(mapping: &Mapping, work: &[(Work, SequenceId)]) -> String {
    let (sequence, _) = capture_columns("s");
    let ranges: Vec<_> = work.iter().map(|(work, _)| *work).collect();
    let up_to: Vec<_> = work.iter().map(|(_, up_to)| up_to.to_string()).collect();
    let keys: Vec<_> = mapping
        .key_columns()
        .map(|column| format!("{} AS {}", row::exported(column, "s"), identifier(&column.name)))
        .collect();
    let moved = format!(
        "(SELECT {columns}, {sequence} AS sync_sequence_id, 1::int2 AS sync_is_deleted\n  FROM {source} s CROSS JOIN LATERAL (SELECT {keys}) k\n  WHERE {belongs} AND {sequence} > w.after AND {sequence} <= w.up_to{filter}{elsewhere})",
        columns = tombstone::select_list(mapping, |name| format!("k.{}", identifier(name))),
        source = table(&mapping.source),
        keys = keys.join(", "),
        belongs = row::belongs(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
        elsewhere = not_owned_there(mapping),
    );
    let deleted = tombstone::table_names(mapping).map(|name| {
        format!(
            "(SELECT {columns}, {sequence}, 1::int2\n  {from_where} AND {sequence} > w.after AND {sequence} <= w.up_to{elsewhere})",
            columns = tombstone::select_list(mapping, |name| format!("k.{}", identifier(name))),
            sequence = tombstone::sequence(),
            from_where = tombstone::from_where(mapping, name, "w.tenancy_id"),
            elsewhere = not_owned_there(mapping),
        )
    });
    let branches: Vec<_> = std::iter::once(moved).chain(deleted).collect();
    copy(&format!(
        "SELECT w.tenancy_id, l.project_id, l.branch_id, r.*\nFROM unnest({arrays}, '{{{up_to}}}'::bigint[]) AS w(tenancy_id, after, up_to)\nCROSS JOIN LATERAL {tenancy}\nJOIN LATERAL (SELECT l.project_id, l.branch_id FROM {CONTROL_SCHEMA}.tenancy_location l\n  WHERE l.tenancy_id = w.tenancy_id AND (l.project_id, l.branch_id) <> (t.\"projectId\", t.\"branchId\")) l ON TRUE\nCROSS JOIN LATERAL (\n{branches}) r",
        arrays = arrays(&ranges),
        up_to = up_to.join(","),
        tenancy = tenancy_lookup(),
        branches = branches.join("\nUNION ALL\n"),
    ))
}

/// Rows that are found by project and branch stay behind when their tenancy moves; another tenancy may own them now.
fn not_owned_there(mapping: &Mapping) -> String {
    let Tenant::ProjectAndBranch { project, branch } = &mapping.tenant else { return String::new() };
    let same: Vec<_> = mapping
        .key_sources()
        .map(|(column, source)| {
            format!(
                "(x.{})::{} = k.{}",
                identifier(source),
                column.column_type.base.postgres_cast(),
                identifier(&column.name)
            )
        })
        .collect();
    format!(
        "\n  AND NOT EXISTS (SELECT 1 FROM {source} x JOIN {tenancies} y ON y.\"projectId\" = x.{project} AND y.\"branchId\" = x.{branch} AND y.\"hasNoOrganization\" = 'TRUE' WHERE x.{project} = l.project_id AND x.{branch} = l.branch_id AND {same}{filter})",
        source = table(&mapping.source),
        tenancies = table(&tenancy_table()),
        project = identifier(project),
        branch = identifier(branch),
        same = same.join(" AND "),
        filter = row::and_filter(mapping, "x"),
    )
}
