//! Working off touches: finding them, stamping what depends on them, and ending them (CAP-3).

use std::collections::BTreeMap;

use lockstep_core::TenancyId;
use lockstep_mappings::postgres::{SEQUENCE, TENANCY_TOUCH, touch};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::SourceError;
use tokio_postgres::Client;

use super::facts::RowLocks;
use super::lanes::{Stamped, places, stamped_rows};
use super::query::Query;
use crate::plan::touches::{Touch, Walk};

/// The statements of one target.
pub(crate) struct Target {
    /// One for each table whose rows depend on it.
    stamp: Vec<DependentTable>,
    finish: Query,
}

/// Stamps the rows of one table that depend on touches.
pub(crate) struct DependentTable {
    /// Its name, for people.
    pub(crate) name: String,
    statement: Query,
    /// The mappings of the table, by their place in the set.
    mappings: Vec<usize>,
}

/// The statements of all targets.
pub(crate) struct Touches {
    targets: BTreeMap<String, Target>,
    page: Query,
    set_floor: Query,
    delete: Query,
}

impl Touches {
    pub(crate) fn new(set: &MappingSet, locks: &RowLocks) -> Self {
        let sources = set.by_source();
        let mut targets = BTreeMap::new();
        for (source, mappings) in &sources {
            for mapping in mappings {
                let statement = touch::stamp_mapping(mappings, mapping, locks.of(source));
                let whole = Target {
                    stamp: vec![DependentTable::new(set, statement, mapping)],
                    finish: Query::new(touch::finish_tenancy(&[vec![*mapping]])),
                };
                targets.insert(touch::mapping_target(mapping), whole);
                for join in &mapping.joins {
                    let statement = touch::stamp_dependents(mappings, mapping, join, locks.of(source));
                    let target = Target {
                        stamp: vec![DependentTable::new(set, statement, mapping)],
                        finish: Query::new(touch::finish_dependents(mapping, join)),
                    };
                    targets.insert(touch::target(mapping, join), target);
                }
            }
        }
        let stamp = sources.iter().filter_map(|(source, mappings)| {
            let statement = touch::stamp_tenancy(mappings, locks.of(source));
            mappings.first().map(|mapping| DependentTable::new(set, statement, mapping))
        });
        let stamp = stamp.collect();
        let finish = Query::new(touch::finish_tenancy(&sources.into_values().collect::<Vec<_>>()));
        targets.insert(TENANCY_TOUCH.to_owned(), Target { stamp, finish });
        Self {
            targets,
            page: Query::new(
                "SELECT id, target, tenancy_id, floor IS NULL FROM lockstep.touch WHERE id > $1 ORDER BY id LIMIT $2",
            ),
            // One number for all of them, drawn once: under the ordering lock, after they were seen.
            set_floor: Query::new(format!(
                "WITH f AS MATERIALIZED (SELECT nextval('{SEQUENCE}') AS floor) UPDATE lockstep.touch u SET floor = f.floor FROM f WHERE u.id = ANY($1::bigint[]) AND u.floor IS NULL"
            )),
            delete: Query::new("DELETE FROM lockstep.touch WHERE id = ANY($1::bigint[])"),
        }
    }

    /// The target of this name, if any mapping has it.
    pub(crate) fn target(&self, name: &str) -> Option<&Target> {
        self.targets.get(name)
    }

    /// The next `limit` touches.
    pub(crate) async fn page(&self, client: &Client, walk: Walk, limit: i64) -> Result<Vec<Touch>, SourceError> {
        let rows = self.page.rows(client, &[&walk.after(), &limit]).await?;
        let touch = |row: &tokio_postgres::Row| Touch {
            id: row.get(0),
            target: row.get(1),
            tenancy: row.get(2),
            is_new: row.get(3),
        };
        Ok(rows.iter().map(touch).collect())
    }

    /// Gives the touches that are new their floor.
    pub(crate) async fn set_floor(&self, client: &Client, ids: &[i64]) -> Result<(), SourceError> {
        self.set_floor.execute(client, &[&ids]).await.map(drop)
    }

    /// Removes touches of a target that no mapping has.
    pub(crate) async fn delete(&self, client: &Client, ids: &[i64]) -> Result<(), SourceError> {
        self.delete.execute(client, &[&ids]).await.map(drop)
    }
}

impl Target {
    /// The tables whose rows depend on it.
    pub(crate) fn tables(&self) -> &[DependentTable] {
        &self.stamp
    }

    /// Ends the touches that have nothing left to stamp. Returns their tenancies.
    pub(crate) async fn finish(&self, client: &Client, ids: &[i64]) -> Result<Vec<TenancyId>, SourceError> {
        let rows = self.finish.rows(client, &[&ids]).await?;
        Ok(rows.iter().map(|row| TenancyId::new(row.get(0))).collect())
    }
}

impl DependentTable {
    /// `mapping` is any of the table's.
    fn new(set: &MappingSet, statement: String, mapping: &Mapping) -> Self {
        let mappings = places(set, |other| other.source == mapping.source);
        Self { name: mapping.source.name.clone(), statement: Query::new(statement), mappings }
    }

    /// Stamps up to `limit` rows that depend on these touches.
    pub(crate) async fn stamp(&self, client: &Client, ids: &[i64], limit: i64) -> Result<Stamped, SourceError> {
        Ok(stamped_rows(&self.mappings, &self.statement.rows(client, &[&ids, &limit]).await?))
    }
}
