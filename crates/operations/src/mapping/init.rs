//! A definition from a live table.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use lockstep_core::settings::Settings;
use lockstep_mappings::{Draft, DraftError, DraftRequest, Mapping, MappingSet, SourceTable, draft};
use lockstep_schema::attach::{facts, tables_named, unique_keys};
use lockstep_schema::{Session, Source};
use serde::Serialize;
use tokio_postgres::Client;

use crate::error::OperationError;
use crate::init::tenant_column;

/// What a definition is written of.
#[derive(Clone, Debug)]
pub struct MappingInitRequest {
    /// `Invoice`, or `billing.Invoice` with its schema.
    pub table: String,
    /// The column that names a row's tenancy; none: one of a usual name.
    pub tenant_column: Option<String>,
    /// Where the definition is written; it must not exist. None: nowhere.
    pub to: Option<PathBuf>,
}

/// A definition that fits its table.
#[derive(Serialize, Debug)]
pub struct MappingDraft {
    /// Its name, which no other mapping has.
    pub name: String,
    /// The table, with its schema.
    pub table: String,
    /// Where it was written.
    pub file: Option<PathBuf>,
    /// The text of the definition.
    pub definition: String,
    /// Columns that stand in it as comments only.
    pub left_out: Vec<LeftOutColumn>,
}

/// A column that cannot be exported as it is.
#[derive(Serialize, Debug)]
pub struct LeftOutColumn {
    /// In the source.
    pub column: String,
    /// Why, and what can be done about it.
    pub reason: String,
}

/// Writes a definition that fits a table as it is: it passes [`super::check_mappings`]. Nothing is changed in the database.
///
/// # Errors
/// When there is no such table, somebody has to decide more than can be known, the file cannot be made, or Postgres cannot
/// be asked.
pub async fn init_mapping(settings: &Settings, request: &MappingInitRequest) -> Result<MappingDraft, OperationError> {
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let client = source.connect(Session::Control).await?;
    let table = table(&client, &request.table).await?;
    let taken = taken(&MappingSet::load_right(&settings.mappings, None).0);
    let mut draft = draft_of(&client, &table, request.tenant_column.as_deref(), &taken).await;
    if let (None, Err(OperationError::NoDraft { why: DraftError::NoTenant(_), .. })) = (&request.tenant_column, &draft)
        && let Some(column) = tenant_column(&client, &table).await?
    {
        draft = draft_of(&client, &table, Some(&column), &taken).await;
    }
    let draft = draft?;
    if let Some(file) = &request.to {
        let made = OpenOptions::new().write(true).create_new(true).open(file);
        made.and_then(|mut made| made.write_all(draft.text.as_bytes()))
            .map_err(|why| OperationError::File { file: file.clone(), why })?;
    }
    let left_out = draft.left_out.into_iter().map(|left| LeftOutColumn { column: left.column, reason: left.reason });
    Ok(MappingDraft {
        name: draft.name,
        table: format!("{}.{}", table.schema, table.name),
        file: request.to.clone(),
        definition: draft.text,
        left_out: left_out.collect(),
    })
}

/// A definition of a table, with a name that is not taken.
pub(crate) async fn draft_of(
    client: &Client,
    table: &SourceTable,
    tenant: Option<&str>,
    taken: &BTreeSet<String>,
) -> Result<Draft, OperationError> {
    let facts = facts(client, std::slice::from_ref(table)).await?;
    let live = facts.get(table).filter(|live| !live.is_inherited);
    let live = live.ok_or_else(|| OperationError::NoSuchTable {
        name: table.name.clone(),
        why: "it has no columns, or is a partition, a child or a parent of another table".to_owned(),
    })?;
    let keys = unique_keys(client, table).await?;
    draft(&DraftRequest { table, facts: live, keys: &keys, tenant, taken })
        .map_err(|why| OperationError::NoDraft { table: table.name.clone(), why })
}

/// The one table that a name means. One of schema `public` needs no schema.
async fn table(client: &Client, name: &str) -> Result<SourceTable, OperationError> {
    let mut found = tables_named(client, name).await?;
    let is_one = found.len() == 1 || found.first().is_some_and(|table| table.schema == "public");
    if is_one {
        return Ok(found.swap_remove(0));
    }
    let named: Vec<_> = found.iter().map(|table| format!("{}.{}", table.schema, table.name)).collect();
    let why = if named.is_empty() {
        "no ordinary table is called so (views and partitioned tables cannot be captured)".to_owned()
    } else {
        format!("name it with its schema: {}", named.join(", "))
    };
    Err(OperationError::NoSuchTable { name: name.to_owned(), why })
}

/// Names that a mapping cannot have: those that there are, alone and together with their joins'.
pub(crate) fn taken(mappings: &MappingSet) -> BTreeSet<String> {
    mappings.iter().flat_map(names_of).collect()
}

/// The names that a mapping takes.
pub(crate) fn names_of(mapping: &Mapping) -> Vec<String> {
    let name = mapping.name.to_string();
    let joins = mapping.joins.iter().map(|join| format!("{name}_{}", join.alias));
    joins.chain([format!("{name}_truncated"), name.clone()]).collect()
}
