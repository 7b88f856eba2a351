//! Embedded migrations: the control schema, and the source schema for a database of our own.

use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel_async::{AsyncMigrationHarness, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::connect::{Session, Source};
use crate::error::SourceError;

const CONTROL: EmbeddedMigrations = embed_migrations!("../../migrations/control");
const STANDALONE: EmbeddedMigrations = embed_migrations!("../../migrations/source");

macro_rules! embedded {
    ($of:literal, $name:literal) => {
        ($name, include_str!(concat!("../../../migrations/", $of, "/", $name, "/up.sql")))
    };
}

/// What they run, for people: what is embedded to be run does not give its text.
const TEXTS: [(&str, &str); 8] = [
    embedded!("source", "2026-01-01-000000_source_schema"),
    embedded!("control", "2026-11-25-000001_capture"),
    embedded!("control", "2026-11-25-000002_shipping"),
    embedded!("control", "2026-11-25-000003_operations"),
    embedded!("control", "2026-11-26-000004_tenants"),
    embedded!("control", "2026-11-26-000005_verification"),
    embedded!("control", "2026-11-27-000006_freshness"),
    embedded!("control", "2026-11-27-000007_events"),
];

/// What a migration runs, without its last semicolon.
pub fn text(name: &str) -> String {
    let text = TEXTS.iter().find(|(of, _)| *of == name).map_or("", |(_, text)| text.trim().trim_end_matches(';'));
    format!("-- migration {name}\n{text}").trim_end().to_owned()
}

/// Which migrations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Migrations {
    /// Lockstep's own schema, in any source database.
    Control,
    /// The source tables, in a database of our own. Never run where another tool owns them.
    Standalone,
}

impl Migrations {
    /// The record of what was run is kept in the schema that the migrations make, so that nothing of Lockstep's lies
    /// among the tables of another tool.
    const fn prepare(self) -> &'static str {
        match self {
            Self::Control => "CREATE SCHEMA IF NOT EXISTS lockstep; SET search_path = lockstep;",
            Self::Standalone => "CREATE SCHEMA IF NOT EXISTS public; SET search_path = public;",
        }
    }

    const fn embedded(self) -> EmbeddedMigrations {
        match self {
            Self::Control => CONTROL,
            Self::Standalone => STANDALONE,
        }
    }
}

/// The names of migrations that were not run yet. Changes nothing.
///
/// # Errors
/// When the database cannot be asked.
pub async fn pending(source: &Source, migrations: Migrations) -> Result<Vec<String>, SourceError> {
    let client = source.connect(Session::Control).await?;
    let schema = if migrations == Migrations::Control { "lockstep" } else { "public" };
    let known = format!("{schema}.__diesel_schema_migrations");
    let exists: bool = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&known]).await?.get(0);
    let run: Vec<String> = if exists {
        let rows = client.query(&format!("SELECT version FROM {known}"), &[]).await?;
        rows.iter().map(|row| row.get(0)).collect()
    } else {
        Vec::new()
    };
    let all: Vec<Box<dyn Migration<Pg>>> =
        migrations.embedded().migrations().map_err(|error| SourceError::Migration(error.to_string()))?;
    let names = all.iter().map(|migration| migration.name());
    Ok(names.filter(|name| !run.contains(&name.version().to_string())).map(|name| name.to_string()).collect())
}

/// Runs what is pending, each migration in a transaction of its own. Needs the multi-thread runtime.
///
/// # Errors
/// When a migration fails; those before it stay.
pub async fn run(source: &Source, migrations: Migrations) -> Result<(), SourceError> {
    let mut connection = source.connect_diesel(Session::Migrate).await?;
    connection.batch_execute(migrations.prepare()).await?;
    let mut harness = AsyncMigrationHarness::new(connection);
    let ran = harness.run_pending_migrations(migrations.embedded());
    ran.map(drop).map_err(|error| SourceError::Migration(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_can_be_shown() {
        let names = |migrations: Migrations| -> Vec<String> {
            let all: Vec<Box<dyn Migration<Pg>>> = migrations.embedded().migrations().unwrap();
            all.iter().map(|migration| migration.name().to_string()).collect()
        };
        let mut names = [names(Migrations::Standalone), names(Migrations::Control)].concat();
        names.sort();
        assert_eq!(names, TEXTS.map(|(name, _)| name));
        assert!(names.iter().all(|name| text(name).contains("CREATE ") || text(name).contains("ALTER ")));
    }
}
