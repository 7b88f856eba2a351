//! The databases, tables and views of `lockstep migrate`, and who may read them: what there is, and what is missing.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::{
    IN_TIME, TableDefinition, create_databases, cursor_table, each_server, literal, raw_table, source_table, view,
    view_select,
};

use super::{ClickHouse, TableShape, differences, version};
use crate::error::DestinationError;
use crate::provision::{Provision, ProvisionError, ProvisionPlan, ProvisionStep, Wanted};

impl Provision for ClickHouse {
    async fn plan(&self, mappings: &MappingSet, wanted: Wanted) -> Result<ProvisionPlan, ProvisionError> {
        version::check(self).await?;
        let databases = self.databases();
        let mut plan = ProvisionPlan::default();
        let create = missing_databases(self).await?;
        if !create.is_empty() {
            plan.steps.push(ProvisionStep { what: "create databases".to_owned(), statements: create });
        }
        let own = [cursor_table(databases), source_table(databases)];
        let definitions: Vec<_> = mappings.iter().map(|mapping| raw_table(mapping, databases)).chain(own).collect();
        plan.steps.extend(tables(self, &definitions).await?);
        let views = views(self, mappings, wanted.replace_views).await?;
        // Policies come before the views that they protect, and grants after them: nobody reads a view without its policy.
        let access =
            if self.can_manage_access().await? { self.access_steps(mappings).await? } else { [vec![], vec![]] };
        let [protect, allow] = access;
        plan.steps.extend(protect.into_iter().chain(views).chain(allow));
        Ok(plan)
    }

    async fn apply(&self, step: &ProvisionStep) -> Result<(), DestinationError> {
        for statement in &step.statements {
            self.execute(statement).await?;
        }
        Ok(())
    }

    async fn check(&self, mappings: &MappingSet) -> Result<ProvisionPlan, ProvisionError> {
        self.ping().await?;
        self.plan(mappings, Wanted::default()).await
    }
}

impl ClickHouse {
    /// What these tables of the raw database look like, by name; those that do not exist, or that this user may not see,
    /// are left out. On a cluster a column is there as often as servers have it in another form. Two questions to the server.
    ///
    /// # Errors
    /// What the server says.
    pub async fn table_shapes(&self, tables: &[&str]) -> Result<BTreeMap<String, TableShape>, DestinationError> {
        let names: Vec<_> = tables.iter().map(|name| literal(name)).collect();
        let (database, names) = (literal(&self.databases.raw), names.join(","));
        let sql = format!(
            "SELECT name, any(engine_full), any(partition_key), any(sorting_key), min(position(create_table_query, 'CONSTRAINT {IN_TIME} CHECK')) > 0 FROM {} WHERE database = {database} AND name IN ({names}) GROUP BY name",
            each_server("tables", &self.databases),
        );
        let found: Vec<(String, String, String, String, u8)> = self.fetch_rows(&sql).await?;
        let mut shapes: BTreeMap<_, _> = found
            .into_iter()
            .map(|(name, engine_full, partition_key, sorting_key, in_time)| {
                let (columns, is_in_time) = (Vec::new(), in_time == 1);
                (name, TableShape { engine_full, partition_key, sorting_key, columns, is_in_time })
            })
            .collect();
        // A default of another kind says which.
        let sql = format!(
            "SELECT table, name, type, if(default_kind IN ('', 'DEFAULT'), default_expression, default_kind || ' ' || default_expression) AS default \
             FROM {} WHERE database = {database} AND table IN ({names}) \
             GROUP BY table, name, type, default ORDER BY table, min(position)",
            each_server("columns", &self.databases),
        );
        let columns: Vec<(String, String, String, String)> = self.fetch_rows(&sql).await?;
        for (table, name, column_type, default) in columns {
            if let Some(shape) = shapes.get_mut(&table) {
                shape.columns.push((name, column_type, default));
            }
        }
        Ok(shapes)
    }
}

/// Those of these names that every server has, of a table of `system` that lists them.
async fn everywhere(
    clickhouse: &ClickHouse,
    table: &str,
    column: &str,
    condition: &str,
) -> Result<BTreeSet<String>, DestinationError> {
    let databases = clickhouse.databases();
    let sql = format!(
        "SELECT {column} FROM {} WHERE {condition} GROUP BY {column} HAVING count() = (SELECT count() FROM {})",
        each_server(table, databases),
        each_server("one", databases),
    );
    let found: Vec<(String,)> = clickhouse.fetch_rows(&sql).await?;
    Ok(found.into_iter().map(|(name,)| name).collect())
}

async fn missing_databases(clickhouse: &ClickHouse) -> Result<Vec<String>, DestinationError> {
    let databases = clickhouse.databases();
    let existing = everywhere(clickhouse, "databases", "name", "1").await?;
    let names = [&databases.raw, &databases.views];
    let statements = create_databases(databases);
    let missing = statements.into_iter().zip(names).filter(|(_, name)| !existing.contains(*name));
    Ok(missing.map(|(statement, _)| statement).collect())
}

/// The tables that a definition makes, with what each has to look like.
fn shapes(definition: &TableDefinition) -> Vec<(String, TableShape)> {
    let rows = TableShape::from(definition);
    let distributed = definition.distributed_engine().map(|engine_full| {
        (definition.name.clone(), TableShape { engine_full, sorting_key: String::new(), ..rows.clone() })
    });
    std::iter::once((definition.local_name(), rows)).chain(distributed).collect()
}

async fn tables(
    clickhouse: &ClickHouse,
    definitions: &[TableDefinition],
) -> Result<Vec<ProvisionStep>, ProvisionError> {
    let wanted: Vec<_> = definitions.iter().map(|definition| (definition, shapes(definition))).collect();
    let names: Vec<_> = wanted.iter().flat_map(|(_, shapes)| shapes).map(|(name, _)| name.as_str()).collect();
    let found = clickhouse.table_shapes(&names).await?;
    let in_raw = format!("database = {}", literal(&clickhouse.databases.raw));
    let complete = everywhere(clickhouse, "tables", "name", &in_raw).await?;
    let mut steps = Vec::new();
    let mut differing = Vec::new();
    for (definition, shapes) in &wanted {
        let table = format!("{}.{}", definition.database, definition.name);
        if !shapes.iter().all(|(name, _)| complete.contains(name)) {
            steps.push(ProvisionStep { what: format!("create table {table}"), statements: definition.create() });
        }
        let there = shapes.iter().filter_map(|(name, expected)| Some((name, expected, found.get(name)?)));
        differing.extend(there.flat_map(|(name, expected, found)| {
            let database = &definition.database;
            differences(expected, found).into_iter().map(move |difference| format!("{database}.{name}: {difference}"))
        }));
        let Some(rows) = found.get(&definition.local_name()) else { continue };
        if !rows.is_in_time {
            let (what, statements) = (format!("constrain table {table}"), vec![definition.add_in_time()]);
            steps.push(ProvisionStep { what, statements });
        }
        if let Some(statement) = definition.set_fsync(&rows.engine_full) {
            let what = format!("say when inserts into {table} are on the disk");
            steps.push(ProvisionStep { what, statements: vec![statement] });
        }
    }
    if differing.is_empty() { Ok(steps) } else { Err(ProvisionError::OtherShape(differing)) }
}

async fn views(
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
    replace: bool,
) -> Result<Vec<ProvisionStep>, ProvisionError> {
    let found = live_views(clickhouse, mappings).await?;
    let in_views = format!("database = {}", literal(&clickhouse.databases.views));
    let complete = everywhere(clickhouse, "tables", "name", &in_views).await?;
    let mut steps = Vec::new();
    let mut taken = Vec::new();
    for mapping in mappings.iter() {
        let name = format!("{}.{}", clickhouse.databases.views, mapping.name);
        let what = match found.get(mapping.name.as_str()) {
            None => format!("create view {name}"),
            Some((engine, _)) if engine != "View" => {
                taken.push(format!("{name} is a table ({engine}), not a view; it is never replaced"));
                continue;
            }
            Some((_, true)) if complete.contains(mapping.name.as_str()) => continue,
            Some((_, true)) => format!("create view {name} where it is missing"),
            Some((_, false)) if replace => format!("replace view {name}"),
            Some((_, false)) => {
                taken.push(format!("view {name} reads something else"));
                continue;
            }
        };
        steps.push(ProvisionStep { what, statements: vec![view(mapping, &clickhouse.databases)] });
    }
    if taken.is_empty() { Ok(steps) } else { Err(ProvisionError::NamesTaken(taken)) }
}

/// What has the name of one of our views: its engine, and whether it selects what ours selects.
async fn live_views(
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
) -> Result<BTreeMap<String, (String, bool)>, DestinationError> {
    let mut found = BTreeMap::new();
    for mapping in mappings.iter() {
        // The server formats both sides, so that spacing makes no difference.
        let sql = format!(
            "SELECT engine, if(as_select = '', 0, formatQuerySingleLine(as_select) = formatQuerySingleLine({select})) FROM system.tables WHERE database = {database} AND name = {name} FORMAT TSV",
            select = literal(&view_select(mapping, &clickhouse.databases)),
            database = literal(&clickhouse.databases.views),
            name = literal(mapping.name.as_str()),
        );
        let text = clickhouse.fetch_text(&sql).await?;
        if let Some((engine, same)) = text.trim_end().split_once('\t') {
            found.insert(mapping.name.to_string(), (engine.to_owned(), same == "1"));
        }
    }
    Ok(found)
}
