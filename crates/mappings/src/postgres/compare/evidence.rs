//! What the source knows of keys that differ, to tell how they came to.

use lockstep_core::TenancyId;

use super::{Key, at_wanted, key_is_wanted, key_text, part, wanted};
use crate::mapping::Mapping;
use crate::postgres::names::table;
use crate::postgres::passes::first_beyond;
use crate::postgres::row;

/// A transaction's id with its epoch, from the 32 bits that a row has of it.
fn full(xmin: &str) -> String {
    format!("(n.next - ((n.next & 4294967295) - {xmin}::text::bigint + 4294967296) % 4294967296)")
}

fn shown(mapping: &Mapping) -> String {
    let shown: Vec<_> = (1..=mapping.key.len()).map(|index| key_text(&format!("w.k{index}"))).collect();
    shown.join(", ")
}

/// By which transaction the rows of keys, or what is joined with them, were written last, as an ordinary query: `project_id`, `branch_id`, the key as
/// canonical text, `xid bigint`. Keys without a row are left out. An update of columns that are not exported counts too.
pub fn written(mapping: &Mapping, keys: &[Key]) -> String {
    written_at(mapping, keys, &at_wanted("t"))
}

/// As [`written`], of one tenancy's rows, whose location is empty.
pub fn own_written(mapping: &Mapping, owner: TenancyId, keys: &[Key]) -> String {
    written_at(mapping, keys, &format!("t.\"id\" = '{owner}'::uuid"))
}

fn written_at(mapping: &Mapping, keys: &[Key], there: &str) -> String {
    let joined =
        mapping.joins.iter().map(|join| format!(", (SELECT max({}) {})", full("o.xmin"), row::from_joined(join, "s")));
    format!(
        "SELECT w.project_id, w.branch_id, {shown}, max(GREATEST({own}{joined}))\nFROM {wanted} JOIN {tenancies} ON {there}\n  JOIN {source} s ON {belongs} AND {same},\n  (SELECT txid_snapshot_xmax(txid_current_snapshot()) AS next) n\nGROUP BY w.project_id, w.branch_id, {shown}",
        shown = shown(mapping),
        own = full("s.xmin"),
        joined = joined.collect::<String>(),
        wanted = wanted(mapping, keys),
        tenancies = part::tenancies(),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        same = key_is_wanted(mapping, "s"),
    )
}

/// Which keys are those of exported rows at another location, as an ordinary query: the location that was asked for, the key as canonical text, and
/// `tenancy_id uuid`. The table may be read as a whole.
pub fn owners(mapping: &Mapping, keys: &[Key]) -> String {
    format!(
        "SELECT w.project_id, w.branch_id, {shown}, t.\"id\"\nFROM {wanted} JOIN {source} s ON {same} JOIN {tenancies} ON {belongs}\nWHERE NOT ({there}){filter}",
        there = at_wanted("t"),
        filter = row::and_filter(mapping, "s"),
        shown = shown(mapping),
        wanted = wanted(mapping, keys),
        source = table(&mapping.source),
        same = key_is_wanted(mapping, "s"),
        tenancies = part::tenancies(),
        belongs = row::belongs(mapping, "s"),
    )
}

/// Which transactions (`$1 bigint[]`) the passes had not seen that gave out the numbers beside them (`$2 bigint[]`): what these
/// wrote came after. An ordinary query: `place bigint` from 1, in order; numbers of passes that are forgotten are left out.
pub fn not_seen() -> String {
    format!(
        "SELECT w.place FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY w(xid, number, place)
CROSS JOIN LATERAL {} p WHERE NOT pg_visible_in_snapshot(w.xid::text::xid8, p.consumed) ORDER BY w.place",
        first_beyond("w.number - 1")
    )
}
