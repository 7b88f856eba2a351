//! Who may still remove a row that a destination has and the source has not.

use super::{Key, at_wanted, canonical, key_is_wanted, wanted};
use crate::mapping::Mapping;
use crate::postgres::erase::is_being_erased;
use crate::postgres::fetch::Work;
use crate::postgres::names::{CONTROL_SCHEMA, TENANCY_TOUCH, capture_columns, tenancy_table};
use crate::postgres::quote::{identifier, literal, table};
use crate::postgres::{row, tombstone};

/// Everything in the source that can still make `keys` vanish from where they are, for keys that have no row there: an
/// ordinary query, no `COPY`. `after` says of each tenancy which tombstones are of no interest, because they are known to
/// have arrived; one that is not listed has nothing that arrived.
///
/// Returns `project_id`, `branch_id`, the key as canonical text, `tenancy_id uuid`, `gone bool` (it is no row of
/// `"Tenancy"`), `sequence bigint?`, `waiting bool` (something is still to be stamped, announced or erased). One row each for
/// - a tombstone of the key, of a tenancy that is or was at the location;
/// - a row of the key whose tenancy was at the location and lives elsewhere by now: it leaves a tombstone behind;
/// - a tenancy that is or was at the location and is gone, or whose rows are all about to be stamped.
pub fn claims(mapping: &Mapping, keys: &[Key], after: &[Work]) -> String {
    let branches = [of_tombstones(mapping), of_movers(mapping), of_tenancies(mapping)];
    format!(
        "WITH w AS (SELECT * FROM {wanted}),\nl AS ({located})\n{branches}",
        wanted = wanted(mapping, keys),
        located = located(after),
        branches = branches.join("\nUNION ALL\n"),
    )
}

/// Tenancies that are or were at a location of `w`, each with what is known to have arrived of it.
fn located(after: &[Work]) -> String {
    let ids: Vec<_> = after.iter().map(|work| work.tenancy.to_string()).collect();
    let sequences: Vec<_> = after.iter().map(|work| work.after.to_string()).collect();
    let wanted = |alias: &str, project: &str, branch: &str| {
        format!("({alias}.{project}, {alias}.{branch}) IN (SELECT w.project_id, w.branch_id FROM w)")
    };
    format!(
        "SELECT x.project_id, x.branch_id, x.tenancy_id, t.\"id\" IS NULL AS gone, COALESCE(a.after, 0) AS after\n  FROM (SELECT t.\"projectId\" AS project_id, t.\"branchId\" AS branch_id, t.\"id\" AS tenancy_id FROM {tenancies} t WHERE {now}\n    UNION SELECT h.project_id, h.branch_id, h.tenancy_id FROM {CONTROL_SCHEMA}.tenancy_location h WHERE {ever}) x\n  LEFT JOIN {tenancies} t ON t.\"id\" = x.tenancy_id\n  LEFT JOIN unnest('{{{ids}}}'::uuid[], '{{{sequences}}}'::bigint[]) AS a(tenancy_id, after) ON a.tenancy_id = x.tenancy_id",
        now = wanted("t", "\"projectId\"", "\"branchId\""),
        ever = wanted("h", "project_id", "branch_id"),
        tenancies = table(&tenancy_table()),
        ids = ids.join(","),
        sequences = sequences.join(","),
    )
}

fn select(mapping: &Mapping) -> String {
    let keys: Vec<_> = mapping
        .key_columns()
        .zip(1..)
        .map(|(column, index)| canonical(column.column_type.base, &format!("w.k{index}")))
        .collect();
    format!("SELECT w.project_id, w.branch_id, {}, l.tenancy_id, l.gone", keys.join(", "))
}

const AT: &str = "l.project_id = w.project_id AND l.branch_id = w.branch_id";

fn of_tombstones(mapping: &Mapping) -> String {
    let (sequence, flag) = capture_columns("d");
    let keys: Vec<_> = mapping.key_columns().map(|column| format!("k.{}", identifier(&column.name))).collect();
    let same: Vec<_> = (1..=keys.len()).map(|index| format!("c.k{index} = w.k{index}")).collect();
    let named: Vec<_> = keys.iter().zip(1..).map(|(key, index)| format!("{key} AS k{index}")).collect();
    let recorded: Vec<_> = tombstone::table_names(mapping)
        .map(|name| {
            format!(
                "SELECT {}, {sequence} AS sequence, {flag} AS flagged {}\n  AND ({flag} OR {sequence} > l.after)",
                named.join(", "),
                tombstone::from_where(mapping, name, "l.tenancy_id")
            )
        })
        .collect();
    format!(
        "{}, c.sequence, c.flagged\nFROM l CROSS JOIN LATERAL (\n{}) c\nJOIN w ON {AT} AND {}",
        select(mapping),
        recorded.join("\nUNION ALL\n"),
        same.join(" AND ")
    )
}

fn of_movers(mapping: &Mapping) -> String {
    let (sequence, flag) = capture_columns("s");
    format!(
        "{select}, {sequence}, {flag}\nFROM w JOIN l ON {AT} JOIN {tenancies} t ON t.\"id\" = l.tenancy_id AND NOT ({here}) JOIN {source} s ON {belongs} AND {same}\nWHERE TRUE{filter}",
        select = select(mapping),
        tenancies = table(&tenancy_table()),
        here = at_wanted("t"),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        same = key_is_wanted(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
    )
}

fn of_tenancies(mapping: &Mapping) -> String {
    let pending = format!(
        "EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.touch u WHERE u.tenancy_id = l.tenancy_id AND u.target = {})",
        literal(TENANCY_TOUCH)
    );
    format!(
        "{}, NULL, {pending} OR (l.gone AND (EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.outbox o WHERE o.tenancy_id = l.tenancy_id) OR {erased}))\nFROM w JOIN l ON {AT}\nWHERE l.gone OR {pending}",
        select(mapping),
        erased = is_being_erased("l.tenancy_id"),
    )
}
