//! Indexes that stamping, reading and touching rely on. Built CONCURRENTLY where no index like it exists.

use super::names::{FLAG_COLUMN, SEQUENCE_COLUMN, deleted_row_table, object_name};
use super::quote::{identifier, table};
use super::touch;
use crate::mapping::{Mapping, SourceTable};
use crate::set::MappingSet;
use crate::template::ColumnRef;

/// An index that must be there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexSpec {
    /// Its table.
    pub table: SourceTable,
    /// What ours is called; one of another name that does the same is as good.
    pub name: String,
    /// Key columns and expressions, as SQL.
    pub keys: Vec<String>,
    /// Partial index predicate, as SQL.
    pub predicate: Option<String>,
    /// For people.
    pub purpose: &'static str,
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

    /// Whether a valid index with these keys and this predicate (as `pg_get_indexdef` and `pg_get_expr` print them)
    /// does what this one is for.
    pub fn is_served_by(&self, keys: &[String], predicate: Option<&str>) -> bool {
        let plain = |name: &String| name.trim_matches('"').to_owned();
        let wanted: Vec<_> = self.keys.iter().map(plain).collect();
        let mut found: Vec<_> = keys.iter().map(plain).collect();
        // An index on flagged rows may start with the flag itself: it is the same for all of them.
        if self.is_flagged() && found.first().is_some_and(|first| first == FLAG_COLUMN) {
            found.remove(0);
        }
        found.starts_with(&wanted) && self.predicate_serves(predicate)
    }

    fn is_flagged(&self) -> bool {
        self.predicate.as_deref() == Some(&identifier(FLAG_COLUMN))
    }

    fn predicate_serves(&self, found: Option<&str>) -> bool {
        match (&self.predicate, found) {
            (None, None) => true,
            (Some(_), Some(found)) if self.is_flagged() => {
                let found = found.trim_matches(['(', ')']);
                found == identifier(FLAG_COLUMN) || found == format!("{} = true", identifier(FLAG_COLUMN))
            }
            // Other predicates are compared by name only: ours is built beside whatever else is there.
            _ => false,
        }
    }
}

/// Every index that the definitions need, tables in order of name.
pub fn needed(set: &MappingSet) -> Vec<IndexSpec> {
    let deleted = deleted_row_table();
    let mut specs = vec![
        flagged(&deleted, &["tenancyId"]),
        IndexSpec {
            name: object_name(&["lockstep", &deleted.name, "sequence"]),
            keys: ["tenancyId", "tableName", SEQUENCE_COLUMN].map(identifier).to_vec(),
            table: deleted,
            predicate: None,
            purpose: "tombstones above a cursor",
        },
    ];
    for (source, mappings) in set.by_source() {
        let Some(first) = mappings.first() else { continue };
        specs.push(flagged(source, &super::row::tenant_columns(&first.tenant)));
        for mapping in mappings {
            let spec = sequence(mapping);
            if !specs
                .iter()
                .any(|other| other.table == spec.table && other.keys == spec.keys && other.predicate == spec.predicate)
            {
                specs.push(spec);
            }
            for join in mapping.joins.iter().filter(|join| join.index) {
                let (keys, predicate) = touch::dependents_index(mapping, join);
                let name = object_name(&["lockstep", mapping.name.as_str(), &join.alias]);
                let purpose = "rows that depend on another table";
                specs.push(IndexSpec { table: source.clone(), name, keys, predicate, purpose });
            }
        }
    }
    specs
}

fn flagged(source: &SourceTable, tenant: &[&str]) -> IndexSpec {
    IndexSpec {
        table: source.clone(),
        name: object_name(&["lockstep", &source.name, "flagged"]),
        keys: tenant.iter().map(|column| identifier(column)).collect(),
        predicate: Some(identifier(FLAG_COLUMN)),
        purpose: "rows that wait to be stamped",
    }
}

fn sequence(mapping: &Mapping) -> IndexSpec {
    let tenant = super::row::tenant_columns(&mapping.tenant);
    // Where many rows of the table are not of this mapping, reading must not step over them again and again.
    let selective = tenant.len() > 1;
    let predicate = mapping.filter.as_ref().filter(|_| selective).map(|filter| {
        filter.render(|reference| match reference {
            ColumnRef::Source(column) => identifier(column),
            _ => "NULL".to_owned(),
        })
    });
    let subject = if predicate.is_some() { mapping.name.as_str() } else { &mapping.source.name };
    IndexSpec {
        table: mapping.source.clone(),
        name: object_name(&["lockstep", subject, "sequence"]),
        keys: tenant.iter().copied().chain([SEQUENCE_COLUMN]).map(identifier).collect(),
        predicate,
        purpose: "rows above a cursor",
    }
}
