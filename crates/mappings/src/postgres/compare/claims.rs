//! What may still change a row of the destination: changes that have not arrived, and what has no number yet.

use lockstep_core::DestinationId;

use super::{Key, key_text, wanted};
use crate::mapping::Mapping;
use crate::postgres::erase::is_being_erased;
use crate::postgres::fetch::{ReadFrom, arrays};
use crate::postgres::inbox;
use crate::postgres::key::slots;
use crate::postgres::names::{CONTROL_SCHEMA, literal, table, tenancy_table};
use crate::postgres::target::Target;

/// Everything in the source that can still change what the destination shows of `keys`: an ordinary query, no `COPY`.
/// `after` says of each tenancy which changes are of no interest, because they are known to have arrived; of one that is
/// not listed nothing has arrived.
///
/// Returns one row for each key and tenancy that is or was at its location: `project_id`, `branch_id`, the key as canonical
/// text, `tenancy_id uuid`, `gone bool` (it is no row of `"Tenancy"`), `sequence bigint?` (the last change of the key),
/// `waiting bool` (something that concerns the key is still to be numbered or erased), and `quarantined bool` (the destination
/// has refused the row, or the source could not give it).
pub fn claims(mapping: &Mapping, to: &DestinationId, keys: &[Key], after: &[ReadFrom]) -> String {
    let here = "(u.project_id = w.project_id AND u.branch_id = w.branch_id)";
    claims_of(mapping, to, keys, &located(after), here)
}

/// As [`claims`], for a destination that holds the rows of one tenancy alone: that tenancy claims every key, wherever it is,
/// and nobody else does. `own.after` is its cursor.
pub fn own_claims(mapping: &Mapping, to: &DestinationId, keys: &[Key], own: ReadFrom) -> String {
    let (owner, tenancies) = (format!("'{}'::uuid", own.tenancy), table(&tenancy_table()));
    let located = format!(
        "SELECT ''::text AS project_id, ''::text AS branch_id, {owner} AS tenancy_id, NOT EXISTS (SELECT 1 FROM {tenancies} t WHERE t.\"id\" = {owner}) AS gone, {}::bigint AS after",
        own.after
    );
    // Lines that name a place and no tenancy may be about its rows wherever it is or was.
    let here = format!(
        "(u.project_id, u.branch_id) IN (SELECT t.\"projectId\", t.\"branchId\" FROM {tenancies} t WHERE t.\"id\" = {owner}\n    UNION SELECT h.project_id, h.branch_id FROM {CONTROL_SCHEMA}.tenancy_location h WHERE h.tenancy_id = {owner}\n    UNION SELECT i.project_id, i.branch_id FROM i WHERE i.target = {} AND i.tenancy_id = {owner})",
        Target::tenancy().id()
    );
    claims_of(mapping, to, keys, &located, &here)
}

/// `located`: who claims keys where. `here`: the condition that the line `u` names a place of the key `w` or of its claimant `l`.
fn claims_of(mapping: &Mapping, to: &DestinationId, keys: &[Key], located: &str, here: &str) -> String {
    let slots = slots(mapping);
    let each = |one: &dyn Fn(usize) -> String| (0..slots.len()).map(one).collect::<Vec<_>>();
    let names = each(&|slot| format!("k{}", slot + 1));
    let values = |alias: &str| each(&|slot| format!("{} AS {}", slots[slot].value(alias), names[slot])).join(", ");
    let is_asked = |alias: &str| {
        let values = each(&|slot| slots[slot].value(alias)).join(", ");
        format!("({values}) IN (SELECT {} FROM w)", names.join(", "))
    };
    let same = |alias: &str| each(&|slot| format!("{alias}.{0} = w.{0}", names[slot])).join(" AND ");
    // As text, since the mapping may have had another key when the row was refused.
    let same_refused =
        each(&|slot| format!("q.{} = (w.{})::{}", slots[slot].name, names[slot], slots[slot].slot_type()));
    let shown = each(&|slot| key_text(&format!("w.{}", names[slot])));
    format!(
        "WITH w AS (SELECT * FROM {wanted}),
i AS MATERIALIZED (SELECT i.* FROM ({unseen}) i WHERE i.target IN ({row}, {searches})),
u AS (SELECT DISTINCT i.tenancy_id, i.project_id, i.branch_id, {line_key} FROM i WHERE i.target = {row} AND {line_is_asked}),
e AS (SELECT i.tenancy_id FROM i WHERE i.target <> {row} UNION SELECT e.tenancy_id FROM {CONTROL_SCHEMA}.expansion e WHERE e.target IN ({searches})),
l AS ({located}),
c AS (SELECT c.tenancy_id, {change_key}, max(c.sequence) AS sequence
  FROM (SELECT DISTINCT tenancy_id, after FROM l) l
  JOIN {CONTROL_SCHEMA}.change c ON c.tenancy_id = l.tenancy_id AND c.mapping = {row} AND c.sequence > l.after
  WHERE {change_is_asked} GROUP BY c.tenancy_id, {numbers})
SELECT w.project_id, w.branch_id, {shown}, l.tenancy_id, l.gone, c.sequence,
  EXISTS (SELECT 1 FROM u WHERE (u.tenancy_id = l.tenancy_id OR {here}) AND {same_line})
  OR EXISTS (SELECT 1 FROM e WHERE e.tenancy_id = l.tenancy_id OR e.tenancy_id IS NULL)
  OR (l.gone AND {erased}),
  EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.quarantine q WHERE q.destination = {destination} AND q.mapping_name = {name} AND q.tenancy_id = l.tenancy_id AND {same_refused})
FROM w JOIN l ON l.project_id = w.project_id AND l.branch_id = w.branch_id
LEFT JOIN c ON c.tenancy_id = l.tenancy_id AND {same_change}",
        wanted = wanted(mapping, keys),
        unseen = inbox::unseen(),
        row = Target::row(mapping).id(),
        searches = searches(mapping),
        line_key = values("i"),
        line_is_asked = is_asked("i"),
        change_key = values("c"),
        change_is_asked = is_asked("c"),
        numbers = each(&|slot| (slot + 2).to_string()).join(", "),
        shown = shown.join(", "),
        same_line = same("u"),
        same_change = same("c"),
        erased = is_being_erased("l.tenancy_id"),
        destination = literal(to.as_str()),
        name = literal(mapping.name.as_str()),
        same_refused = same_refused.join(" AND "),
    )
}

/// Targets whose lines may concern any key of the tenancy that they name, or of all where they name none.
pub(in crate::postgres) fn searches(mapping: &Mapping) -> String {
    let joins = mapping.joins.iter().map(|join| Target::dependents(mapping, join));
    let targets = joins.chain([Target::tenancy(), Target::all_rows(mapping), Target::refill(mapping)]);
    targets.map(|target| target.id().to_string()).collect::<Vec<_>>().join(", ")
}

/// Tenancies that are or were at a location of `w`, each with what is known to have arrived of it. Where one was that came
/// and left since the last pass, only its lines know.
fn located(after: &[ReadFrom]) -> String {
    let wanted = |alias: &str, project: &str, branch: &str| {
        format!("({alias}.{project}, {alias}.{branch}) IN (SELECT w.project_id, w.branch_id FROM w)")
    };
    format!(
        "SELECT x.project_id, x.branch_id, x.tenancy_id, t.\"id\" IS NULL AS gone, COALESCE(a.after, 0) AS after\n  FROM (SELECT t.\"projectId\" AS project_id, t.\"branchId\" AS branch_id, t.\"id\" AS tenancy_id FROM {tenancies} t WHERE {now}\n    UNION SELECT h.project_id, h.branch_id, h.tenancy_id FROM {CONTROL_SCHEMA}.tenancy_location h WHERE {ever}\n    UNION SELECT i.project_id, i.branch_id, i.tenancy_id FROM i WHERE i.target = {tenancy} AND {noted}) x\n  LEFT JOIN {tenancies} t ON t.\"id\" = x.tenancy_id\n  LEFT JOIN unnest({arrived}) AS a(tenancy_id, after) ON a.tenancy_id = x.tenancy_id",
        now = wanted("t", "\"projectId\"", "\"branchId\""),
        ever = wanted("h", "project_id", "branch_id"),
        tenancy = Target::tenancy().id(),
        noted = wanted("i", "project_id", "branch_id"),
        tenancies = table(&tenancy_table()),
        arrived = arrays(after),
    )
}
