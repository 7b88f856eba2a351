//! The stream: what the changes above each tenancy's cursor have made of their rows, a mapping at a time, all tenancies in
//! one read.
//!
//! Every row starts with tenancy id (uuid), project and branch (text), then the mapping's columns in order, then the
//! sequence (int8) and whether it is a tombstone (int2). One statement reads one snapshot, and the order is: tenancies
//! as given, within a tenancy by sequence. So a page that is cut anywhere is still a prefix of each tenancy's changes.
//!
//! What a change becomes is judged by place (DEL-1, ISO-1): the row of the tenancy that it names, if it is there and inside
//! the filter; else the row of this key of another tenancy that lives at the place; else a tombstone. So a place shows what
//! is there now, whoever left, came or took over.

use lockstep_core::{SequenceId, TenancyId};

use super::key::{KEY_COLUMNS, same_key, tombstone_columns};
use super::names::{CONTROL_SCHEMA, table, tenancy_table};
use super::row;
use super::target::Target;
use crate::mapping::Mapping;

/// From where one tenancy is read: its changes above the cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadFrom {
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
pub(super) fn arrays(work: &[ReadFrom]) -> String {
    let tenancies: Vec<_> = work.iter().map(|work| work.tenancy.to_string()).collect();
    let after: Vec<_> = work.iter().map(|work| work.after.to_string()).collect();
    format!("'{{{}}}'::uuid[], '{{{}}}'::bigint[]", tenancies.join(","), after.join(","))
}

/// The condition that the tenancy `alias` lives where it is said to: a pass has written that place down. Before, its rows are
/// shown nowhere; the lines of its arrival bring them. Otherwise a row could be shipped to a place of which nobody would know
/// later that it has to vanish there (ISO-1).
pub(super) fn lives_there(alias: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.tenancy_location v WHERE v.tenancy_id = {alias}.\"id\" AND v.project_id = {alias}.\"projectId\" AND v.branch_id = {alias}.\"branchId\")"
    )
}

/// The tenancy `w.tenancy_id` as `t`, laid out as `"Tenancy"`. One that is gone, or on its way to another place, has no id,
/// and is at the last place where it was, until its erasure begins: then nothing of it is shipped any more.
///
/// The limits keep the planner from turning the lookup into a join that loses the order of `w`.
pub fn tenancy_lookup() -> String {
    format!(
        "(SELECT x.* FROM (\n  (SELECT t.\"id\", t.\"projectId\", t.\"branchId\", t.\"hasNoOrganization\"::text FROM {tenancies} t WHERE t.\"id\" = w.tenancy_id AND {lives_there} LIMIT 1)\n  UNION ALL (SELECT NULL::uuid, l.project_id, l.branch_id, NULL FROM {CONTROL_SCHEMA}.tenancy_location l\n    WHERE l.tenancy_id = w.tenancy_id AND NOT EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.erasure e WHERE e.tenancy_id = w.tenancy_id AND e.finished_at IS NULL)\n    ORDER BY l.recorded_at DESC, l.project_id, l.branch_id LIMIT 1)) x LIMIT 1) t",
        tenancies = table(&tenancy_table()),
        lives_there = lives_there("t"),
    )
}

fn copy(query: &str) -> String {
    format!("COPY (\n{query}\n) TO STDOUT (FORMAT binary)")
}

/// The changes `c` of the tenancy of `w` that `condition` names.
fn changes(mapping: &Mapping, condition: &str) -> String {
    format!(
        "(SELECT c.sequence, {KEY_COLUMNS} FROM {CONTROL_SCHEMA}.change c\n  WHERE c.tenancy_id = w.tenancy_id AND c.mapping = {} AND {condition}",
        Target::row(mapping).id()
    )
}

/// The row of the key of `c` that a tenancy has which lives at the project and branch of `place`, other than `place` itself.
fn of_others(mapping: &Mapping, place: &str, [project, branch]: [&str; 2], is_other: &str) -> String {
    format!(
        "(SELECT {columns}, 0::int2\n    FROM {tenancies} t JOIN {source} s ON {belongs} AND {same}{joins}\n    WHERE t.\"projectId\" = {place}.{project} AND t.\"branchId\" = {place}.{branch}{is_other} AND {lives_there}{filter} LIMIT 1)",
        lives_there = lives_there("t"),
        columns = row::select_list(mapping, "s"),
        tenancies = table(&tenancy_table()),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        same = same_key(mapping, "s", "c"),
        joins = row::joins(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
    )
}

fn tombstone(mapping: &Mapping) -> String {
    format!("(SELECT {}, 1::int2)", tombstone_columns(mapping, "c"))
}

/// The row of the key of `c` that the tenancy `t` itself has.
fn of_own(mapping: &Mapping) -> String {
    format!(
        "(SELECT {columns}, 0::int2 AS sync_is_deleted\n    FROM {source} s{joins}\n    WHERE {belongs} AND {same}{filter} LIMIT 1)",
        columns = row::select_list(mapping, "s"),
        source = table(&mapping.source),
        joins = row::joins(mapping, "s"),
        belongs = row::belongs(mapping, "s"),
        same = same_key(mapping, "s", "c"),
        filter = row::and_filter(mapping, "s"),
    )
}

/// What the destination shows of the change `c` at the place of the tenancy `t`: one row, the first that there is.
fn shown(mapping: &Mapping) -> String {
    let others =
        of_others(mapping, "here", ["\"projectId\"", "\"branchId\""], " AND t.\"id\" IS DISTINCT FROM here.\"id\"");
    // The tenancy is named twice: inside the second branch its usual name is another's.
    let branches = [of_own(mapping), others, tombstone(mapping)].join("\n  UNION ALL ");
    format!("(SELECT t.*) here\nCROSS JOIN LATERAL (\n  {branches}\n  LIMIT 1) r")
}

/// The columns of `r`, in order, with the sequence between them and the mark of a tombstone.
fn row_columns(mapping: &Mapping) -> String {
    let names: Vec<_> =
        mapping.columns.iter().map(|column| format!("r.{}", super::names::identifier(&column.name))).collect();
    format!("{}, c.sequence, r.sync_is_deleted", names.join(", "))
}

/// One page of changes as binary `COPY`.
pub fn page(mapping: &Mapping, work: &[ReadFrom], limits: PageLimits) -> String {
    copy(&format!(
        "SELECT w.tenancy_id, t.\"projectId\", t.\"branchId\", {columns}\nFROM unnest({arrays}) AS w(tenancy_id, after)\nCROSS JOIN LATERAL {tenancy}\nCROSS JOIN LATERAL {changes} ORDER BY c.sequence LIMIT {limit}) c\nCROSS JOIN LATERAL {shown}\nLIMIT {total}",
        columns = row_columns(mapping),
        arrays = arrays(work),
        tenancy = tenancy_lookup(),
        changes = changes(mapping, "c.sequence > w.after"),
        limit = limits.tenancy_rows,
        shown = shown(mapping),
        total = limits.total_rows,
    ))
}

/// The tenancy `tenancy_id` (an expression) as `t`, for what is read of its own rows: laid out as [`tenancy_lookup`] lays it
/// out, and always one row. Where it lives does not matter to a database of its own, so neither does it whether that was
/// written down; one that is gone has no id, and so no rows.
pub(super) fn own_tenancy(tenancy_id: &str) -> String {
    format!(
        "(SELECT x.* FROM (\n  (SELECT t.\"id\", t.\"projectId\", t.\"branchId\", t.\"hasNoOrganization\"::text FROM {tenancies} t WHERE t.\"id\" = {tenancy_id} LIMIT 1)\n  UNION ALL (SELECT NULL::uuid, '', '', NULL)) x LIMIT 1) t",
        tenancies = table(&tenancy_table()),
    )
}

/// One page of changes as binary `COPY`, for destinations that hold the rows of one tenancy alone: as [`page`], but a change
/// becomes the tenancy's own row of that key, or a tombstone, and never a row of others at its place. The place is empty
/// where the tenancy is gone, and is not to be checked.
pub fn own_page(mapping: &Mapping, work: &[ReadFrom], limits: PageLimits) -> String {
    copy(&format!(
        "SELECT w.tenancy_id, t.\"projectId\", t.\"branchId\", {columns}\nFROM unnest({arrays}) AS w(tenancy_id, after)\nCROSS JOIN LATERAL {tenancy}\nCROSS JOIN LATERAL {changes} ORDER BY c.sequence LIMIT {limit}) c\nCROSS JOIN LATERAL (\n  {own}\n  UNION ALL {tombstone}\n  LIMIT 1) r\nLIMIT {total}",
        columns = row_columns(mapping),
        arrays = arrays(work),
        tenancy = own_tenancy("w.tenancy_id"),
        changes = changes(mapping, "c.sequence > w.after"),
        limit = limits.tenancy_rows,
        own = of_own(mapping),
        tombstone = tombstone(mapping),
        total = limits.total_rows,
    ))
}

/// The next change of one tenancy, without a look at its row: of the tenancy `$1 uuid` the first number above `$2 bigint`.
/// For a row that cannot be read.
pub fn next_change(mapping: &Mapping) -> String {
    format!(
        "SELECT c.sequence FROM {CONTROL_SCHEMA}.change c WHERE c.tenancy_id = $1 AND c.mapping = {} AND c.sequence > $2 ORDER BY c.sequence LIMIT 1",
        Target::row(mapping).id()
    )
}

/// What the changes in (after, up to] have made of the other places where tenancies used to live: the row of this key of
/// whoever lives there now, or a tombstone. Rows as in [`page`], with the former location as project and branch.
pub fn former_locations(mapping: &Mapping, work: &[(ReadFrom, SequenceId)]) -> String {
    let ranges: Vec<_> = work.iter().map(|(work, _)| *work).collect();
    let up_to: Vec<_> = work.iter().map(|(_, up_to)| up_to.to_string()).collect();
    let shown =
        of_others(mapping, "l", ["project_id", "branch_id"], "").replacen("0::int2", "0::int2 AS sync_is_deleted", 1);
    copy(&format!(
        "SELECT w.tenancy_id, l.project_id, l.branch_id, {columns}\nFROM unnest({arrays}, '{{{up_to}}}'::bigint[]) AS w(tenancy_id, after, up_to)\nCROSS JOIN LATERAL {tenancy}\nJOIN LATERAL (SELECT l.project_id, l.branch_id FROM {CONTROL_SCHEMA}.tenancy_location l\n  WHERE l.tenancy_id = w.tenancy_id AND (l.project_id, l.branch_id) <> (t.\"projectId\", t.\"branchId\")) l ON TRUE\nCROSS JOIN LATERAL {changes}) c\nCROSS JOIN LATERAL (\n  {shown}\n  UNION ALL {tombstone}\n  LIMIT 1) r",
        columns = row_columns(mapping),
        arrays = arrays(&ranges),
        up_to = up_to.join(","),
        tenancy = tenancy_lookup(),
        changes = changes(mapping, "c.sequence > w.after AND c.sequence <= w.up_to"),
        tombstone = tombstone(mapping),
    ))
}

/// What the stream reads of all live rows, as an ordinary query: for comparisons with systems that read by themselves.
pub fn plain_select(mapping: &Mapping) -> String {
    format!(
        "SELECT t.\"projectId\" AS project_id, t.\"branchId\" AS branch_id, {columns}, 0::int8 AS sync_sequence_id, 0::int2 AS sync_is_deleted\nFROM {source} s JOIN {tenancies} t ON {belongs}{joins}\nWHERE TRUE{filter}",
        columns = row::select_list(mapping, "s"),
        source = table(&mapping.source),
        tenancies = table(&tenancy_table()),
        belongs = row::belongs(mapping, "s"),
        joins = row::joins(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
    )
}
