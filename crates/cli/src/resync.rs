//! `lockstep resync`: exports again, beside everything else.

use std::time::Duration;

use clap::Args;
use lockstep_core::{TenancyId, exit};
use lockstep_operations::shown::counted;
use lockstep_operations::{
    ActionRecord, DESTINATION, Deployment, ExportReport, RefillRequest, ResyncRequest, refill, resync,
};
use uuid::Uuid;

use crate::error::CliError;
use crate::output::{Page, Report, Reporting, aside, say};
use crate::progress::Progress;

#[derive(Args, Debug)]
pub(crate) struct ResyncArgs {
    /// Only this tenancy ("Tenancy"."id"), with those that share its project and branch. May be repeated
    #[arg(long = "tenant", value_name = "ID")]
    tenants: Vec<TenancyId>,
    /// Only this mapping. May be repeated
    #[arg(long = "mapping", value_name = "NAME")]
    mappings: Vec<String>,
    /// To this destination: clickhouse, or the id of a tenant's own
    #[arg(long, value_name = "NAME|ID", default_value = DESTINATION)]
    destination: String,
    /// Give up waiting after this many seconds. Run the same command again to continue
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    timeout: u64,
}

impl ResyncArgs {
    /// As it is written down.
    pub(crate) fn change(&self) -> ActionRecord {
        ActionRecord::resync(&self.tenants, &self.mappings, &self.destination)
    }
}

/// Does it, and shows what came of it. Returns the exit code.
pub(crate) async fn run(command: &Reporting<ResyncArgs>, deployment: &mut Deployment<'_>) -> Result<u8, CliError> {
    let args = &command.args;
    let (tenancies, mappings) = (args.tenants.clone(), args.mappings.clone());
    let (limit, progress) = (Duration::from_secs(args.timeout), Progress::new());
    let mut say = |what: &str| progress.say(what);
    if args.destination == DESTINATION {
        let request = ResyncRequest { tenancies, mappings, limit };
        return Ok(command.show(&resync(deployment, &request, &mut say).await?));
    }
    let id = Uuid::parse_str(&args.destination).map_err(|_| CliError::UnknownDestination(args.destination.clone()))?;
    let request = RefillRequest { id, mappings, tenancies, limit };
    Ok(command.show(&refill(deployment, &request, &mut say).await?))
}

impl Report for ExportReport {
    fn print(&self, page: &mut Page) {
        let (count, took_ms) = (counted(self.mappings, "mapping", "mappings"), self.took_ms);
        if let Some(unfinished) = &self.unfinished {
            aside!(page, "Not finished: {unfinished}.");
            self.paused.iter().for_each(|part| aside!(page, "  - {part}"));
            aside!(
                page,
                "Run the same command again to continue. Are the sequencer and the workers running? See `lockstep status`."
            );
            return;
        }
        let whose = match (self.tenancies, self.floor) {
            (Some(tenancies), Some(floor)) => format!(" of {tenancies} tenancies, above sequence {floor}"),
            _ => String::new(),
        };
        let stale = self.stale_rows.unwrap_or_default();
        say!(page, "Exported again: {count}{whose}; {stale} rows were in ClickHouse alone. {took_ms} ms.");
    }

    fn exit_code(&self) -> u8 {
        if self.unfinished.is_some() { exit::IN_FLIGHT } else { exit::OK }
    }
}
