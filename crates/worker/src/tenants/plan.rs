//! What a visit does with each mapping. Pure.

use std::collections::HashMap;

use lockstep_core::{MappingName, SequenceId};
use lockstep_destinations::postgres::{FillPosition, MappingState};

use crate::mappings::{MappingIndex, Mappings};
use crate::storage::tenants::Known;

/// What a visit does with a mapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// It is filled from the beginning, for this reason.
    Fill(&'static str),
    /// Its fill goes on.
    GoOn(FillPosition),
    /// It follows its changes.
    Stream,
}

/// The registry knows nothing of it: it was added anew, or the source was restored to a time before. What its cursor counts may
/// be other numbers.
pub(super) const UNKNOWN: &str = "it was added anew";
pub(super) const FIRST_FILL: &str = "it was never filled";
pub(super) const ASKED_FOR: &str = "somebody asked for it";
pub(super) const TABLE_CHANGED: &str = "its table was made, or gained columns";
pub(super) const RETENTION: &str = "changes that it had not passed are not kept any more";

/// What is done with a mapping that stands there. `table_changed`: it was just made to fit.
pub(super) fn action(
    mapping: MappingIndex,
    mappings: &Mappings,
    states: &HashMap<MappingName, MappingState>,
    known: &Known,
    table_changed: bool,
) -> Action {
    let name = mappings.name(mapping);
    if known.mappings.get(name.as_str()).is_some_and(|known| known.is_refill_requested) {
        return Action::Fill(ASKED_FOR);
    }
    match states.get(name) {
        None | Some(MappingState::Absent) => Action::Fill(FIRST_FILL),
        Some(_) if !known.mappings.contains_key(name.as_str()) => Action::Fill(UNKNOWN),
        Some(_) if table_changed => Action::Fill(TABLE_CHANGED),
        Some(MappingState::Filling(position)) if position.version < known.kept_above => Action::Fill(RETENTION),
        Some(MappingState::Filling(position)) => Action::GoOn(position.clone()),
        Some(MappingState::At(cursor)) if *cursor < known.kept_above => Action::Fill(RETENTION),
        Some(MappingState::At(_)) => Action::Stream,
    }
}

/// Through which number a mapping holds everything, or will when its fill has ended: changes above it are still needed.
pub(super) fn needed_above(state: &MappingState) -> Option<SequenceId> {
    match state {
        MappingState::Absent => None,
        MappingState::Filling(position) => Some(position.version),
        MappingState::At(cursor) => Some(*cursor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mappings::test_mappings;
    use crate::storage::tenants::KnownMapping;

    const CURSOR: SequenceId = SequenceId::new(40);

    fn decided(state: MappingState, kept_above: i64, is_refill_requested: bool, table_changed: bool) -> Action {
        let mappings = test_mappings();
        let mapping = mappings.all().next().unwrap();
        let name = mappings.name(mapping);
        let state_of = KnownMapping { state: "streaming".to_owned(), is_refill_requested };
        let known = Known {
            mappings: [(name.to_string(), state_of)].into(),
            head: SequenceId::new(90),
            kept_above: SequenceId::new(kept_above),
        };
        action(mapping, &mappings, &HashMap::from([(name.clone(), state)]), &known, table_changed)
    }

    #[test]
    fn a_mapping_is_filled_first_and_again_where_its_changes_are_gone_or_somebody_asks() {
        assert_eq!(decided(MappingState::Absent, 0, false, false), Action::Fill(FIRST_FILL));
        assert_eq!(decided(MappingState::At(CURSOR), 40, false, false), Action::Stream);
        assert_eq!(decided(MappingState::At(CURSOR), 41, false, false), Action::Fill(RETENTION));
        assert_eq!(decided(MappingState::At(CURSOR), 0, true, false), Action::Fill(ASKED_FOR));
        assert_eq!(decided(MappingState::At(CURSOR), 0, false, true), Action::Fill(TABLE_CHANGED));
    }

    #[test]
    fn a_fill_goes_on_where_it_was_unless_the_changes_since_are_gone() {
        let position =
            FillPosition { id: uuid::Uuid::nil(), version: CURSOR, after: Some(vec!["k".to_owned()]), rows: 7 };
        assert_eq!(decided(MappingState::Filling(position.clone()), 40, false, false), Action::GoOn(position.clone()));
        assert_eq!(decided(MappingState::Filling(position), 41, false, false), Action::Fill(RETENTION));
    }
}
