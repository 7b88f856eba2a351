//! Which mappings have to be filled, and why, as steps. Pure.

use std::collections::BTreeMap;

use lockstep_core::{DestinationId, MappingName};
use lockstep_mappings::postgres::{literal, table};
use lockstep_mappings::{Mapping, MappingSet, SourceTable};

use super::flaws::{Flaw, FlawKind, flaws};
use super::inspect::Live;
use super::plan::{Mode, Part, Step, step};
use super::shape::{may_have_changed, shape};
use crate::definitions::{Recorded, forget, record};
use crate::fills;
use crate::locks::ORDERING_LOCK;

/// What becomes of a table whose place another takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replaced {
    /// It is dropped.
    Dropped,
    /// It is kept under another name.
    Kept,
}

/// The fills that have to begin: of a mapping that is new, of one whose definition or table has changed, and where changes
/// may have gone unnoticed, because a trigger was away or disabled, or the table was altered while nobody looked.
pub(super) fn fill_steps(set: &MappingSet, live: &Live, rebuilt: &BTreeMap<MappingName, Replaced>) -> Vec<Step> {
    let flaws = if live.captured.is_empty() { Vec::new() } else { flaws(set, live) };
    let mut steps = Vec::new();
    for mapping in set.iter() {
        let replaced = rebuilt.get(&mapping.name).copied();
        if let Some(reason) = reason(set, live, &flaws, mapping, replaced) {
            let what = format!("begin to fill {}: {reason}", mapping.name);
            steps.push(step(Part::Fills, what, Mode::Transaction, begin(mapping, live, replaced, reason)));
        }
    }
    let gone: Vec<_> = live
        .definitions
        .keys()
        .filter(|name| !set.iter().any(|mapping| mapping.name.as_str() == name.as_str()))
        .map(String::as_str)
        .collect();
    if !gone.is_empty() {
        let what = format!("forget the definitions of {}, which are gone", gone.join(", "));
        steps.push(step(Part::Control, what, Mode::Transaction, vec![forget(&gone)]));
    }
    steps
}

fn reason(
    set: &MappingSet,
    live: &Live,
    flaws: &[Flaw],
    mapping: &Mapping,
    replaced: Option<Replaced>,
) -> Option<&'static str> {
    let missed = |table: &SourceTable| {
        live.captured.get(table).is_some_and(|captured| {
            let facts = live.facts.get(table);
            let is_flawed = flaws.iter().any(|flaw| match &flaw.table {
                Some(on) => on == table && flaw.kind.may_have_missed(),
                // A function may be of whatever table. One that is missing is new, or took its triggers along.
                None => flaw.kind == FlawKind::Altered,
            });
            is_flawed || facts.is_none_or(|facts| may_have_changed(&captured.shape, &shape(set, table, facts)))
        })
    };
    let recorded = live.definitions.get(mapping.name.as_str());
    if replaced.is_some() {
        Some("its table in ClickHouse is built anew")
    } else if !live.fills.contains(mapping.name.as_str()) {
        Some("first fill")
    } else if recorded.is_none_or(|recorded| recorded.exported != mapping.export_fingerprint()) {
        Some("its definition has changed")
    } else if tables(mapping).any(missed) {
        Some("changes may have gone unnoticed")
    } else {
        None
    }
}

fn tables(mapping: &Mapping) -> impl Iterator<Item = &SourceTable> {
    mapping.joins.iter().map(|join| &join.table).chain([&mapping.source])
}

/// The statements that begin a fill, and with it write down what the mapping is from now on.
fn begin(mapping: &Mapping, live: &Live, replaced: Option<Replaced>, reason: &str) -> Vec<String> {
    let destination = DestinationId::clickhouse();
    let recorded = live.definitions.get(mapping.name.as_str());
    let is_new = |now: fn(&Recorded) -> &str| recorded.is_none_or(|before| now(before) != now(&Recorded::of(mapping)));
    let mut statements = Vec::new();
    if recorded.is_some() && is_new(|recorded| &recorded.captured) {
        // Transactions that have written lines as it was captured before end first: the fill reads what they leave.
        let tables: Vec<_> = tables(mapping).map(table).collect();
        statements.push(format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", tables.join(", ")));
    }
    let is_changed = is_new(|recorded| &recorded.exported);
    if recorded.is_some() && is_changed {
        // The fill judges every row anew, and their keys may be other ones now.
        statements
            .push(format!("DELETE FROM lockstep.quarantine WHERE mapping_name = {}", literal(mapping.name.as_str())));
    }
    if is_changed || replaced.is_some() {
        statements.push(format!("SELECT pg_advisory_xact_lock({ORDERING_LOCK})"));
        statements.push(record(mapping));
    }
    statements.extend(fills::begin(mapping, &destination, reason));
    statements.push(fills::ask_tenants(mapping));
    if is_changed || replaced.is_some() {
        let keep_replaced = replaced.map(|replaced| replaced == Replaced::Kept);
        statements.push(fills::build_beside(mapping, &destination, keep_replaced));
    }
    statements
}
