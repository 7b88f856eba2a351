//! The source side of `lockstep migrate`.

use lockstep_mappings::MappingSet;
use lockstep_schema::attach::{self, ApplyEvent, Step};
use lockstep_schema::migrations::{self, Migrations};
use lockstep_schema::{Session, Source};

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

pub(super) async fn plan(source: &Source, mappings: &MappingSet) -> Result<Vec<Step>, CliError> {
    let live = attach::inspect(source, mappings).await?;
    attach::plan(mappings, &live).map_err(CliError::Misfits)
}

pub(super) fn print(steps: &[Step]) {
    for step in steps {
        println!("-- Postgres: {}", step.what);
        for statement in &step.statements {
            println!("{statement};");
        }
        println!();
    }
}

pub(super) async fn apply(source: &Source, steps: &[Step], progress: &mut Progress) -> Result<(), CliError> {
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
