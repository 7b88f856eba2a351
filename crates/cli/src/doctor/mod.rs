//! `lockstep doctor`: what is wrong with an installation, and what to do about it. Changes nothing.

mod activity;
mod capture;
mod clickhouse;

use clap::Args;
use comfy_table::{Table, presets};
use lockstep_core::exit;
use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::facts::tables_needed;
use lockstep_schema::{Session, Source, SourceError, row_security};
use serde::Serialize;

use crate::error::CliError;

/// What no look at the source can tell.
const NOT_TOLD: &str = "Not told by any of this: rows that were changed while a trigger was away that is back as it was. \
                        `lockstep-verifier` finds them.";

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Transactions that are open for longer are told
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    transactions_longer_than: u32,
}

/// What a check came to.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Ok,
    /// Something to be done.
    Finding,
    /// It could not be looked at, which is something to be done as well.
    Unknown,
}

/// One line of what was found.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub(crate) struct Check {
    check: &'static str,
    outcome: Outcome,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Check {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Ok, detail: detail.into(), remedy: None }
    }

    fn finding(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Finding, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    fn unknown(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown, ..Self::finding(check, detail, remedy) }
    }
}

/// These findings, or that there are none.
fn or_ok(check: &'static str, detail: &str, findings: Vec<Check>) -> Vec<Check> {
    if findings.is_empty() { vec![Check::ok(check, detail)] } else { findings }
}

#[derive(Serialize)]
struct Report<'a> {
    clean: bool,
    checks: &'a [Check],
    not_told: &'static str,
}

pub(crate) async fn run(args: &DoctorArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let mut checks = of_source(&source, mappings, args).await;
    let in_clickhouse = clickhouse::look(settings, mappings).await;
    checks.extend(in_clickhouse.unwrap_or_else(|error| vec![failed(clickhouse::CHECK, &error)]));
    let clean = checks.iter().all(|check| check.outcome == Outcome::Ok);
    if args.json {
        let report = Report { clean, checks: &checks, not_told: NOT_TOLD };
        println!("{}", serde_json::to_string(&report).unwrap_or_default());
    } else {
        print(&checks);
    }
    Ok(if clean { exit::OK } else { exit::DIFFERENT })
}

/// One look that fails does not hide what others see.
async fn of_source(source: &Source, mappings: &MappingSet, args: &DoctorArgs) -> Vec<Check> {
    let live = match lockstep_schema::attach::inspect(source, mappings).await {
        Ok(live) => live,
        Err(error) => return vec![failed("Postgres", &error.into())],
    };
    let mut checks = capture::look(mappings, &live);
    checks.push(hidden_rows(source, mappings).await);
    // Without Lockstep's own tables there is nothing more to ask.
    if live.pending_migrations.is_empty() {
        let active = activity::look(source, args.transactions_longer_than).await;
        checks.extend(active.unwrap_or_else(|error| vec![failed("activity", &error)]));
    }
    checks
}

/// Whether policies hide rows from the role.
async fn hidden_rows(source: &Source, mappings: &MappingSet) -> Check {
    const CHECK: &str = "row level security";
    let tables = tables_needed(mappings);
    let tables: Vec<_> = tables.iter().collect();
    let look = async { row_security::refuse(&source.connect(Session::Control).await?, &tables).await };
    match look.await {
        Ok(()) => Check::ok(CHECK, "no policy hides rows from this role"),
        Err(error @ SourceError::RowSecurity(_)) => {
            Check::finding(CHECK, error.to_string(), "ALTER ROLE … BYPASSRLS, by a superuser")
        }
        Err(error) => failed(CHECK, &error.into()),
    }
}

fn failed(check: &'static str, error: &CliError) -> Check {
    Check::unknown(check, error.to_string(), "see docs/errors for the code")
}

fn print(checks: &[Check]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["check", "result", "remedy"]);
    for check in checks {
        let result = match check.outcome {
            Outcome::Ok => format!("ok: {}", check.detail),
            Outcome::Finding => check.detail.clone(),
            Outcome::Unknown => format!("not known: {}", check.detail),
        };
        table.add_row([check.check, &result, check.remedy.as_deref().unwrap_or_default()]);
    }
    println!("{table}\n{NOT_TOLD}");
}
