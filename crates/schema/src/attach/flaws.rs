//! In what the triggers and functions of a live database differ from those that capture needs. Pure.

use std::collections::BTreeMap;

use lockstep_mappings::postgres::capture::{self, CaptureObject};
use lockstep_mappings::{MappingSet, SourceTable};

use super::inspect::{Live, LiveObject};

/// What is wrong with an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlawKind {
    /// It is not there.
    Missing,
    /// A trigger that never fires.
    Disabled,
    /// A trigger that does not fire for every session: for `session_replication_role = replica` it does not, or for no
    /// other.
    NotAlways,
    /// It is not what was installed: replaced, or switched off and on again.
    Altered,
    /// It looks at an update only where the statement names a watched column, and since it was installed a trigger of somebody
    /// else's came that may change columns on the way.
    Outflanked,
    /// It was installed by another version, or for other definitions.
    Outdated,
}

impl FlawKind {
    /// Whether changes may have gone unnoticed because of it. An outdated trigger notices what its definitions say.
    pub const fn may_have_missed(self) -> bool {
        !matches!(self, Self::Outdated)
    }
}

/// A trigger or function that is not as capture needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flaw {
    /// The table of a trigger; none for a function.
    pub table: Option<SourceTable>,
    /// The trigger's name, or the function's with its argument types.
    pub name: String,
    /// What is wrong.
    pub kind: FlawKind,
}

/// `pg_trigger.tgenabled` of a trigger that fires whatever `session_replication_role` is.
pub(super) const ALWAYS: char = 'A';
/// The same of one that never fires.
const DISABLED: char = 'D';

/// Everything that is not as it must be, functions first.
pub fn flaws(set: &MappingSet, live: &Live) -> Vec<Flaw> {
    let relaxed = live.relaxed();
    let expected = capture::objects(set, &live.facts, &relaxed);
    let mut alone = live.facts.clone();
    alone.values_mut().for_each(|table| table.has_before_update = false);
    let before: BTreeMap<_, _> = capture::objects(set, &alone, &relaxed)
        .into_iter()
        .map(|object| ((object.table.clone(), object.name.clone()), object))
        .collect();
    let flaw = |object: &CaptureObject| {
        let mut kind = flaw_of(object, live)?;
        let was = before.get(&(object.table.clone(), object.name.clone())).filter(|was| *was != object);
        if kind == FlawKind::Outdated && was.is_some_and(|was| flaw_of(was, live).is_none()) {
            kind = FlawKind::Outflanked;
        }
        Some(Flaw { table: object.table.clone(), name: object.name.clone(), kind })
    };
    expected.iter().filter_map(flaw).collect()
}

/// What is wrong with one object; nothing where it is as installed.
pub(super) fn flaw_of(object: &CaptureObject, live: &Live) -> Option<FlawKind> {
    let found = match &object.table {
        Some(on) => live.triggers.get(&(on.clone(), object.name.clone())),
        None => live.functions.get(&object.name),
    };
    let Some(LiveObject { fingerprint, untouched, enabled }) = found else { return Some(FlawKind::Missing) };
    match enabled {
        Some(DISABLED) => Some(FlawKind::Disabled),
        Some(enabled) if *enabled != ALWAYS => Some(FlawKind::NotAlways),
        _ if *fingerprint != object.fingerprint() => Some(FlawKind::Outdated),
        _ if !untouched => Some(FlawKind::Altered),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lockstep_mappings::postgres::facts::{ColumnFacts, SourceFacts};

    use super::*;

    /// A database in which all of it is installed as it is expected for these facts.
    fn installed(set: &MappingSet, facts: &SourceFacts) -> Live {
        let mut live = Live { facts: facts.clone(), ..Live::default() };
        for object in capture::objects(set, facts, &live.relaxed()) {
            let enabled = object.table.is_some().then_some(ALWAYS);
            let found = LiveObject { fingerprint: object.fingerprint(), untouched: true, enabled };
            match &object.table {
                Some(on) => drop(live.triggers.insert((on.clone(), object.name.clone()), found)),
                None => drop(live.functions.insert(object.name.clone(), found)),
            }
        }
        live
    }

    #[test]
    fn a_trigger_of_somebody_else_s_that_may_change_json_on_the_way_is_told() {
        let set = MappingSet::built_in();
        let users = set.get(&"users".parse().unwrap()).unwrap().source.clone();
        let mut facts = SourceFacts::new();
        let json = ColumnFacts { typname: "jsonb".to_owned(), ..ColumnFacts::default() };
        facts.entry(users.clone()).or_default().columns.insert("clientMetadata".to_owned(), json);
        let mut live = installed(&set, &facts);
        assert_eq!(flaws(&set, &live), []);
        live.facts.get_mut(&users).unwrap().has_before_update = true;
        let name = "lockstep_users_updated".to_owned();
        let expected = Flaw { table: Some(users), name, kind: FlawKind::Outflanked };
        assert!(expected.kind.may_have_missed());
        assert_eq!(flaws(&set, &live), [expected]);
    }

    #[test]
    fn whatever_was_done_to_a_trigger_or_a_function_is_told() {
        let set = MappingSet::built_in();
        let mut live = Live::default();
        let expected = capture::objects(&set, &live.facts, &live.relaxed());
        assert_eq!(flaws(&set, &live).len(), expected.len(), "nothing is there");
        live = installed(&set, &SourceFacts::new());
        assert_eq!(flaws(&set, &live), []);
        let (key, sound) = live.triggers.first_key_value().map(|(key, found)| (key.clone(), found.clone())).unwrap();
        for (changed, kind) in [
            (LiveObject { enabled: Some('D'), untouched: false, ..sound.clone() }, FlawKind::Disabled),
            (LiveObject { enabled: Some('O'), untouched: false, ..sound.clone() }, FlawKind::NotAlways),
            (LiveObject { fingerprint: "lockstep 0".to_owned(), ..sound.clone() }, FlawKind::Outdated),
            (LiveObject { untouched: false, ..sound }, FlawKind::Altered),
        ] {
            live.triggers.insert(key.clone(), changed);
            let expected = Flaw { table: Some(key.0.clone()), name: key.1.clone(), kind };
            assert_eq!(flaws(&set, &live), [expected]);
        }
    }
}
