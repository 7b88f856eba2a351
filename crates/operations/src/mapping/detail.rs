//! One mapping: its definition, its columns with their types on both sides, and its triggers as they are in the source.

use lockstep_core::settings::Settings;
use lockstep_mappings::postgres::capture::objects_of;
use lockstep_mappings::{Column, Mapping, MappingSet, Value};
use lockstep_schema::Source;
use lockstep_schema::attach::{FlawKind, Live, flaws, inspect_catalog};
use serde::Serialize;

use super::show::loaded;
use crate::error::OperationError;

/// One mapping.
#[derive(Serialize, Debug)]
pub struct MappingDetail {
    /// Its name.
    pub name: String,
    /// Its definition file.
    pub file: String,
    /// The table that it reads, with its schema.
    pub source: String,
    /// The text of the definition, as it was loaded.
    pub definition: String,
    /// In the order of the definition.
    pub columns: Vec<MappingColumn>,
    /// Those by which its changes are noticed.
    pub triggers: Vec<MappingTrigger>,
}

/// A column of a mapping.
#[derive(Serialize, Debug)]
pub struct MappingColumn {
    /// In every destination.
    pub name: String,
    /// As the definition has it.
    #[serde(rename = "type")]
    pub column_type: String,
    /// The column of the source that it is; none where it is an expression.
    pub source: Option<String>,
    /// The type of that column in the source; none where it is an expression, or not there.
    pub source_type: Option<String>,
    /// Its type in ClickHouse.
    pub clickhouse_type: String,
    /// Whether it is part of the key.
    pub is_key: bool,
}

/// A trigger in the source.
#[derive(Serialize, Debug)]
pub struct MappingTrigger {
    /// The table that it is on, with its schema.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Whether it is there, and as it should be.
    pub is_sound: bool,
    /// What is wrong with it; none where nothing is.
    pub problem: Option<&'static str>,
}

/// Looks at one mapping, and in the source at what it reads and is noticed by. Changes nothing.
///
/// # Errors
/// When there is no such mapping, definitions are wrong and it may be one of those, or Postgres cannot be asked.
pub async fn mapping_detail(settings: &Settings, name: &str) -> Result<MappingDetail, OperationError> {
    let (set, mapping) = loaded(settings, name)?;
    let live = inspect_catalog(&Source::of(settings)?, &set).await?;
    let table = |table: &lockstep_mappings::SourceTable| format!("{}.{}", table.schema, table.name);
    Ok(MappingDetail {
        name: name.to_owned(),
        file: mapping.file.clone(),
        source: table(&mapping.source),
        definition: MappingSet::definition(&mapping.file)?,
        columns: mapping.columns.iter().map(|of| column(&mapping, of, &live)).collect(),
        triggers: triggers(&set, &mapping, &live),
    })
}

fn column(mapping: &Mapping, of: &Column, live: &Live) -> MappingColumn {
    let source = match &of.value {
        Value::Column(source) => Some(source.clone()),
        Value::Expression { .. } => None,
    };
    let facts = live.facts.get(&mapping.source).zip(source.as_ref());
    let source_type = facts.and_then(|(table, source)| Some(table.columns.get(source)?.type_name()));
    MappingColumn {
        name: of.name.clone(),
        column_type: of.column_type.to_string(),
        source,
        source_type,
        clickhouse_type: of.column_type.clickhouse(),
        is_key: mapping.key_columns().any(|key| key.name == of.name),
    }
}

fn triggers(set: &MappingSet, mapping: &Mapping, live: &Live) -> Vec<MappingTrigger> {
    let flaws = flaws(set, live);
    let expected = objects_of(mapping, &live.facts, &live.relaxed()).into_iter();
    let trigger = |(on, name): (lockstep_mappings::SourceTable, String)| {
        let flaw = flaws.iter().find(|flaw| flaw.table.as_ref() == Some(&on) && flaw.name == name);
        let problem = flaw.map(|flaw| problem(flaw.kind));
        MappingTrigger { table: format!("{}.{}", on.schema, on.name), name, is_sound: problem.is_none(), problem }
    };
    expected.filter_map(|object| Some((object.table?, object.name))).map(trigger).collect()
}

const fn problem(kind: FlawKind) -> &'static str {
    match kind {
        FlawKind::Missing => "it is not there",
        FlawKind::Disabled => "it is disabled",
        FlawKind::NotAlways => "it does not fire for every session",
        FlawKind::Altered => "it is not what was installed",
        FlawKind::Outflanked => "a trigger of somebody else's may change columns before it looks",
        FlawKind::Outdated => "it was installed by another version, or for other definitions",
    }
}
