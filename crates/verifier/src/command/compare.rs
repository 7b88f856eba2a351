//! `lockstep-verifier compare`: one side against a file, or into one.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use lockstep_core::output::chosen;
use lockstep_core::settings::{Needs, Settings, SettingsArgs};
use lockstep_core::{TenancyId, exit};

use super::{prepared, told, until_stopped};
use crate::{DestinationChoice, FileOptions, Shown, SideChoice, SideOptions, VerifyError, compare_file, save_file};

/// Compares a mapping's rows of one tenant with a file from elsewhere, or saves them as such a file. Writes no database.
///
/// A file has one JSON object a line, with the names of the mapping's columns. A column that it lacks is not compared, and
/// fields that the mapping has not are ignored; both are said. Exit code: 0 equal, 1 different, 3 could not finish, 78 wrong settings.
#[derive(Args, Debug)]
pub(super) struct CompareArguments {
    /// The mapping
    #[arg(long, value_name = "NAME")]
    mapping: String,
    /// Whose rows
    #[arg(long, value_name = "UUID")]
    tenant: TenancyId,
    /// The file to compare with
    #[arg(long, value_name = "FILE", required_unless_present = "save", conflicts_with = "save")]
    against: Option<PathBuf>,
    /// Write the rows to this file instead; what it held is gone
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Which side: the rows as the mapping exports them, or as they arrived
    #[arg(long, value_enum, default_value_t = WhichSide::Destination)]
    side: WhichSide,
    /// Which destination: clickhouse, or the id of a tenant's own
    #[arg(long, value_name = "clickhouse|UUID", default_value = "clickhouse")]
    destination: DestinationChoice,
    /// How many rows the file may have: their keys are kept in memory, about 100 bytes each
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    max_rows: u64,
    /// Show keys that are texts, which may say something about people, instead of their hashes
    #[arg(long)]
    show_keys: bool,
    /// How many findings to show
    #[arg(long, value_name = "N", default_value_t = 20)]
    show: usize,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum WhichSide {
    /// Postgres
    Source,
    /// Where --destination says
    Destination,
}

impl CompareArguments {
    fn options(&self) -> SideOptions {
        let side = match self.side {
            WhichSide::Source => SideChoice::Source,
            WhichSide::Destination => SideChoice::Destination(self.destination),
        };
        SideOptions { mapping: self.mapping.clone(), tenant: self.tenant, side }
    }
}

/// Runs it and prints the result on standard output.
pub(super) async fn run(settings: &SettingsArgs, arguments: CompareArguments) -> ExitCode {
    let options = arguments.options();
    let clickhouse = options.side == SideChoice::Destination(DestinationChoice::ClickHouse);
    let (settings, telemetry) = match prepared(settings, Needs { source: true, amqp: false, clickhouse }) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let result = until_stopped(done(&settings, &options, arguments)).await;
    telemetry.end().await;
    told(result, &settings)
}

/// What is printed, and the exit code.
async fn done(settings: &Settings, of: &SideOptions, arguments: CompareArguments) -> Result<(String, u8), VerifyError> {
    let is_json = chosen().form().is_json();
    if let Some(file) = &arguments.save {
        let rows = save_file(settings, of, file).await?;
        let side = of.side.name();
        let json = serde_json::json!({ "file": file, "mapping": of.mapping, "tenancy_id": of.tenant.as_uuid(), "side": side, "rows": rows });
        let text = format!("{}: {rows} rows of {} as {side} has them", file.display(), of.mapping);
        return Ok((format!("{}\n", if is_json { json.to_string() } else { text }), exit::OK));
    }
    let options = FileOptions {
        file: arguments.against.unwrap_or_default(),
        max_rows: arguments.max_rows,
        show: arguments.show,
        shown: if arguments.show_keys { Shown::Keys } else { Shown::Ids },
    };
    let report = compare_file(settings, of, &options).await?;
    let text = if is_json { report.to_json() } else { report.to_text() };
    Ok((format!("{}\n", text.trim_end()), report.exit_code()))
}
