//! What has to be done to tables so that they are as their definitions say.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::MappingName;
use lockstep_mappings::clickhouse::{
    TableDefinition, add_column, allow_inserts, cursor_table, drop_column, drop_table, each_server, keep_replaced,
    literal, local_name, raw_table, replaced_name, source_table, table_name,
};
use lockstep_mappings::{Mapping, MappingSet};

use super::provision::everywhere;
use super::{ClickHouse, Difference, TableShape, differences};
use crate::error::DestinationError;
use crate::provision::{ProvisionError, ProvisionPlan, ProvisionStep, TableAction, TableChange, Wanted};

/// Engines of databases in which two tables can exchange their names.
const EXCHANGING: [&str; 3] = ["Atomic", "Replicated", "Shared"];

/// What there is.
struct Found {
    shapes: BTreeMap<String, TableShape>,
    /// Tables that every server has.
    everywhere: BTreeSet<String>,
    rows: BTreeMap<String, u64>,
    /// What the raw database is, where it exists.
    engine: Option<String>,
}

/// Tables under way to what they must be.
struct Tables<'a> {
    clickhouse: &'a ClickHouse,
    wanted: &'a Wanted,
    found: Found,
    plan: ProvisionPlan,
    other_shape: Vec<String>,
    no_place: Vec<String>,
}

/// Plans the raw tables of these mappings, and Lockstep's own.
pub(super) async fn plan(
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
    wanted: &Wanted,
) -> Result<ProvisionPlan, ProvisionError> {
    let found = look(clickhouse, mappings).await?;
    let (plan, other_shape, no_place) = (ProvisionPlan::default(), Vec::new(), Vec::new());
    let mut tables = Tables { clickhouse, wanted, found, plan, other_shape, no_place };
    for mapping in mappings.iter() {
        tables.of_mapping(mapping);
    }
    let databases = clickhouse.databases();
    for definition in [cursor_table(databases), source_table(databases)] {
        if let Some(found) = tables.differing(&definition) {
            tables.refuse(&definition, &found);
        }
    }
    if !tables.other_shape.is_empty() {
        return Err(ProvisionError::OtherShape(tables.other_shape));
    }
    if !tables.no_place.is_empty() {
        return Err(ProvisionError::NoPlaceBeside(tables.no_place));
    }
    Ok(tables.plan)
}

async fn look(clickhouse: &ClickHouse, mappings: &MappingSet) -> Result<Found, DestinationError> {
    let databases = clickhouse.databases();
    let mut names = vec![cursor_table(databases).name, source_table(databases).name];
    for mapping in mappings.iter() {
        names.extend([table_name(mapping), table_name(&mapping.beside()), replaced_name(mapping)]);
    }
    let local: BTreeSet<_> = names.iter().map(|name| local_name(name, databases)).collect();
    let names: BTreeSet<_> = names.iter().chain(&local).map(String::as_str).collect();
    let database = literal(&databases.raw);
    let rows = format!(
        "SELECT name, sum(ifNull(total_rows, 0)) FROM {} WHERE database = {database} GROUP BY name",
        each_server("tables", databases)
    );
    let rows: Vec<(String, u64)> = clickhouse.fetch_rows(&rows).await?;
    let engine = format!("SELECT engine FROM system.databases WHERE name = {database}");
    let engine: Vec<(String,)> = clickhouse.fetch_rows(&engine).await?;
    Ok(Found {
        shapes: clickhouse.table_shapes(&names.into_iter().collect::<Vec<_>>()).await?,
        everywhere: everywhere(clickhouse, "tables", "name", &format!("database = {database}")).await?,
        rows: rows.into_iter().collect(),
        engine: engine.into_iter().next().map(|(engine,)| engine),
    })
}

/// The tables that a definition makes, with what each has to look like; the one that holds the rows comes first.
fn shapes(definition: &TableDefinition) -> Vec<(String, TableShape)> {
    let rows = TableShape::from(definition);
    let distributed = definition.distributed_engine().map(|engine_full| {
        (definition.name.clone(), TableShape { engine_full, sorting_key: String::new(), ..rows.clone() })
    });
    std::iter::once((definition.local_name(), rows)).chain(distributed).collect()
}

fn full_name(definition: &TableDefinition) -> String {
    format!("{}.{}", definition.database, definition.name)
}

impl Tables<'_> {
    fn create(&mut self, definition: &TableDefinition) {
        let step = ProvisionStep::new(format!("create table {}", full_name(definition)), definition.create());
        self.plan.steps.push(step);
    }

    /// Has a table made where some server lacks it, and changed what makes no difference to rows. Returns in what it differs from its
    /// definition, `None` where there is none.
    fn differing(&mut self, definition: &TableDefinition) -> Option<Vec<Difference>> {
        let shapes = shapes(definition);
        if !shapes.iter().all(|(name, _)| self.found.everywhere.contains(name)) {
            self.create(definition);
        }
        let found = self.differences(&shapes);
        let Some(rows) = self.found.shapes.get(&definition.local_name()) else {
            // Something else may have the name of what is distributed.
            return shapes.iter().any(|(name, _)| self.found.shapes.contains_key(name)).then_some(found);
        };
        let (is_in_time, fsync) = (rows.is_in_time, definition.set_fsync(&rows.engine_full));
        let name = full_name(definition);
        if !is_in_time {
            // The server refuses what comes too late, also where a table was made before that was so.
            let statements = vec![definition.add_in_time()];
            self.plan.steps.push(ProvisionStep::new(format!("constrain table {name}"), statements));
        }
        if let Some(statement) = fsync {
            let what = format!("say when inserts into {name} are on the disk");
            self.plan.steps.push(ProvisionStep::new(what, vec![statement]));
        }
        Some(found)
    }

    /// In what those of these tables differ that are there, each difference once.
    fn differences(&self, shapes: &[(String, TableShape)]) -> Vec<Difference> {
        let mut all = Vec::new();
        for (name, expected) in shapes {
            let found = self.found.shapes.get(name).map(|found| differences(expected, found));
            for difference in found.into_iter().flatten() {
                if !all.contains(&difference) {
                    all.push(difference);
                }
            }
        }
        all
    }

    fn is_there(&self, table: &str) -> bool {
        self.found.shapes.contains_key(&local_name(table, self.clickhouse.databases()))
    }

    fn refuse(&mut self, definition: &TableDefinition, found: &[Difference]) {
        let name = full_name(definition);
        self.other_shape.extend(found.iter().map(|difference| format!("{name}: {difference}")));
    }

    fn note(&mut self, definition: &TableDefinition, action: TableAction, found: &[&Difference]) {
        self.plan.changes.push(TableChange {
            table: full_name(definition),
            action,
            differences: found.iter().map(ToString::to_string).collect(),
            rows: self.found.rows.get(&definition.local_name()).copied().unwrap_or_default(),
        });
    }

    fn of_mapping(&mut self, mapping: &Mapping) {
        let definition = raw_table(mapping, self.clickhouse.databases());
        let Some(found) = self.differing(&definition) else { return self.drop_left_over(mapping) };
        let is_own = self.wanted.own.contains(&mapping.name);
        let needs_another = found.iter().any(|difference| matches!(difference, Difference::Other(_)));
        if !found.is_empty() && !is_own && !self.wanted.rebuild {
            return self.refuse(&definition, &found);
        }
        if needs_another || (!found.is_empty() && !is_own) {
            return self.build_beside(mapping, &definition, &found);
        }
        self.change_columns(&definition, &found);
        if self.found.shapes.get(&definition.local_name()).is_some_and(|shape| shape.is_replaced) {
            let what = format!("let rows into {} again, whose place was not taken", full_name(&definition));
            self.plan.steps.push(ProvisionStep::new(what, vec![allow_inserts(&definition)]));
        }
        self.drop_left_over(mapping);
    }

    fn change_columns(&mut self, definition: &TableDefinition, found: &[Difference]) {
        let name = full_name(definition);
        let (missing, extra): (Vec<_>, Vec<_>) =
            found.iter().partition(|difference| matches!(difference, Difference::Missing(..)));
        let columns = |of: &[&Difference]| -> Vec<String> {
            let column = |difference: &&Difference| match difference {
                Difference::Missing(name, _) | Difference::Extra(name, _) => Some(name.clone()),
                Difference::Other(_) => None,
            };
            of.iter().filter_map(column).collect()
        };
        if !missing.is_empty() {
            let added = columns(&missing);
            // In the order of the definition: each stands behind the one before it.
            let in_order = definition.columns.iter().map(|(column, ..)| column).filter(|column| added.contains(column));
            let statements = in_order.flat_map(|column| add_column(definition, column)).collect();
            self.note(definition, TableAction::ColumnsAdded, &missing);
            self.plan.steps.push(ProvisionStep::new(format!("add {} to {name}", added.join(", ")), statements));
        }
        if !extra.is_empty() && self.wanted.drop_columns {
            let dropped = columns(&extra);
            let statements = dropped.iter().flat_map(|column| drop_column(definition, column)).collect();
            self.note(definition, TableAction::ColumnsDropped, &extra);
            let what = format!("drop {} of {name}", dropped.join(", "));
            self.plan.steps.push(ProvisionStep::after_fills(what, statements));
        } else if !extra.is_empty() {
            self.note(definition, TableAction::ColumnsKept, &extra);
        }
    }

    fn build_beside(&mut self, mapping: &Mapping, definition: &TableDefinition, found: &[Difference]) {
        let databases = self.clickhouse.databases();
        let (name, found) = (full_name(definition), found.iter().collect::<Vec<_>>());
        let beside = raw_table(&mapping.beside(), databases);
        let shapes = shapes(&beside);
        let is_built = shapes.iter().all(|(name, _)| self.found.everywhere.contains(name));
        let is_built = is_built && self.differences(&shapes).is_empty();
        if is_built && self.wanted.under_way.contains(&mapping.name) {
            return self.note(definition, TableAction::BeingBuilt, &found);
        }
        let keep = self.wanted.keep || !self.wanted.own.contains(&mapping.name);
        if keep && self.is_there(&replaced_name(mapping)) {
            let kept = replaced_name(mapping);
            self.no_place.push(format!("{name} is to be kept as {kept}, which exists: drop or rename that table"));
        }
        if databases.cluster.is_some() {
            self.no_place.push(format!(
                "{name} is spread over a cluster, where tables do not take each other's place: set LOCKSTEP_CLICKHOUSE_RAW_DATABASE to a database of another name, as LS-0016 says"
            ));
        }
        if let Some(engine) = self.found.engine.as_deref().filter(|engine| !EXCHANGING.contains(engine)) {
            self.no_place.push(format!(
                "{name} is in a database of engine {engine}, in which tables cannot exchange their names: it must be Atomic"
            ));
        }
        self.note(definition, if keep { TableAction::BuiltBesideAndKept } else { TableAction::BuiltBeside }, &found);
        let statements = self.clear(mapping).into_iter().chain(beside.create()).collect();
        self.plan
            .steps
            .push(ProvisionStep::new(format!("create {}, which takes the place of {name}", beside.name), statements));
        self.plan.rebuilt.push((mapping.name.clone(), keep));
    }

    /// A table that was being built beside, for a definition that is not asked for any more.
    fn drop_left_over(&mut self, mapping: &Mapping) {
        let name = table_name(&mapping.beside());
        if self.is_there(&name) && !self.wanted.under_way.contains(&mapping.name) {
            let what = format!("remove {name}, which nobody needs any more");
            self.plan.steps.push(ProvisionStep::after_fills(what, self.clear(mapping)));
        }
    }

    /// Frees the name of the table beside a mapping's. One whose place was taken already may be somebody else's: it is kept.
    fn clear(&self, mapping: &Mapping) -> Vec<String> {
        let (name, databases) = (table_name(&mapping.beside()), self.clickhouse.databases());
        let was_replaced = self.found.shapes.get(&local_name(&name, databases)).is_some_and(|shape| shape.is_replaced);
        if was_replaced && !self.is_there(&replaced_name(mapping)) {
            return vec![keep_replaced(mapping, databases)];
        }
        drop_table(&name, databases)
    }
}

/// Mappings whose view is made when a table takes another's place, and not before.
pub(super) fn of_other_tables(plan: &ProvisionPlan, wanted: &Wanted) -> BTreeSet<MappingName> {
    plan.rebuilt.iter().map(|(mapping, _)| mapping).chain(&wanted.under_way).cloned().collect()
}
