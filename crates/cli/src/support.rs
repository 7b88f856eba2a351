//! `lockstep support-bundle`: one archive of what helps to understand an installation from afar.
//!
//! Each part is a file, bounded in time and bytes. One that could not be made says so in its place, so that a bundle can be
//! made while a service is down.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lockstep_core::output;
use lockstep_core::settings::{Settings, SettingsArgs};
use lockstep_mappings::{DefinitionError, DefinitionErrors, MappingSet, SourceTable};
use lockstep_operations::{Deployment, support};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::doctor::{self, DoctorArgs};
use crate::error::CliError;
use crate::output::{Page, Report, say};

/// For each part.
const PART_TIMEOUT: Duration = Duration::from_secs(30);
/// A longer part is cut.
const MAX_PART_BYTES: usize = 4 * 1024 * 1024;

#[derive(Args, Debug)]
pub(crate) struct SupportArgs {
    /// The archive, which must not exist; only its owner can read it
    #[arg(long, value_name = "FILE", default_value = "lockstep-support.tar")]
    to: PathBuf,
}

/// A file of the archive.
type Part = (String, String);

/// What was written.
#[derive(Serialize, Debug)]
pub(crate) struct SupportReport {
    file: PathBuf,
    /// The names of the files in it.
    parts: Vec<String>,
}

/// Definitions that do not hold together are told, and do not hinder anything.
pub(crate) async fn run(
    args: &SupportArgs,
    given: &SettingsArgs,
    settings: &Settings,
    (mappings, wrong): (&MappingSet, Vec<DefinitionError>),
) -> Result<SupportReport, CliError> {
    let settings = &Settings { source_read_only: true, ..settings.clone() };
    let mut parts = vec![settings_of(given), versions()];
    parts.extend(definitions(mappings, wrong));
    parts.push(part("doctor", doctor::run(&DoctorArgs::default(), settings, mappings)).await);
    let status = async { lockstep_operations::status(&Deployment::connect(settings, mappings).await?).await };
    parts.push(part("status", status).await);
    let source = async { support::of_source(&Deployment::connect_before_migrate(settings, mappings).await?).await };
    parts.push(part("source", source).await);
    parts.push(part("clickhouse", support::of_clickhouse(settings)).await);
    write(args, &parts).map_err(|why| CliError::File { file: args.to.clone(), why })?;
    Ok(SupportReport { file: args.to.clone(), parts: parts.into_iter().map(|(name, _)| name).collect() })
}

impl Report for SupportReport {
    fn print(&self, page: &mut Page) {
        let Self { file, parts } = self;
        say!(page, "Wrote {} ({} files). Look through it before you give it away.", file.display(), parts.len());
    }
}

/// A report without free text, or why there is none.
async fn part<T: Serialize>(name: &str, made: impl Future<Output = Result<T, CliError>>) -> Part {
    let mut value = match timeout(PART_TIMEOUT, made).await {
        Ok(Ok(report)) => serde_json::to_value(&report).unwrap_or_else(|why| json!({ "failed": why.to_string() })),
        Ok(Err(error)) => json!({ "failed": error.to_string() }),
        Err(_) => json!({ "failed": format!("it took longer than {} s", PART_TIMEOUT.as_secs()) }),
    };
    leave_out(&mut value);
    as_json(name, &value)
}

/// Fields that somebody's words may stand in, or that say where a tenant's own database is. Of an error its code is kept.
const FREE_TEXT: [&str; 8] = ["reason", "error", "why", "host", "port", "database", "user", "key_id"];
/// Checks whose lines name tenants' users, sessions of others, or what is stored for tenants. Their outcome is kept.
const OF_OTHERS: [&str; 4] = ["access", "open transactions", "replication slots", "tenants' destinations"];

fn leave_out(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let is_of_others =
                fields.get("check").and_then(Value::as_str).is_some_and(|name| OF_OTHERS.contains(&name));
            for (name, value) in fields {
                let is_left_out =
                    FREE_TEXT.contains(&name.as_str()) || is_of_others && matches!(name.as_str(), "detail" | "remedy");
                if is_left_out && !value.is_null() {
                    let code = value.as_str().and_then(output::code_in).map(str::to_owned);
                    *value = Value::from(code.unwrap_or_else(|| "(left out)".to_owned()));
                }
                leave_out(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out),
        _ => {}
    }
}

fn as_json(name: &str, value: &Value) -> Part {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    if text.len() > MAX_PART_BYTES {
        text.truncate(text.floor_char_boundary(MAX_PART_BYTES));
        text.push_str("\n(cut here)");
    }
    (format!("{name}.json"), text)
}

fn settings_of(given: &SettingsArgs) -> Part {
    let settings = given
        .shown()
        .iter()
        .map(|setting| json!({ "name": setting.name, "value": setting.value, "from": setting.origin.to_string() }));
    as_json("settings", &settings.collect())
}

fn versions() -> Part {
    as_json(
        "versions",
        &json!({ "lockstep": env!("CARGO_PKG_VERSION"), "os": std::env::consts::OS, "arch": std::env::consts::ARCH }),
    )
}

/// The mappings with their tables, and what is wrong with definitions. Those of the operator's own go as they are written.
fn definitions(mappings: &MappingSet, wrong: Vec<DefinitionError>) -> Vec<Part> {
    let entry = |mapping: &lockstep_mappings::Mapping| {
        let SourceTable { schema, name } = &mapping.source;
        json!({ "name": mapping.name.to_string(), "file": mapping.file, "table": format!("{schema}.{name}") })
    };
    let wrong = (!wrong.is_empty()).then(|| DefinitionErrors(wrong).to_string());
    let all: Vec<_> = mappings.iter().map(entry).collect();
    let mut parts = vec![as_json("mappings", &json!({ "mappings": all, "wrong": wrong }))];
    for mapping in mappings.iter() {
        // Built-in ones are no files.
        if let Ok(mut text) = std::fs::read_to_string(&mapping.file) {
            text.truncate(text.floor_char_boundary(MAX_PART_BYTES));
            parts.push((format!("definitions/{}.toml", mapping.name), text));
        }
    }
    parts
}

fn write(args: &SupportArgs, parts: &[Part]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.to)?;
    let mut archive = tar::Builder::new(file);
    for (name, text) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        archive.append_data(&mut header, format!("lockstep-support/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebodys_words_are_left_out_and_codes_are_kept() {
        let mut value = json!({
            "paused": [{ "name": "users", "reason": "for Ada" }],
            "tasks": [{ "name": "sweep", "error": "LS-0012: Postgres: Ada" }, { "name": "fill", "error": null }],
            "checks": [{ "check": "access", "outcome": "finding", "detail": "ada", "remedy": "ada" },
                { "check": "inbox", "outcome": "ok", "detail": "3 lines" }],
        });
        leave_out(&mut value);
        let left = json!({
            "paused": [{ "name": "users", "reason": "(left out)" }],
            "tasks": [{ "name": "sweep", "error": "LS-0012" }, { "name": "fill", "error": null }],
            "checks": [{ "check": "access", "outcome": "finding", "detail": "(left out)", "remedy": "(left out)" },
                { "check": "inbox", "outcome": "ok", "detail": "3 lines" }],
        });
        assert_eq!(value, left);
    }
}
