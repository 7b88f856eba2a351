//! What a line of the inbox is about, as a small number.

use std::fmt;

use super::names::stable_hash;
use crate::mapping::{Join, Mapping};
use crate::set::MappingSet;

/// What a line of `lockstep.inbox` is about. Stored as a hash of its name and key, which is the same in every installation;
/// `lockstep.target` holds the names for people.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Target {
    name: String,
    /// The columns by which a row is told, where lines name one.
    key: String,
}

impl Target {
    /// One row of a mapping, by its key. Also what `lockstep.change.mapping` holds. Lines and changes of another key, from
    /// before a definition was changed, have another number: nobody takes them for what they are not.
    pub fn row(mapping: &Mapping) -> Self {
        let key: Vec<_> = mapping.key_sources().map(|(c, source)| format!("{source} {}", c.column_type)).collect();
        Self { name: mapping.name.to_string(), key: key.join(", ") }
    }

    /// The rows of a mapping that depend, through `join`, on what the line names.
    pub fn dependents(mapping: &Mapping, join: &Join) -> Self {
        Self::named(format!("{}.{}", mapping.name, join.alias))
    }

    /// All rows of a mapping that belong to the tenancy of the line. No join has this name.
    pub fn all_rows(mapping: &Mapping) -> Self {
        Self::named(format!("{}.*", mapping.name))
    }

    /// Rows of a mapping have changed, and nobody knows which: it has to be filled again.
    pub fn refill(mapping: &Mapping) -> Self {
        Self::named(format!("{}!", mapping.name))
    }

    /// A tenancy came, moved or went: all its rows.
    pub fn tenancy() -> Self {
        Self::named("tenancy")
    }

    /// A table was altered: definitions and triggers have to be looked at.
    pub fn catalog() -> Self {
        Self::named("catalog!")
    }

    fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), key: String::new() }
    }

    /// Every target of these definitions.
    pub fn all(set: &MappingSet) -> Vec<Self> {
        set.iter().flat_map(Self::of_mapping).chain([Self::tenancy(), Self::catalog()]).collect()
    }

    /// The targets of one of them.
    pub(super) fn of_mapping(mapping: &Mapping) -> Vec<Self> {
        let joins = mapping.joins.iter().map(|join| Self::dependents(mapping, join));
        [Self::row(mapping), Self::all_rows(mapping), Self::refill(mapping)].into_iter().chain(joins).collect()
    }

    /// The number that stands for it.
    pub fn id(&self) -> i32 {
        let hash = stable_hash(&format!("{} {}", self.name, self.key));
        #[expect(clippy::cast_possible_truncation, reason = "both halves of the hash go into the number")]
        let folded = (hash ^ (hash >> 32)) as u32;
        folded.cast_signed()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_target_has_a_number_of_its_own() {
        let targets = Target::all(&MappingSet::built_in());
        let ids: BTreeSet<_> = targets.iter().map(Target::id).collect();
        assert_eq!(ids.len(), targets.len());
        assert_eq!(targets.len(), 12 * 3 + 2 + 2);
    }
}
