//! The databases, tables and views of `lockstep migrate`, and who may read them: what there is, and what is missing.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::{
    IN_TIME, MARK_OF_REPLACED, create_databases, each_server, literal, view, view_rows, view_select,
};

use super::{ClickHouse, TableShape, swap, tables, version};
use crate::error::DestinationError;
use crate::provision::{Provision, ProvisionError, ProvisionPlan, ProvisionStep, Wanted};

impl Provision for ClickHouse {
    async fn plan(&self, mappings: &MappingSet, wanted: &Wanted) -> Result<ProvisionPlan, ProvisionError> {
        self.ping().await?;
        version::check(self).await?;
        let mut plan = tables::plan(self, mappings, wanted).await?;
        let create = missing_databases(self).await?;
        if !create.is_empty() {
            plan.steps.insert(0, ProvisionStep::new("create databases", create));
        }
        let views = views(self, mappings, &plan, wanted).await?;
        // Policies come before the views that they protect, and grants after them: nobody reads a view without its policy.
        let access =
            if self.can_manage_access().await? { self.access_steps(mappings).await? } else { [vec![], vec![]] };
        let [protect, allow] = access;
        plan.steps.extend(protect.into_iter().chain(views).chain(allow));
        Ok(plan)
    }

    async fn apply(&self, step: &ProvisionStep) -> Result<(), DestinationError> {
        self.execute_all(&step.statements).await
    }
}

impl ClickHouse {
    /// Runs statements in order, each to its end.
    pub(super) async fn execute_all(&self, statements: &[String]) -> Result<(), DestinationError> {
        for statement in statements {
            self.execute(statement).await?;
        }
        Ok(())
    }

    /// What these tables of the raw database look like, by name; those that do not exist, or that this user may not see,
    /// are left out. On a cluster a column is there as often as servers have it in another form. Two questions to the server.
    ///
    /// # Errors
    /// What the server says.
    pub async fn table_shapes(&self, tables: &[&str]) -> Result<BTreeMap<String, TableShape>, DestinationError> {
        let names: Vec<_> = tables.iter().map(|name| literal(name)).collect();
        let (database, names) = (literal(&self.databases.raw), names.join(","));
        let sql = format!(
            "SELECT name, any(engine_full), any(partition_key), any(sorting_key), min(position(create_table_query, 'CONSTRAINT {IN_TIME} CHECK')) > 0, max(position(create_table_query, 'CONSTRAINT {MARK_OF_REPLACED} CHECK')) > 0 FROM {} WHERE database = {database} AND name IN ({names}) GROUP BY name",
            each_server("tables", &self.databases),
        );
        let found: Vec<(String, String, String, String, u8, u8)> = self.fetch_rows(&sql).await?;
        let mut shapes: BTreeMap<_, _> = found
            .into_iter()
            .map(|(name, engine_full, partition_key, sorting_key, in_time, replaced)| {
                let (columns, is_in_time, is_replaced) = (Vec::new(), in_time == 1, replaced == 1);
                (name, TableShape { engine_full, partition_key, sorting_key, columns, is_in_time, is_replaced })
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
pub(super) async fn everywhere(
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

async fn views(
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
    plan: &ProvisionPlan,
    wanted: &Wanted,
) -> Result<Vec<ProvisionStep>, ProvisionError> {
    let found = live_views(clickhouse, mappings).await?;
    let in_views = format!("database = {}", literal(&clickhouse.databases.views));
    let complete = everywhere(clickhouse, "tables", "name", &in_views).await?;
    let later = tables::of_other_tables(plan, wanted);
    let mut steps = Vec::new();
    let mut taken = Vec::new();
    for mapping in mappings.iter() {
        let name = format!("{}.{}", clickhouse.databases.views, mapping.name);
        let what = match found.get(mapping.name.as_str()) {
            Some(Found { engine, .. }) if engine != "View" => {
                taken.push(format!("{name} is a table ({engine}), not a view; it is never replaced"));
                continue;
            }
            // It is made when the table that it is to read has taken its place.
            _ if later.contains(&mapping.name) => continue,
            None => format!("create view {name}"),
            Some(Found { is_same: true, .. }) if complete.contains(mapping.name.as_str()) => continue,
            Some(Found { is_same: true, .. }) => format!("create view {name} where it is missing"),
            Some(Found { reads_same_rows, .. }) if *reads_same_rows || wanted.replace_views => {
                format!("replace view {name}")
            }
            Some(_) => {
                taken.push(format!("view {name} reads something else"));
                continue;
            }
        };
        let comments = swap::comments(clickhouse, mapping.name.as_str()).await?;
        steps.push(ProvisionStep::new(what, vec![view(mapping, &clickhouse.databases, &comments)]));
    }
    if taken.is_empty() { Ok(steps) } else { Err(ProvisionError::NamesTaken(taken)) }
}

/// What has the name of one of our views.
struct Found {
    engine: String,
    /// It selects what ours selects.
    is_same: bool,
    /// It selects from what ours selects from, perhaps other columns: those of another definition.
    reads_same_rows: bool,
}

async fn live_views(
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
) -> Result<BTreeMap<String, Found>, DestinationError> {
    let mut found = BTreeMap::new();
    for mapping in mappings.iter() {
        // The server formats both sides, so that spacing makes no difference.
        let sql = format!(
            "WITH formatQuerySingleLine({select}) AS ours, formatQuerySingleLine({rows}) AS rows, if(as_select = '', '', formatQuerySingleLine(as_select)) AS theirs
SELECT engine, theirs = ours, position(theirs, substring(rows, position(rows, ' FROM '))) > 0
FROM system.tables WHERE database = {database} AND name = {name}",
            select = literal(&view_select(mapping, &clickhouse.databases)),
            rows = literal(&view_rows(mapping, &clickhouse.databases)),
            database = literal(&clickhouse.databases.views),
            name = literal(mapping.name.as_str()),
        );
        let rows: Vec<(String, u8, u8)> = clickhouse.fetch_rows(&sql).await?;
        if let Some((engine, is_same, reads_same_rows)) = rows.into_iter().next() {
            let view = Found { engine, is_same: is_same == 1, reads_same_rows: reads_same_rows == 1 };
            found.insert(mapping.name.to_string(), view);
        }
    }
    Ok(found)
}
