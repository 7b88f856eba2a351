//! `lockstep doctor`: what is wrong with an installation, and what to do about it. Changes nothing.

mod clickhouse;

use clap::Args;
use comfy_table::{Table, presets};
use lockstep_core::exit;
use lockstep_core::output::{Tone, toned};
use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_operations::doctor::{
    Check, DoctorReport, Outcome, access_checks, broker_check, destination_checks, in_time, or_ok, program_checks,
    source_checks,
};
use lockstep_schema::Source;

use crate::error::CliError;
use crate::output::{Page, Report, fitted, say};

/// A transaction that is open for longer is told unless another time is given.
const LONG_S: u32 = 300;

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Transactions that are open for longer are told
    #[arg(long, value_name = "SECONDS", default_value_t = LONG_S)]
    transactions_longer_than: u32,
}

impl Default for DoctorArgs {
    fn default() -> Self {
        Self { transactions_longer_than: LONG_S }
    }
}

pub(crate) async fn run(
    args: &DoctorArgs,
    settings: &Settings,
    mappings: &MappingSet,
) -> Result<DoctorReport, CliError> {
    Source::of(settings)?;
    // Beside each other: a service that hangs is waited for once. Each on the heap: together they are too large for a stack.
    let (mut checks, broker, clickhouse, access, tenants) = tokio::join!(
        in_time("Postgres", settings, Box::pin(source_checks(settings, mappings, args.transactions_longer_than))),
        Box::pin(broker_check(settings)),
        in_time(clickhouse::CHECK, settings, Box::pin(clickhouse::look(settings, mappings))),
        in_time("access", settings, Box::pin(access_checks(settings, mappings))),
        in_time("tenants' destinations", settings, Box::pin(destination_checks(settings, mappings))),
    );
    let programs = Box::pin(program_checks(settings, mappings, &clickhouse));
    let programs = in_time("programs", settings, programs).await;
    checks.push(broker);
    checks.extend([clickhouse, programs, access, tenants].into_iter().flatten());
    Ok(checks.into())
}

impl Report for DoctorReport {
    fn print(&self, page: &mut Page) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["check", "result", "remedy"]);
        for check in &self.checks {
            let (tone, result) = match check.outcome {
                Outcome::Ok => (Tone::Good, format!("ok: {}", check.detail)),
                Outcome::Finding => (Tone::Wrong, check.detail.clone()),
                Outcome::Unknown => (Tone::Attention, format!("not known: {}", check.detail)),
            };
            table.add_row([&toned(check.check, tone), &result, check.remedy.as_deref().unwrap_or_default()]);
        }
        say!(page, "{}\n{}", fitted(table), self.not_told);
    }

    fn exit_code(&self) -> u8 {
        if self.clean { exit::OK } else { exit::DIFFERENT }
    }

    fn list(&self) -> Option<&'static str> {
        Some("checks")
    }
}
