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
use lockstep_core::{exit, output};
use lockstep_core::settings::{Settings, SettingsArgs};
use lockstep_mappings::{MappingSet, SourceTable};
use lockstep_operations::{Deployment, support};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::doctor::{self, DoctorArgs};
use crate::error::CliError;

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

pub(crate) async fn run(
    args: &SupportArgs,
    given: &SettingsArgs,
    settings: &Settings,
    mappings: &MappingSet,
) -> Result<u8, CliError> {
    let settings = &Settings { source_read_only: true, ..settings.clone() };
    let mut parts = vec![settings_of(given), versions()];
    parts.extend(definitions(mappings));
    parts.push(part("doctor", doctor::run(&DoctorArgs::default(), settings, mappings)).await);
    parts.push(
        part("status", async { lockstep_operations::status(&Deployment::connect(settings, mappings).await?).await })
            .await,
    );
    parts.push(
        part("source", async { Ok(support::of_source(&Deployment::connect(settings, mappings).await?).await?) }).await,
    );
    parts.push(part("clickhouse", support::of_clickhouse(settings)).await);
    write(args, &parts).map_err(|why| CliError::DefinitionFile { file: args.to.clone(), why })?;
    let files = parts.len();
    let said = if output::chosen().form().is_json() {
        format!("{}\n", json!({ "file": args.to, "files": files }))
    } else {
        format!("Wrote {} ({files} files). Look through it before you give it away.\n", args.to.display())
    };
    Ok(output::print(&said, exit::OK))
}

/// A report, or why there is none.
async fn part<T: Serialize>(name: &str, made: impl Future<Output = Result<T, CliError>>) -> Part {
    let value = match timeout(PART_TIMEOUT, made).await {
        Ok(Ok(report)) => serde_json::to_value(&report).unwrap_or_else(|why| json!({ "failed": why.to_string() })),
        Ok(Err(error)) => json!({ "failed": error.to_string() }),
        Err(_) => json!({ "failed": format!("it took longer than {} s", PART_TIMEOUT.as_secs()) }),
    };
    as_json(name, &value)
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

/// The mappings with their tables. Definitions of the operator's own go as they are written.
fn definitions(mappings: &MappingSet) -> Vec<Part> {
    let entry = |mapping: &lockstep_mappings::Mapping| {
        let SourceTable { schema, name } = &mapping.source;
        json!({ "name": mapping.name.to_string(), "file": mapping.file, "table": format!("{schema}.{name}") })
    };
    let mut parts = vec![as_json("mappings", &mappings.iter().map(entry).collect())];
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
