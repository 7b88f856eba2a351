//! `lockstep-verifier self-test`: whether the verifier finds what it should.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use lockstep_core::settings::{Needs, SettingsArgs};
use lockstep_core::{TenancyId, exit};

use super::{Format, prepared, until_stopped};
use crate::{SelfTestOptions, SelfTestReport, self_test};

/// Makes rows of a tenancy that exists for this alone wrong in ClickHouse, one in each way, and expects to find them, told by their class. Everything is
/// mended in the end.
///
/// The tenancy must be alone at its place, and have four rows of the mapping at least. Exit code: 0 all were found and mended, 1 not all, 3 could not
/// finish, 78 wrong settings.
#[derive(Args, Debug)]
pub(super) struct SelfTestArguments {
    /// The tenancy
    #[arg(long, value_name = "UUID")]
    tenant: TenancyId,
    /// The mapping; its key has to be of ids alone
    #[arg(long, value_name = "NAME", default_value = "teams")]
    mapping: String,
    /// How long to wait until rows have arrived, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "printing the result is its job")]
pub(super) async fn run(settings: &SettingsArgs, arguments: SelfTestArguments) -> ExitCode {
    let (settings, telemetry) = match prepared(settings, Needs { source: true, amqp: false, clickhouse: true }) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let SelfTestArguments { tenant, mapping, timeout, format } = arguments;
    let options = SelfTestOptions { tenant, mapping, limit: Duration::from_secs(timeout) };
    let result = until_stopped(self_test(&settings, &options)).await;
    telemetry.end().await;
    match result {
        Ok(report) => {
            print(&report, format);
            ExitCode::from(if report.is_passed() { exit::OK } else { exit::DIFFERENT })
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

#[allow(clippy::print_stdout, reason = "printing the result is its job")]
fn print(report: &SelfTestReport, format: Format) {
    if format == Format::Json {
        println!("{}", serde_json::json!(report));
        return;
    }
    let planted: Vec<_> = report.planted.iter().map(|(class, rows)| format!("{rows} {class}")).collect();
    println!("Planted: {}.", planted.join(", "));
    report.missed.iter().for_each(|missed| println!("{missed}"));
    let found = if report.missed.is_empty() { "All were found, at every level." } else { "Not all were found." };
    let mended = if report.is_mended { "Everything is equal again." } else { "Not everything is equal again." };
    println!("{found} {mended}");
}
