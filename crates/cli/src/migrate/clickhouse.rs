//! The ClickHouse side of `lockstep migrate`: tables of another shape are never written to.

use std::collections::BTreeMap;

use lockstep_destinations::ClickHouse;
use lockstep_destinations::clickhouse::{TableShape, can_manage_access, differences, table_shapes};
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::{
    Databases, TableDefinition, access_sql, create_databases, cursor_table, literal, raw_table, source_table, view,
    view_select,
};

use crate::error::CliError;
use crate::progress::Progress;

/// What was asked for beside the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) replace_views: bool,
    pub(crate) tenant_role: Option<&'a str>,
}

/// One thing to do.
#[derive(Debug)]
pub(crate) struct ClickHouseStep {
    pub(crate) what: String,
    statements: Vec<String>,
}

pub(crate) async fn plan(
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
    databases: &Databases,
    wanted: Wanted<'_>,
) -> Result<Vec<ClickHouseStep>, CliError> {
    let mut steps = Vec::new();
    let create: Vec<_> = missing_databases(clickhouse, databases).await?;
    if !create.is_empty() {
        steps.push(ClickHouseStep { what: "create databases".to_owned(), statements: create });
    }
    let own = [cursor_table(databases), source_table(databases)];
    let definitions: Vec<_> = mappings.iter().map(|mapping| raw_table(mapping, databases)).chain(own).collect();
    steps.extend(tables(clickhouse, databases, &definitions).await?);
    steps.extend(views(clickhouse, mappings, databases, wanted.replace_views).await?);
    if let Some(role) = wanted.tenant_role {
        if can_manage_access(clickhouse).await? {
            let statements = access_sql(mappings, databases, role).statements;
            steps.push(ClickHouseStep { what: format!("let role {role} read the views"), statements });
        } else {
            println!(
                "This ClickHouse manages access in files: put each tenant's user into the file that users_config names \
                 (grants and row filters as ARCHITECTURE.md shows)."
            );
        }
    }
    Ok(steps)
}

async fn missing_databases(clickhouse: &ClickHouse, databases: &Databases) -> Result<Vec<String>, CliError> {
    let existing = clickhouse.fetch_text("SELECT name FROM system.databases FORMAT TSV").await?;
    let names = [&databases.raw, &databases.views];
    let statements = create_databases(databases);
    let missing = statements.into_iter().zip(names).filter(|(_, name)| !existing.lines().any(|line| line == *name));
    Ok(missing.map(|(statement, _)| statement).collect())
}

async fn tables(
    clickhouse: &ClickHouse,
    databases: &Databases,
    definitions: &[TableDefinition],
) -> Result<Vec<ClickHouseStep>, CliError> {
    let names: Vec<_> = definitions.iter().map(|definition| definition.name.as_str()).collect();
    let found = table_shapes(clickhouse, &databases.raw, &names).await?;
    let mut steps = Vec::new();
    let mut differing = Vec::new();
    for definition in definitions {
        match found.get(&definition.name) {
            None => steps.push(ClickHouseStep {
                what: format!("create table {}.{}", definition.database, definition.name),
                statements: definition.create(),
            }),
            Some(shape) => differing.extend(
                differences(&TableShape::from(definition), shape)
                    .into_iter()
                    .map(|difference| format!("{}.{}: {difference}", definition.database, definition.name)),
            ),
        }
    }
    if differing.is_empty() { Ok(steps) } else { Err(CliError::OtherShape(differing)) }
}

async fn views(
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
    databases: &Databases,
    replace: bool,
) -> Result<Vec<ClickHouseStep>, CliError> {
    let found = live_views(clickhouse, mappings, databases).await?;
    let mut steps = Vec::new();
    let mut taken = Vec::new();
    for mapping in mappings.iter() {
        let name = format!("{}.{}", databases.views, mapping.name);
        let what = match found.get(mapping.name.as_str()) {
            None => format!("create view {name}"),
            Some((engine, _)) if engine != "View" => {
                taken.push(format!("{name} is a table ({engine}), not a view; it is never replaced"));
                continue;
            }
            Some((_, true)) => continue,
            Some((_, false)) if replace => format!("replace view {name}"),
            Some((_, false)) => {
                taken.push(format!("view {name} reads something else"));
                continue;
            }
        };
        steps.push(ClickHouseStep { what, statements: vec![view(mapping, databases)] });
    }
    if taken.is_empty() { Ok(steps) } else { Err(CliError::NamesTaken(taken)) }
}

/// What has the name of one of our views: its engine, and whether it selects what ours selects.
async fn live_views(
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
    databases: &Databases,
) -> Result<BTreeMap<String, (String, bool)>, CliError> {
    let mut found = BTreeMap::new();
    for mapping in mappings.iter() {
        // The server formats both sides, so that spacing makes no difference.
        let sql = format!(
            "SELECT engine, if(as_select = '', 0, formatQuerySingleLine(as_select) = formatQuerySingleLine({select})) FROM system.tables WHERE database = {database} AND name = {name} FORMAT TSV",
            select = literal(&view_select(mapping, databases)),
            database = literal(&databases.views),
            name = literal(mapping.name.as_str()),
        );
        let text = clickhouse.fetch_text(&sql).await?;
        if let Some((engine, same)) = text.trim_end().split_once('\t') {
            found.insert(mapping.name.to_string(), (engine.to_owned(), same == "1"));
        }
    }
    Ok(found)
}

pub(super) fn print(steps: &[ClickHouseStep]) {
    for step in steps {
        println!("-- ClickHouse: {}", step.what);
        for statement in &step.statements {
            println!("{statement};");
        }
        println!();
    }
}

pub(super) async fn apply(
    clickhouse: &ClickHouse,
    steps: &[ClickHouseStep],
    progress: &mut Progress,
) -> Result<(), CliError> {
    for (index, step) in steps.iter().enumerate() {
        progress.begin(&step.what);
        for statement in &step.statements {
            clickhouse.execute(statement).await?;
        }
        let elapsed = progress.elapsed().as_millis();
        progress.say(&format!("ClickHouse {:>3}/{}  {} ({elapsed} ms)", index + 1, steps.len(), step.what));
    }
    Ok(())
}
