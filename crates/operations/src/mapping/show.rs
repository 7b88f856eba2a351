//! Every statement that is derived from a mapping. Asks no database.

use lockstep_core::settings::Settings;
use lockstep_mappings::clickhouse::Databases;
use lockstep_mappings::{DefinitionErrors, Mapping, MappingSet, statements};
use serde::Serialize;

use crate::error::OperationError;

/// What is derived from one mapping.
#[derive(Serialize, Debug)]
pub struct MappingStatements {
    /// Its name.
    pub name: String,
    /// Its definition file.
    pub file: String,
    /// With made-up tenancies, keys and numbers.
    pub statements: Vec<MappingStatement>,
}

/// One of them.
#[derive(Serialize, Debug)]
pub struct MappingStatement {
    /// What it is for.
    pub title: String,
    /// Its text; several that are run together are separated by `;`.
    pub sql: String,
}

/// Derives the statements of a mapping for the databases that the settings name.
///
/// # Errors
/// When there is no such mapping, or definitions are wrong and it may be one of those.
pub fn show_mapping(settings: &Settings, name: &str) -> Result<MappingStatements, OperationError> {
    let (mappings, mapping) = loaded(settings, name)?;
    let databases = Databases::from(&settings.clickhouse);
    let statements = statements(&mappings, &mapping, &databases, &settings.clickhouse.user);
    let shown = statements.into_iter().map(|statement| MappingStatement { title: statement.title, sql: statement.sql });
    Ok(MappingStatements { name: name.to_owned(), file: mapping.file, statements: shown.collect() })
}

/// A mapping, and all of those that are right.
///
/// # Errors
/// As [`show_mapping`].
pub(super) fn loaded(settings: &Settings, name: &str) -> Result<(MappingSet, Mapping), OperationError> {
    let (mappings, wrong) = MappingSet::load_right(&settings.mappings, None);
    let found = mappings.iter().find(|mapping| mapping.name.as_str() == name).cloned();
    match found {
        Some(mapping) => Ok((mappings, mapping)),
        None if !wrong.is_empty() => Err(DefinitionErrors(wrong).into()),
        None => Err(OperationError::unknown_mapping(name, &mappings)),
    }
}
