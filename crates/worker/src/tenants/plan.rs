//! What a visit does with each mapping. Pure.

use std::collections::HashMap;

use lockstep_core::{MappingName, SequenceId};
use lockstep_destinations::postgres::{FillPosition, MappingState};
use lockstep_mappings::postgres::tenant_fill;

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
/// Whoever owns the database can write there what they like.
pub(super) const NO_KEY: &str = "its database does not say how far the last fill came";
pub(super) const FIRST_FILL: &str = "it was never filled";
pub(super) const ASKED_FOR: &str = "somebody asked for it";
pub(super) const TABLE_CHANGED: &str = "its table was made, or gained columns";

/// What is done with a mapping that stands there. `table_changed`: it was just made to fit.
pub(super) fn action(
    mapping: MappingIndex,
    mappings: &Mappings,
    states: &HashMap<MappingName, MappingState>,
    known: &Known,
    table_changed: bool,
) -> Action {
    let name = mappings.name(mapping);
    if known.mappings.get(name.as_str()).is_some_and(|known| known.refill_requested.is_some()) {
        return Action::Fill(ASKED_FOR);
    }
    match states.get(name) {
        None | Some(MappingState::Absent) => Action::Fill(FIRST_FILL),
        Some(_) if !known.mappings.get(name.as_str()).is_some_and(|known| known.was_filled) => Action::Fill(UNKNOWN),
        Some(_) if table_changed => Action::Fill(TABLE_CHANGED),
        Some(MappingState::Filling(position)) => {
            let definition = mappings.get(mapping);
            let is_key = position.after.as_deref().is_none_or(|after| tenant_fill::is_key(definition, after));
            if is_key { Action::GoOn(position.clone()) } else { Action::Fill(NO_KEY) }
        }
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::mappings::test_mappings;
    use crate::storage::tenants::KnownMapping;
    use lockstep_schema::tenant_destinations::mappings::MappingState as Doing;

    const CURSOR: SequenceId = SequenceId::new(40);

    fn decided(state: MappingState, refill_requested: Option<&str>, table_changed: bool) -> Action {
        let mappings = test_mappings();
        let mapping = mappings.all().next().unwrap();
        let name = mappings.name(mapping);
        let refill_requested = refill_requested.map(str::to_owned);
        let told = KnownMapping { state: Doing::Streaming, was_filled: true, refill_requested };
        let known = Known { mappings: [(name.to_string(), told)].into(), head: SequenceId::new(90) };
        action(mapping, &mappings, &HashMap::from([(name.clone(), state)]), &known, table_changed)
    }

    #[test]
    fn a_mapping_is_filled_first_and_again_where_somebody_asks() {
        assert_eq!(decided(MappingState::Absent, None, false), Action::Fill(FIRST_FILL));
        assert_eq!(decided(MappingState::At(CURSOR), None, false), Action::Stream);
        assert_eq!(decided(MappingState::At(CURSOR), Some("today"), false), Action::Fill(ASKED_FOR));
        assert_eq!(decided(MappingState::At(CURSOR), None, true), Action::Fill(TABLE_CHANGED));
    }

    #[test]
    fn a_fill_goes_on_where_it_was_unless_it_is_asked_for_again() {
        let position = FillPosition {
            id: uuid::Uuid::nil(),
            version: CURSOR,
            after: Some(vec![uuid::Uuid::nil().to_string()]),
            rows: 7,
        };
        assert_eq!(decided(MappingState::Filling(position.clone()), None, false), Action::GoOn(position.clone()));
        assert_eq!(decided(MappingState::Filling(position), Some("today"), false), Action::Fill(ASKED_FOR));
    }

    #[test]
    fn dest_1_what_a_database_says_of_a_fill_is_no_key_unless_it_can_be_one() {
        for after in [vec![], vec!["no uuid".to_owned()], vec![uuid::Uuid::nil().to_string(); 2]] {
            let position = FillPosition { id: uuid::Uuid::nil(), version: CURSOR, after: Some(after), rows: 7 };
            assert_eq!(decided(MappingState::Filling(position), None, false), Action::Fill(NO_KEY));
        }
    }

    #[test]
    fn src_1_a_cursor_that_the_registry_knows_nothing_of_is_not_trusted() {
        let mappings = test_mappings();
        let mapping = mappings.all().next().unwrap();
        let known = Known { mappings: BTreeMap::new(), head: SequenceId::new(90) };
        let states = HashMap::from([(mappings.name(mapping).clone(), MappingState::At(CURSOR))]);
        assert_eq!(action(mapping, &mappings, &states, &known, false), Action::Fill(UNKNOWN));
    }
}
