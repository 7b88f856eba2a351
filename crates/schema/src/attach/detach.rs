//! Taking everything away again. Pure.

use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::{identifier, indexes, table};

use super::inspect::Live;
use super::plan::{Mode, Part, Step, step};

/// The steps after which nothing of Lockstep's is left in the database: triggers table by table, event triggers, indexes,
/// and then the schema with everything in it.
pub fn detach(set: &MappingSet, live: &Live) -> Vec<Step> {
    let mut steps = Vec::new();
    if !live.event_triggers.is_empty() {
        let drop = |name: &String| format!("DROP EVENT TRIGGER IF EXISTS {}", identifier(name));
        let statements = live.event_triggers.keys().map(drop).collect();
        steps.push(step(Part::Triggers, "drop the event triggers", Mode::Transaction, statements));
    }
    let mut tables: Vec<_> = live.triggers.keys().map(|(on, _)| on).collect();
    tables.dedup();
    for on in tables {
        let of_table = live.triggers.keys().filter(|(other, _)| other == on);
        let drop = |(on, name): &(_, String)| format!("DROP TRIGGER IF EXISTS {} ON {}", identifier(name), table(on));
        let statements: Vec<_> = of_table.map(drop).collect();
        let what = format!("drop {} capture triggers of {}", statements.len(), on.name);
        steps.push(step(Part::Triggers, what, Mode::Transaction, statements));
    }
    for spec in indexes::needed(set) {
        if live.indexes.contains_key(&(spec.table.clone(), spec.name.clone())) {
            steps.push(step(Part::Indexes, format!("drop index {}", spec.name), Mode::Alone, vec![spec.drop()]));
        }
    }
    if live.is_controlled {
        let statements = vec!["DROP SCHEMA IF EXISTS lockstep CASCADE".to_owned()];
        steps.push(step(Part::Control, "drop schema lockstep with everything in it", Mode::Transaction, statements));
    }
    steps
}
