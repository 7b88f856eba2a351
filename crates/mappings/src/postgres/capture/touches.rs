//! The touch triggers: what other rows depend on has changed (CAP-3). See [`crate::postgres::touch`].

use super::tombstones::refuse_old_snapshot;
use super::{CaptureObject, DEFINER, any_changed, function, trigger};
use crate::mapping::{Join, Mapping};
use crate::postgres::facts::SourceFacts;
use crate::postgres::names::object_name;
use crate::postgres::quote::{identifier, literal, table};
use crate::postgres::row;
use crate::postgres::touch::target;
use crate::set::MappingSet;

pub(super) fn objects(set: &MappingSet, facts: &SourceFacts) -> Vec<CaptureObject> {
    let joins = set.iter().flat_map(|mapping| mapping.joins.iter().map(move |join| (mapping, join)));
    joins.flat_map(|(mapping, join)| of_join(mapping, join, facts)).collect()
}

fn of_join(mapping: &Mapping, join: &Join, facts: &SourceFacts) -> Vec<CaptureObject> {
    let name = |what: &str| object_name(&["touch", mapping.name.as_str(), &join.alias, what]);
    let on_table = |what: &str| object_name(&["lockstep_touch", mapping.name.as_str(), &join.alias, what]);
    let body = |from: &str| format!("  {};\n  RETURN NULL;", record(mapping, join, from));
    let (inserted, deleted, updated, truncated) =
        (name("inserted"), name("deleted"), name("updated"), name("truncated"));
    let changed = any_changed(&mapping.joined_columns(join), facts.get(&join.table));
    vec![
        function(&inserted, DEFINER, &body("inserted s")),
        function(&deleted, DEFINER, &body("deleted s")),
        function(&updated, DEFINER, &body("(SELECT OLD.* UNION ALL SELECT NEW.*) s")),
        function(
            &truncated,
            DEFINER,
            &format!("{}\n{}", refuse_old_snapshot(), body(&format!("{} s", table(&join.table)))),
        ),
        trigger(
            &join.table,
            &on_table("inserted"),
            "AFTER INSERT",
            "REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT",
            &inserted,
        ),
        trigger(
            &join.table,
            &on_table("deleted"),
            "AFTER DELETE",
            "REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT",
            &deleted,
        ),
        trigger(&join.table, &on_table("updated"), "AFTER UPDATE", &format!("FOR EACH ROW WHEN ({changed})"), &updated),
        trigger(&join.table, &on_table("truncated"), "BEFORE TRUNCATE", "FOR EACH STATEMENT", &truncated),
    ]
}

/// Writes down which rows of the mapping depend on the rows `from` (aliased `s`, rows of the joined table).
fn record(mapping: &Mapping, join: &Join, from: &str) -> String {
    let filter = join.filter.as_ref().map_or_else(String::new, |filter| format!(" WHERE {}", row::render(filter, "s")));
    format!(
        "INSERT INTO lockstep.touch (target, tenancy_id, match_key)\n  SELECT DISTINCT {target}, s.{tenant}, s.{there}::text FROM {from}{filter}",
        target = literal(&target(mapping, join)),
        tenant = identifier(&join.tenant),
        there = identifier(&join.there),
    )
}
