//! Indexes of Lockstep's own on source tables, built CONCURRENTLY.

use super::expand::dependents_index;
use super::names::{identifier, object_name, table};
use crate::mapping::{Join, Mapping, SourceTable};
use crate::set::MappingSet;

/// An index that must be there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexSpec {
    /// Its table.
    pub table: SourceTable,
    /// What it is called.
    pub name: String,
    /// Key columns and expressions, as SQL.
    pub keys: Vec<String>,
    /// Partial index predicate, as SQL.
    pub predicate: Option<String>,
}

impl IndexSpec {
    /// The statement that builds it; it cannot run inside a transaction.
    pub fn create(&self) -> String {
        let predicate = self.predicate.as_ref().map_or_else(String::new, |predicate| format!(" WHERE {predicate}"));
        format!(
            "CREATE INDEX CONCURRENTLY {} ON {} ({}){predicate}",
            identifier(&self.name),
            table(&self.table),
            self.keys.join(", ")
        )
    }

    /// The statement that removes one that a killed run left invalid.
    pub fn drop(&self) -> String {
        format!("DROP INDEX CONCURRENTLY {}.{}", identifier(&self.table.schema), identifier(&self.name))
    }
}

/// Every index that the definitions need: one for each search of rows that depend on another table, where the definition
/// asks for it. Everything else is found by indexes that the platform has.
pub fn needed(set: &MappingSet) -> Vec<IndexSpec> {
    let of_join = |mapping: &Mapping, join: &Join| {
        let (keys, predicate) = dependents_index(mapping, join);
        let name = object_name(&["lockstep", mapping.name.as_str(), &join.alias]);
        IndexSpec { table: mapping.source.clone(), name, keys, predicate }
    };
    set.iter()
        .flat_map(|mapping| mapping.joins.iter().filter(|join| join.index).map(move |join| of_join(mapping, join)))
        .collect()
}
