//! `lockstep resync`: exports again, beside everything else.

use std::time::Duration;

use clap::Args;
use lockstep_core::{TenancyId, exit};
use lockstep_operations::{DESTINATION, Deployment, ExportReport, ResyncRequest, resync};

use crate::error::CliError;
use crate::output::Report;
use crate::progress::Progress;

#[derive(Args, Debug)]
pub(crate) struct ResyncArgs {
    /// Only this tenancy ("Tenancy"."id"), with those that share its project and branch. May be repeated
    #[arg(long = "tenant", value_name = "ID")]
    tenants: Vec<TenancyId>,
    /// Only this mapping. May be repeated
    #[arg(long = "mapping", value_name = "NAME")]
    mappings: Vec<String>,
    /// Only to this destination
    #[arg(long, value_name = "NAME", default_value = DESTINATION)]
    destination: String,
    /// Give up waiting after this many seconds. Run the same command again to continue
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    timeout: u64,
}

pub(crate) async fn run(args: &ResyncArgs, deployment: &mut Deployment<'_>) -> Result<ExportReport, CliError> {
    let request = ResyncRequest {
        tenancies: args.tenants.clone(),
        mappings: args.mappings.clone(),
        destination: args.destination.clone(),
        limit: Duration::from_secs(args.timeout),
    };
    let progress = Progress::new();
    resync(deployment, &request, &mut |what| progress.say(what)).await
}

impl Report for ExportReport {
    fn print(&self) {
        let (count, took_ms) = (self.mappings, self.took_ms);
        if let Some(unfinished) = &self.unfinished {
            eprintln!("Not finished: {unfinished}.");
            self.paused.iter().for_each(|part| eprintln!("  - {part}"));
            eprintln!(
                "Run the same command again to continue. Are the sequencer and the workers running? See `lockstep status`."
            );
            return;
        }
        let whose = match (self.tenancies, self.floor) {
            (Some(tenancies), Some(floor)) => format!(" of {tenancies} tenancies, above sequence {floor}"),
            _ => String::new(),
        };
        let stale = self.stale_rows.unwrap_or_default();
        println!("Exported again: {count} mappings{whose}; {stale} rows were in ClickHouse alone. {took_ms} ms.");
    }

    fn exit_code(&self) -> u8 {
        if self.unfinished.is_some() { exit::IN_FLIGHT } else { exit::OK }
    }
}
