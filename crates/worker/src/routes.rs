//! The mappings that this worker ships, with what can be prepared before any row is read.

use std::collections::HashMap;

use lockstep_core::{MappingName, TenancyId};
use lockstep_mappings::clickhouse::{Databases, insert};
use lockstep_mappings::codec::RowTranscoder;
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::fuses::Fuses;

/// One mapping's way from its source table to its destination table.
pub(crate) struct Route {
    pub(crate) mapping: Mapping,
    /// The statement whose body the transcoder writes.
    pub(crate) insert: String,
    pub(crate) transcoder: RowTranscoder,
}

/// All mappings, each known by its place from 0, in the order of their definitions.
pub struct Routes {
    routes: Vec<Route>,
    places: HashMap<MappingName, usize>,
}

impl Routes {
    /// The ways of all mappings into these databases.
    pub fn new(set: &MappingSet, databases: &Databases) -> Self {
        let routes: Vec<_> = set
            .iter()
            .map(|mapping| Route {
                mapping: mapping.clone(),
                insert: insert(mapping, databases),
                transcoder: RowTranscoder::new(mapping),
            })
            .collect();
        let places = routes.iter().enumerate().map(|(place, route)| (route.mapping.name.clone(), place)).collect();
        Self { routes, places }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.routes.len()
    }

    pub(crate) fn get(&self, place: usize) -> &Route {
        &self.routes[place]
    }

    pub(crate) fn name(&self, place: usize) -> &MappingName {
        &self.routes[place].mapping.name
    }

    /// Their names, in order.
    pub(crate) fn names(&self) -> Vec<MappingName> {
        self.routes.iter().map(|route| route.mapping.name.clone()).collect()
    }

    pub(crate) fn place(&self, name: &MappingName) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// Whether a fuse stops rows of this tenancy in the mapping of this place.
    pub(crate) fn are_stopped(&self, fuses: &Fuses, tenancy: TenancyId, place: usize) -> bool {
        fuses.stop_tenancy(tenancy) || fuses.stop_mapping(self.name(place))
    }

    /// The places of these names, all places for no names. Unknown names have none.
    pub(crate) fn places(&self, names: &[MappingName]) -> Vec<usize> {
        if names.is_empty() {
            return (0..self.routes.len()).collect();
        }
        names.iter().filter_map(|name| self.place(name)).collect()
    }
}

#[cfg(test)]
pub(crate) fn test_routes() -> Routes {
    let databases = Databases { raw: "raw".to_owned(), views: "views".to_owned(), cluster: None };
    Routes::new(&MappingSet::load(None).unwrap(), &databases)
}
