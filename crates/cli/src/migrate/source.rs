//! The source side of `lockstep migrate`.

use std::collections::BTreeSet;

use lockstep_core::output;
use lockstep_mappings::postgres::capture;
use lockstep_mappings::postgres::facts::tables_needed;
use lockstep_mappings::{MappingSet, SourceTable};
use lockstep_schema::attach::{self, ApplyEvent, Applying, Live, Part, Step};
use lockstep_schema::migrations::{self, Migrations};
use lockstep_schema::{Session, Source, row_security};

use crate::error::CliError;
use crate::progress::Progress;

/// Creates the source tables of a database of our own. Returns the migrations that are to be run first, where nothing was to be
/// done: nothing further can be planned then.
pub(super) async fn create_tables(source: &Source, dry_run: bool) -> Result<Vec<String>, CliError> {
    let client = source.connect(Session::Control).await?;
    let sql = "SELECT to_regclass('public.\"Tenancy\"') IS NOT NULL, to_regclass('public.__diesel_schema_migrations') IS NOT NULL";
    let row = client.query_one(sql, &[]).await.map_err(lockstep_schema::SourceError::from)?;
    let (has_tables, are_ours): (bool, bool) = (row.get(0), row.get(1));
    if has_tables && !are_ours {
        return Err(CliError::NotEmpty);
    }
    let pending = migrations::pending(source, Migrations::Standalone).await?;
    if dry_run || pending.is_empty() {
        return Ok(pending);
    }
    migrations::run(source, Migrations::Standalone).await?;
    output::write_aside(&format!("Created the source tables ({}).\n", pending.join(", ")));
    Ok(Vec::new())
}

/// What is there.
pub(super) async fn look(source: &Source, mappings: &MappingSet) -> Result<Live, CliError> {
    let client = source.connect(Session::Control).await?;
    let tables = tables_needed(mappings);
    row_security::refuse(&client, &tables.iter().collect::<Vec<_>>()).await?;
    Ok(attach::inspect(source, mappings).await?)
}

/// The tables that `--relax` names: all for no names.
pub(super) fn relaxed(mappings: &MappingSet, relax: Option<&[String]>) -> BTreeSet<SourceTable> {
    let is_named = |table: &&SourceTable| relax.is_some_and(|names| names.is_empty() || names.contains(&table.name));
    capture::tables(mappings).iter().filter(is_named).cloned().collect()
}

/// What would be run, for people.
pub(crate) fn text(steps: &[Step]) -> String {
    let statements =
        |step: &Step| step.statements.iter().map(|statement| format!("{statement};\n")).collect::<String>();
    steps.iter().map(|step| format!("-- Postgres: {}\n{}\n", step.what, statements(step))).collect()
}

pub(crate) async fn apply(source: &Source, steps: &[Step], progress: &mut Progress) -> Result<(), CliError> {
    let total = steps.len();
    Ok(attach::apply(source, steps, |event| tell(event, total, progress)).await?)
}

/// Applies the steps that begin fills, or all others.
pub(super) async fn apply_some(
    applying: &mut Applying,
    steps: &[Step],
    of_fills: bool,
    progress: &mut Progress,
) -> Result<(), CliError> {
    let some: Vec<_> = steps.iter().filter(|step| (step.part == Part::Fills) == of_fills).collect();
    Ok(applying.run(&some, |event| tell(event, steps.len(), progress)).await?)
}

fn tell(event: ApplyEvent<'_>, total: usize, progress: &mut Progress) {
    match event {
        ApplyEvent::Begin(_, step) => progress.begin(&step.what),
        ApplyEvent::LockBusy(step, attempt) => progress.say(&format!(
            "        {}: the table is in use by a long transaction; trying again (attempt {attempt})",
            step.what
        )),
        ApplyEvent::Done(number, step) => {
            let elapsed = progress.elapsed();
            progress.say(&format!("Postgres {number:>3}/{total}  {} ({} ms)", step.what, elapsed.as_millis()));
        }
    }
}
