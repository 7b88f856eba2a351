//! `lockstep-verifier self-test`: whether the verifier finds what it should.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use lockstep_core::output::chosen;
use lockstep_core::settings::{Needs, SettingsArgs};
use lockstep_core::{TenancyId, exit};

use super::{prepared, told, until_stopped};
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
}

pub(super) async fn run(settings: &SettingsArgs, arguments: SelfTestArguments) -> ExitCode {
    let (settings, telemetry) = match prepared(settings, Needs { source: true, amqp: false, clickhouse: true }) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let SelfTestArguments { tenant, mapping, timeout } = arguments;
    let options = SelfTestOptions { tenant, mapping, limit: Duration::from_secs(timeout) };
    let result = until_stopped(self_test(&settings, &options)).await;
    telemetry.end().await;
    let code = |is_passed| if is_passed { exit::OK } else { exit::DIFFERENT };
    told(result.map(|report| (text(&report), code(report.is_passed()))), &settings)
}

fn text(report: &SelfTestReport) -> String {
    if chosen().form().is_json() {
        return format!("{}\n", serde_json::json!(report));
    }
    let planted: Vec<_> = report.planted.iter().map(|(class, rows)| format!("{rows} {class}")).collect();
    let missed: String = report.missed.iter().map(|missed| format!("{missed}\n")).collect();
    let found = if report.missed.is_empty() { "All were found, at every level." } else { "Not all were found." };
    let mended = if report.is_mended { "Everything is equal again." } else { "Not everything is equal again." };
    format!("Planted: {}.\n{missed}{found} {mended}\n", planted.join(", "))
}
