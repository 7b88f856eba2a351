//! What is wrong with a deployment, and what to do about it. Changes nothing.
//!
//! The checks of a destination are its own: whoever asks adds them to the report.

mod activity;
mod broker;
mod capture;
mod destinations;
mod programs;
mod replica;
mod rights;
mod vacuum;

use std::fmt::Display;
use std::time::Duration;

pub(crate) use self::activity::leads;
pub use self::broker::broker_check;
pub use self::rights::missing_rights;
use lockstep_core::remedy::remedy;
use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::facts::tables_needed;
use lockstep_schema::{Session, Source, SourceError, attach, row_security};
use serde::Serialize;
use tokio::join;
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::error::OperationError;

/// What lets a role read past policies.
const BYPASS: &str = "ALTER ROLE … BYPASSRLS, by a superuser";
/// What no look at the source can tell.
const NOT_TOLD: &str = "Not told by any of this: rows that were changed while a trigger was away that is back as it was. \
                        `lockstep-verifier` finds them.";

/// What a check came to.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing is to be done.
    Ok,
    /// Something is to be done.
    Finding,
    /// It could not be looked at, which is something to be done as well.
    Unknown,
}

/// One line of what was found.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Check {
    /// What was looked at.
    pub check: &'static str,
    /// In one word.
    pub outcome: Outcome,
    /// In a sentence.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// Nothing is to be done.
    pub fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Ok, detail: detail.into(), remedy: None }
    }

    /// Something is to be done.
    pub fn finding(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Finding, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    /// It could not be looked at.
    pub fn unknown(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown, ..Self::finding(check, detail, remedy) }
    }

    /// Looking has failed.
    pub fn failed(check: &'static str, error: &impl Display, settings: &Settings) -> Self {
        let error = error.to_string();
        let remedy = remedy(&error, settings);
        Self::unknown(check, error, remedy)
    }
}

/// For a whole service to tell how it is.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(15);
/// For some checks that are made together. Looks at very many tenancies take seconds.
const CHECKS_TIMEOUT: Duration = Duration::from_secs(25);

/// What some checks have found, in bounded time; or why they could not be made.
pub async fn in_time<E: Display>(
    check: &'static str,
    settings: &Settings,
    checking: impl Future<Output = Result<Vec<Check>, E>>,
) -> Vec<Check> {
    match timeout(CHECKS_TIMEOUT, checking).await {
        Ok(Ok(checks)) => checks,
        Ok(Err(error)) => vec![Check::failed(check, &error, settings)],
        Err(_) => {
            let what = format!("it was not looked at within {} s", CHECKS_TIMEOUT.as_secs());
            vec![Check::unknown(
                check,
                what,
                "see what is said of Postgres and ClickHouse; else look at how busy they are",
            )]
        }
    }
}

pub(crate) fn too_late(service: &'static str) -> Check {
    let what = format!("no answer within {} s", PROBE_TIMEOUT.as_secs());
    Check::unknown(service, what, "check host, port and what is between")
}

/// These findings, or that there are none.
pub fn or_ok(check: &'static str, detail: &str, findings: Vec<Check>) -> Vec<Check> {
    if findings.is_empty() { vec![Check::ok(check, detail)] } else { findings }
}

/// All checks together.
#[derive(Serialize, Debug)]
pub struct DoctorReport {
    /// Whether nothing is to be done.
    pub clean: bool,
    /// One by one.
    pub checks: Vec<Check>,
    /// What these checks cannot tell.
    pub not_told: &'static str,
}

impl From<Vec<Check>> for DoctorReport {
    fn from(checks: Vec<Check>) -> Self {
        let clean = checks.iter().all(|check| check.outcome == Outcome::Ok);
        Self { clean, checks, not_told: NOT_TOLD }
    }
}

/// Looks at the source: capture, access, and what goes on there; and at the replica that workers read from. Transactions that are
/// open for longer than so many seconds are told. One look that fails does not hide what others see.
///
/// # Errors
/// When the settings cannot be used.
pub async fn source_checks(
    settings: &Settings,
    mappings: &MappingSet,
    open_for_s: u32,
) -> Result<Vec<Check>, OperationError> {
    let source = Source::of(settings)?;
    let on_replica = replica::look(&source, (settings, mappings));
    let (mut checks, replica) = join!(checks_of(&source, (settings, mappings), open_for_s), on_replica);
    checks.extend(replica);
    Ok(checks)
}

async fn checks_of(source: &Source, (settings, mappings): (&Settings, &MappingSet), open_for_s: u32) -> Vec<Check> {
    let look = async {
        Ok::<_, OperationError>((
            attach::inspect_catalog(source, mappings).await?,
            source.connect(Session::Control).await?,
        ))
    };
    let (live, client) = match look.await {
        Ok(seen) => seen,
        Err(error) => return vec![Check::failed("Postgres", &error, settings)],
    };
    let mut checks = capture::look(mappings, &live);
    checks.push(hidden_rows(&client, (settings, mappings)).await);
    // Without Lockstep's own tables there is nothing more to ask.
    if live.pending_migrations.is_empty() {
        checks.extend(capture::tenancies(&client, (settings, &live)).await);
        let active = activity::look(&client).await;
        checks.extend(active.unwrap_or_else(|error| vec![Check::failed("activity", &error, settings)]));
        let held_back = vacuum::look(&client, mappings, open_for_s).await;
        checks.extend(held_back.unwrap_or_else(|error| vec![Check::failed(vacuum::CHECK, &error, settings)]));
    }
    checks
}

/// Whether policies hide rows from the role.
async fn hidden_rows(client: &Client, (settings, mappings): (&Settings, &MappingSet)) -> Check {
    const CHECK: &str = "row level security";
    let tables = tables_needed(mappings);
    match row_security::refuse(client, &tables.iter().collect::<Vec<_>>()).await {
        Ok(()) => Check::ok(CHECK, "no policy hides rows from this role"),
        Err(error @ SourceError::RowSecurity(_)) => Check::finding(CHECK, error.to_string(), BYPASS),
        Err(error) => Check::failed(CHECK, &error, settings),
    }
}

/// Looks at who may read what in ClickHouse.
///
/// # Errors
/// When Postgres or ClickHouse cannot be asked.
pub async fn access_checks(settings: &Settings, mappings: &MappingSet) -> Result<Vec<Check>, OperationError> {
    crate::access::doctor_checks(settings, mappings).await
}

/// Looks whether something keeps programs from their work, and, behind what was found there, whether ClickHouse is ahead of the
/// source.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn program_checks(
    settings: &Settings,
    mappings: &MappingSet,
    in_clickhouse: &[Check],
) -> Result<Vec<Check>, OperationError> {
    // On a cluster a shard without a table answers nothing.
    let may_ask =
        settings.clickhouse.cluster.is_none() || in_clickhouse.iter().all(|check| check.outcome == Outcome::Ok);
    programs::look(settings, mappings, may_ask).await
}

/// Looks whether tenants' own destinations can be worked for. Connects to none of them.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn destination_checks(settings: &Settings, mappings: &MappingSet) -> Result<Vec<Check>, OperationError> {
    destinations::look(settings, mappings).await
}
