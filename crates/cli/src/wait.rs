//! `lockstep wait`: returns when every destination holds what the source held at the call.
//!
//! The sequencer answers a fence with a number that covers everything committed before the fence; then the destination has
//! to pass that number, and fills have to end. Cursors pass rows that are in quarantine, which waiting does not mend: that
//! is said, and not called in step.

use std::time::{Duration, Instant};

use clap::Args;
use lockstep_core::settings::Settings;
use lockstep_core::{SequenceId, TenancyId, exit};
use lockstep_destinations::ClickHouse;
use lockstep_mappings::MappingSet;
use lockstep_schema::{Session, Source};
use tokio_postgres::Client;

use crate::arrival::{MAX_PAUSE, fence, filling, late, passed};
use crate::error::CliError;
use crate::fusebox::stopped;
use crate::quarantine;
use crate::tenancies::must_exist;

#[derive(Args, Debug)]
pub(crate) struct WaitArgs {
    /// Wait for one tenancy ("Tenancy"."id")
    #[arg(long, value_name = "ID", conflicts_with = "all", required_unless_present = "all")]
    tenant: Option<TenancyId>,
    /// Wait for all of them
    #[arg(long)]
    all: bool,
    /// Give up after this many seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
}

pub(crate) async fn run(args: &WaitArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let began = Instant::now();
    let deadline = began + Duration::from_secs(args.timeout);
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    let client = source.connect(Session::Control).await?;
    if let Some(tenancy) = args.tenant {
        must_exist(&client, tenancy).await?;
    }
    let Some(up_to) = fence(&client, deadline).await? else {
        eprintln!(
            "Not in step after {} s: changes get no numbers. Is lockstep-sequencer running? See `lockstep status`.",
            args.timeout
        );
        say_what_is_stopped(&client).await?;
        return Ok(exit::IN_FLIGHT);
    };
    let mut pause = Duration::from_millis(5);
    loop {
        let filling = filling(&client, mappings).await?;
        let late = match args.tenant {
            Some(tenancy) => late(&client, &clickhouse, mappings, &[tenancy], up_to)
                .await?
                .into_iter()
                .map(|(mapping, _)| format!("{mapping} is behind"))
                .collect(),
            None => {
                let passed = passed(&client).await?;
                if passed < up_to { vec![format!("shipped through {passed}, of {up_to}")] } else { Vec::new() }
            }
        };
        if late.is_empty() && filling.is_empty() {
            return in_step_but_for_quarantine(&client, args.tenant, up_to, began).await;
        }
        if Instant::now() + pause > deadline {
            say_what_lags(args.timeout, &late, &filling);
            say_what_is_stopped(&client).await?;
            return Ok(exit::IN_FLIGHT);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Nothing is on its way any more. What the destination has refused is missing there all the same.
async fn in_step_but_for_quarantine(
    client: &Client,
    tenant: Option<TenancyId>,
    up_to: SequenceId,
    began: Instant,
) -> Result<u8, CliError> {
    let refused = quarantine::count(client, tenant).await?;
    if refused > 0 {
        eprintln!("Nothing is on its way, but {refused} rows were refused: see `lockstep quarantine list`.");
        return Ok(exit::DIFFERENT);
    }
    println!("In step with sequence {up_to} after {} ms.", began.elapsed().as_millis());
    Ok(exit::OK)
}

async fn say_what_is_stopped(client: &Client) -> Result<(), CliError> {
    for line in stopped(client).await? {
        eprintln!("  - {line} (`lockstep fusebox`)");
    }
    Ok(())
}

fn say_what_lags(seconds: u64, late: &[String], filling: &[String]) {
    eprintln!("Not in step after {seconds} s:");
    for what in late {
        eprintln!("  - {what}");
    }
    for mapping in filling {
        eprintln!("  - {mapping}: it is still being filled");
    }
    eprintln!("Is lockstep-worker running? See `lockstep status`.");
}
