//! The mappings that this worker ships.

use std::collections::HashMap;
use std::sync::Arc;

use lockstep_core::{MappingName, TenancyId};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::definitions::Known;
use lockstep_schema::pauses::Pauses;

/// One of the [`Mappings`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MappingIndex(usize);

/// All mappings, in the order of their definitions.
pub struct Mappings {
    mappings: Vec<Arc<Mapping>>,
    /// The same, with rows that go into the table beside.
    beside: Vec<Arc<Mapping>>,
    known: Known,
    indices: HashMap<MappingName, MappingIndex>,
}

impl Mappings {
    /// Those of this set.
    pub fn new(set: &MappingSet) -> Self {
        let mappings: Vec<_> = set.iter().cloned().map(Arc::new).collect();
        let named = mappings.iter().enumerate();
        let indices = named.map(|(index, mapping)| (mapping.name.clone(), MappingIndex(index))).collect();
        let beside = mappings.iter().map(|mapping| Arc::new(mapping.beside())).collect();
        Self { mappings, beside, known: Known::new(set.iter()), indices }
    }

    /// Every one of them, in order.
    pub fn all(&self) -> impl Iterator<Item = MappingIndex> + use<> {
        (0..self.mappings.len()).map(MappingIndex)
    }

    /// The one of this name, if there is one.
    pub fn index(&self, name: &MappingName) -> Option<MappingIndex> {
        self.indices.get(name).copied()
    }

    /// Those of these names, all for no names. Unknown names are left out.
    pub(crate) fn named(&self, names: &[MappingName]) -> Vec<MappingIndex> {
        if names.is_empty() {
            return self.all().collect();
        }
        names.iter().filter_map(|name| self.index(name)).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().map(AsRef::as_ref)
    }

    pub(crate) fn get(&self, index: MappingIndex) -> &Arc<Mapping> {
        &self.mappings[index.0]
    }

    /// The same, with its rows where they go at the moment: into its own table, or the one beside.
    pub(crate) fn placed(&self, index: MappingIndex, is_beside: bool) -> &Arc<Mapping> {
        if is_beside { &self.beside[index.0] } else { self.get(index) }
    }

    /// What they are, for comparison with what `lockstep migrate` has set up.
    pub(crate) const fn known(&self) -> &Known {
        &self.known
    }

    pub(crate) fn name(&self, index: MappingIndex) -> &MappingName {
        &self.mappings[index.0].name
    }

    pub(crate) fn names(&self) -> Vec<MappingName> {
        self.iter().map(|mapping| mapping.name.clone()).collect()
    }

    /// Whether rows of this tenancy in this mapping are paused.
    pub(crate) fn are_paused(&self, pauses: &Pauses, tenancy: TenancyId, index: MappingIndex) -> bool {
        pauses.is_tenancy_paused(tenancy) || pauses.is_mapping_paused(self.name(index))
    }
}

#[cfg(test)]
pub(crate) fn test_mappings() -> Mappings {
    Mappings::new(&MappingSet::built_in())
}
