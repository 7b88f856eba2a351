//! Whether definitions hold together, and fit the live database.

use std::path::Path;

use lockstep_core::settings::Settings;
use lockstep_mappings::postgres::facts::{Misfit, tables_needed};
use lockstep_mappings::{DefinitionError, MappingSet};
use lockstep_schema::{Session, Source, attach, row_security};
use serde::Serialize;

use crate::error::OperationError;

/// What a check came to.
#[derive(Serialize, Debug)]
pub struct MappingCheckReport {
    /// Whether nothing is to be done.
    pub clean: bool,
    /// How many mappings were looked at.
    pub mappings: usize,
    /// One by one.
    pub findings: Vec<DefinitionFinding>,
}

/// Something in a definition, or in the database that it is about.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct DefinitionFinding {
    /// The definition file, or what else needs it.
    pub file: String,
    /// In the file, where it is about a line.
    pub line: Option<usize>,
    /// The column or table, where it is about one.
    pub subject: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl From<DefinitionError> for DefinitionFinding {
    fn from(error: DefinitionError) -> Self {
        let DefinitionError { file, line, column, problem, remedy } = error;
        Self {
            file,
            line: Some(line).filter(|line| *line > 0),
            subject: column.map(|column| format!("column {column}")),
            problem,
            remedy,
        }
    }
}

impl From<Misfit> for DefinitionFinding {
    fn from(misfit: Misfit) -> Self {
        let Misfit { file, subject, problem, remedy } = misfit;
        Self { file, line: None, subject: Some(subject), problem, remedy }
    }
}

/// Checks definitions against the source database, as `lockstep migrate` does before it changes anything: all of them, one
/// by its name, or a definition file (its name ends in `.toml`) beside all others. Changes nothing.
///
/// # Errors
/// When there is no such mapping, or Postgres cannot be asked.
pub async fn check_mappings(settings: &Settings, which: Option<&str>) -> Result<MappingCheckReport, OperationError> {
    let file = which.filter(|which| Path::new(which).extension().is_some_and(|extension| extension == "toml"));
    let (set, errors) = MappingSet::load_right(&settings.mappings, file.map(Path::new));
    let chosen = match which {
        None => None,
        Some(_) if file.is_some() => Some(file.unwrap_or_default().to_owned()),
        Some(name) => match set.iter().find(|mapping| mapping.name.as_str() == name) {
            Some(mapping) => Some(mapping.file.clone()),
            // One of those that are wrong may be meant.
            None if !errors.is_empty() => return Ok(report(0, errors.into_iter().map(Into::into).collect())),
            None => return Err(OperationError::unknown_mapping(name, &set)),
        },
    };
    let is_chosen = |of: &str| chosen.as_ref().is_none_or(|chosen| chosen == of);
    let mut findings: Vec<DefinitionFinding> =
        errors.into_iter().filter(|error| is_chosen(&error.file)).map(Into::into).collect();
    let mappings = set.iter().filter(|mapping| is_chosen(&mapping.file)).count();
    if mappings > 0 {
        let only = set.only(|mapping| is_chosen(&mapping.file));
        findings.extend(against_database(settings, &only).await?);
    }
    Ok(report(mappings, findings))
}

fn report(mappings: usize, findings: Vec<DefinitionFinding>) -> MappingCheckReport {
    MappingCheckReport { clean: findings.is_empty(), mappings, findings }
}

async fn against_database(settings: &Settings, set: &MappingSet) -> Result<Vec<DefinitionFinding>, OperationError> {
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let client = source.connect(Session::Control).await?;
    let tables = tables_needed(set);
    let filtered = row_security::filtered(&client, &tables.iter().collect::<Vec<_>>()).await?;
    let hidden = filtered.into_iter().map(|table| DefinitionFinding {
        file: "Lockstep itself".to_owned(),
        line: None,
        subject: Some(format!("table {}.\"{}\"", table.schema, table.name)),
        problem: "row level security hides rows from the role that Lockstep connects as (LS-0031)".to_owned(),
        remedy: "let a superuser run ALTER ROLE … BYPASSRLS for it".to_owned(),
    });
    let live = attach::inspect_catalog(&source, set).await?;
    Ok(hidden.chain(attach::misfits(set, &live).into_iter().map(Into::into)).collect())
}
