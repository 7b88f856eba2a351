//! The source side of `lockstep migrate`.

use std::collections::BTreeSet;

use lockstep_mappings::postgres::capture;
use lockstep_mappings::postgres::facts::tables_needed;
use lockstep_mappings::{MappingSet, SourceTable};
use lockstep_schema::attach::{self, ApplyEvent, Step};
use lockstep_schema::migrations::{self, Migrations};
use lockstep_schema::{Session, Source, row_security};

use crate::error::CliError;
use crate::progress::Progress;

/// Creates the source tables of a database of our own. False when that was only printed: nothing further can be planned then.
pub(super) async fn create_tables(source: &Source, dry_run: bool) -> Result<bool, CliError> {
    let client = source.connect(Session::Control).await?;
    let sql = "SELECT to_regclass('public.\"Tenancy\"') IS NOT NULL, to_regclass('public.__diesel_schema_migrations') IS NOT NULL";
    let row = client.query_one(sql, &[]).await.map_err(lockstep_schema::SourceError::from)?;
    let (has_tables, are_ours): (bool, bool) = (row.get(0), row.get(1));
    if has_tables && !are_ours {
        return Err(CliError::NotEmpty);
    }
    let pending = migrations::pending(source, Migrations::Standalone).await?;
    if dry_run && !pending.is_empty() {
        for name in &pending {
            println!("-- create the source tables: migration {name}");
        }
        println!("-- then capture is installed on them; run without --dry-run first to see those statements");
        return Ok(false);
    }
    if !pending.is_empty() {
        migrations::run(source, Migrations::Standalone).await?;
        println!("Created the source tables ({}).", pending.join(", "));
    }
    Ok(true)
}

pub(super) async fn plan(
    source: &Source,
    mappings: &MappingSet,
    relax: Option<&[String]>,
) -> Result<Vec<Step>, CliError> {
    let client = source.connect(Session::Control).await?;
    let tables = tables_needed(mappings);
    row_security::refuse(&client, &tables.iter().collect::<Vec<_>>()).await?;
    let live = attach::inspect(source, mappings).await?;
    let is_named = |table: &&SourceTable| relax.is_some_and(|names| names.is_empty() || names.contains(&table.name));
    let relaxed: BTreeSet<_> = capture::tables(mappings).iter().filter(is_named).cloned().collect();
    attach::plan(mappings, &live, &relaxed).map_err(CliError::Misfits)
}

pub(crate) fn print(steps: &[Step]) {
    for step in steps {
        println!("-- Postgres: {}", step.what);
        for statement in &step.statements {
            println!("{statement};");
        }
        println!();
    }
}

pub(crate) async fn apply(source: &Source, steps: &[Step], progress: &mut Progress) -> Result<(), CliError> {
    let total = steps.len();
    let tell = |event: ApplyEvent<'_>| match event {
        ApplyEvent::Begin(_, step) => progress.begin(&step.what),
        ApplyEvent::LockBusy(step, attempt) => progress.say(&format!(
            "        {}: the table is in use by a long transaction; trying again (attempt {attempt})",
            step.what
        )),
        ApplyEvent::Done(number, step) => {
            let elapsed = progress.elapsed();
            progress.say(&format!("Postgres {number:>3}/{total}  {} ({} ms)", step.what, elapsed.as_millis()));
        }
    };
    Ok(attach::apply(source, steps, tell).await?)
}
