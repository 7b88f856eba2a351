//! What a new installation begins with: a look at the three services, a configuration file, and a definition for each table of
//! tenants. No database is changed.

mod files;
mod services;
mod suggest;
mod tenants;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lockstep_core::settings::{BuiltInMappings, MappingSources, Settings, WrittenSettings, lacking};
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::facts::{misfits_of_tenancies, tables_needed};
use lockstep_mappings::postgres::tenancy_table;
use lockstep_schema::attach::{facts, uuid_columns};
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio_postgres::Client;

pub use self::files::FileConflict;
use self::files::{Target, make_directory, write};
use self::services::{of_clickhouse, of_source};
use self::suggest::suggest;
pub(crate) use self::suggest::tenant_column;
use self::tenants::Tenants;
pub use self::tenants::TenantsReport;
use crate::doctor::{Check, Outcome, broker_check};
use crate::error::OperationError;
use crate::mapping::{DefinitionFinding, check_mappings};
use crate::shown::counted;

/// The file that makes a table of tenancies.
const TENANCIES_FILE: &str = "tenancy.sql";
/// The directory of definitions.
const MAPPINGS: &str = "mappings";
/// Further tables are not looked at.
const MAX_TABLES: usize = 2000;
/// So many columns are told of where none is called as was said.
const MAX_TOLD: usize = 8;

/// What an installation begins with.
#[derive(Clone, Debug)]
pub struct InitRequest {
    /// Where the configuration file and the directory of definitions are written.
    pub to: PathBuf,
    /// The table whose rows are the tenants; none: the platform's `"Tenancy"`, or else one of a usual name that others refer to.
    pub tenants_table: Option<String>,
    /// The column that names a row's tenancy; none: the one that refers to the tenants' table, or has a usual name.
    pub tenant_column: Option<String>,
    /// Files that are there are written anew.
    pub force: bool,
    /// What the configuration file holds.
    pub settings: WrittenSettings,
}

/// What was found and written.
#[derive(Serialize, Debug)]
pub struct InitReport {
    /// Whether all services answer, every definition fits, and no file says something else than was asked for.
    pub ready: bool,
    /// Each service.
    pub services: Vec<Check>,
    /// The table whose rows are the tenants, where it is not the platform's.
    pub tenants: Option<TenantsReport>,
    /// Which built-in mappings the installation has, as the setting says it.
    pub built_in_mappings: String,
    /// Tables of mappings that are there already, the built-in ones among them.
    pub known: Vec<String>,
    /// Tables that a definition was written of.
    pub suggested: Vec<SuggestedMapping>,
    /// Tables that none was written of.
    pub unmapped: Vec<UnmappedTable>,
    /// What is wrong with the definitions all together.
    pub findings: Vec<DefinitionFinding>,
    /// Files that were written.
    pub written: Vec<PathBuf>,
    /// Files that were there, and stay.
    pub kept: Vec<PathBuf>,
    /// Of those, the ones that hold something else than was asked for.
    pub conflicts: Vec<FileConflict>,
    /// What to run now; nothing where files are in conflict.
    pub next: Vec<String>,
}

/// A definition of a table.
#[derive(Serialize, Debug)]
pub struct SuggestedMapping {
    /// The mapping's name.
    pub name: String,
    /// The table, with its schema.
    pub table: String,
    /// Columns that stand in it as comments only.
    pub left_out: Vec<String>,
}

/// A table without a definition.
#[derive(Serialize, Debug)]
pub struct UnmappedTable {
    /// With its schema.
    pub table: String,
    /// Why there is none.
    pub reason: String,
}

/// Looks at the services, and writes what an installation begins with. Nothing is written where the source does not answer.
///
/// # Errors
/// When a file cannot be written, or the source ceases to answer.
pub async fn init(settings: &Settings, request: &InitRequest) -> Result<InitReport, OperationError> {
    let settings = &Settings { source_read_only: true, ..settings.clone() };
    let (client, services) = of_source(settings).await;
    let mut report = InitReport {
        ready: false,
        services,
        tenants: None,
        built_in_mappings: settings.mappings.built_in.to_string(),
        known: Vec::new(),
        suggested: Vec::new(),
        unmapped: Vec::new(),
        findings: Vec::new(),
        written: Vec::new(),
        kept: Vec::new(),
        conflicts: Vec::new(),
        next: Vec::new(),
    };
    report.services.push(broker_check(settings).await);
    report.services.extend(of_clickhouse(settings).await);
    if let Some(client) = client {
        of_database(&client, settings, request, &mut report).await?;
    }
    let answer = report.services.iter().all(|check| check.outcome == Outcome::Ok);
    report.ready = answer && report.findings.is_empty() && report.conflicts.is_empty();
    Ok(report)
}

/// Writes what the tables of the source call for.
async fn of_database(
    client: &Client,
    settings: &Settings,
    request: &InitRequest,
    report: &mut InitReport,
) -> Result<(), OperationError> {
    let tenants = Tenants::find(client, request.tenants_table.as_deref()).await?;
    if let Some(name) = &request.tenant_column {
        must_be_a_column(client, name).await?;
    }
    if let Some((problem, remedy)) = tenants.refusal() {
        report.services.push(Check::finding("tenants", problem, remedy));
        report.next = vec![again(&request.to, false)];
        return Ok(());
    }
    let built_in = built_in(client, &settings.mappings.built_in).await?;
    report.tenants = tenants.report();
    report.built_in_mappings = built_in.to_string();
    write_settings(request, report)?;
    let statements = tenants.statements();
    if let Some(statements) = &statements {
        let of = report.tenants.as_ref().map_or_else(String::new, |tenants| format!(" of {}", tenants.table));
        let is_other =
            |there: &str| (there != statements).then(|| format!("it does not make the table of tenancies{of}"));
        write(&Target::of(request, TENANCIES_FILE), statements, is_other, report)?;
    }
    let mappings = MappingSources { built_in, directory: Some(request.to.join(MAPPINGS)) };
    suggest(client, request, (&tenants, &mappings), report).await?;
    report.findings = check_mappings(&Settings { mappings, ..settings.clone() }, None).await?.findings;
    let of_tenancies = misfits_of_tenancies(&facts(client, &[tenancy_table()]).await?);
    let of_tenancies: Vec<_> = of_tenancies.into_iter().map(DefinitionFinding::from).collect();
    report.findings.retain(|finding| !of_tenancies.contains(finding));
    if statements.is_none() && tenants.problem().is_none() {
        // It is there, and has to fit also where no mapping reads it yet.
        report.findings.extend(of_tenancies);
    }
    if let Some((problem, remedy)) = tenants.problem() {
        report.services.push(Check::finding("tenants", problem, remedy));
    }
    report.next = match tenants.problem() {
        _ if !report.conflicts.is_empty() => Vec::new(),
        Some(_) => vec![again(&request.to, tenants.are_to_be_named())],
        None => next(&request.to, statements.is_some(), &request.settings),
    };
    Ok(())
}

/// Fails where no table has a column of this name that could hold the tenant's id.
async fn must_be_a_column(client: &Client, name: &str) -> Result<(), OperationError> {
    let columns = uuid_columns(client).await?;
    if columns.iter().any(|(column, _)| column == name) {
        return Ok(());
    }
    let of = |(column, tables): &(String, i64)| format!("{column} (in {})", counted(*tables, "table", "tables"));
    let known: Vec<_> = columns.iter().take(MAX_TOLD).map(of).collect();
    let known = match known.as_slice() {
        [] => "no table has any of that type".to_owned(),
        known => format!("of that type are {}", known.join(", ")),
    };
    Err(OperationError::NoTenantColumn { name: name.to_owned(), known })
}

/// What was said, or those built-in mappings whose tables are all there.
async fn built_in(client: &Client, said: &BuiltInMappings) -> Result<BuiltInMappings, OperationError> {
    if *said != BuiltInMappings::All {
        return Ok(said.clone());
    }
    let set = MappingSet::built_in();
    let there = facts(client, &tables_needed(&set)).await?;
    let names: BTreeSet<_> = set
        .iter()
        .filter(|mapping| {
            let joined = mapping.joins.iter().map(|join| &join.table);
            joined.chain([&mapping.source]).all(|table| there.contains_key(table))
        })
        .map(|mapping| mapping.name.clone())
        .collect();
    Ok(if names.len() == set.iter().count() { BuiltInMappings::All } else { BuiltInMappings::Only(names) })
}

fn write_settings(request: &InitRequest, report: &mut InitReport) -> Result<(), OperationError> {
    let secrets = Path::new(WrittenSettings::directory());
    for (name, secret) in &request.settings.secrets {
        make_directory(&request.to.join(secrets), 0o700)?;
        let secret = secret.expose_secret();
        let is_other =
            |there: &str| (there.trim_end_matches(['\r', '\n']) != secret).then(|| "it holds another value".to_owned());
        let target = Target { mode: 0o600, ..Target::of(request, secrets.join(name)) };
        write(&target, &format!("{secret}\n"), is_other, report)?;
    }
    let text = format!(
        "# The names are those of the flags and variables: `lockstep config show`.\n\
         mappings_dir = \"{MAPPINGS}\"\nbuilt_in_mappings = \"{}\"\n{}",
        report.built_in_mappings, request.settings.text
    );
    make_directory(&request.to, 0o755)?;
    let target = Target::of(request, "lockstep.toml");
    let is_other = |there: &str| {
        let lacking = lacking(&target.file, &text, there);
        (!lacking.is_empty()).then(|| format!("it says something else of {}", lacking.join(", ")))
    };
    write(&target, &text, is_other, report)
}

/// The same command once more, which names the table of tenants where nobody knows it.
fn again(to: &Path, names_tenants: bool) -> String {
    let named = if names_tenants { " --tenants-table TABLE" } else { "" };
    let to = if to == Path::new(".") { String::new() } else { format!(" --to {}", word(to)) };
    format!("lockstep init{named}{to}")
}

/// What to run now. `makes_tenancies`: the file that makes the table of tenancies comes first.
fn next(to: &Path, makes_tenancies: bool, settings: &WrittenSettings) -> Vec<String> {
    let is_here = to == Path::new(".");
    let config = if is_here { String::new() } else { format!(" --config {}", word(&to.join("lockstep.toml"))) };
    let mut commands = Vec::new();
    if makes_tenancies {
        let url = match settings.secrets.iter().find(|(name, _)| name == "source_url") {
            Some((name, _)) => format!("$(cat {})", word(&to.join(WrittenSettings::directory()).join(name))),
            None => "$LOCKSTEP_SOURCE_URL".to_owned(),
        };
        commands.push(format!("psql \"{url}\" --set ON_ERROR_STOP=1 --file {}", word(&to.join(TENANCIES_FILE))));
    }
    commands.extend([
        format!("lockstep mapping check{config}"),
        format!("lockstep migrate{config}"),
        format!("lockstep-sequencer{config} & lockstep-worker{config} &"),
        format!("lockstep wait --all{config}"),
    ]);
    commands
}

/// A path as one word of a shell.
fn word(path: &Path) -> String {
    crate::shell::word(&path.display().to_string())
}
