//! `lockstep wait`: returns when every destination holds what the source held at the call.
//!
//! The sequencer answers a fence with a number that covers everything committed before the fence; then the destinations'
//! cursors have to pass that number wherever there are rows, and base snapshots have to be finished. Cursors pass rows that
//! are in quarantine, which waiting does not mend: that is said, and not called in step.

use std::time::{Duration, Instant};

use clap::Args;
use lockstep_core::settings::Settings;
use lockstep_core::{SequenceId, TenancyId, exit};
use lockstep_destinations::ClickHouse;
use lockstep_mappings::MappingSet;
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::Client;

use crate::backlog::{Behind, behind, tenancies};
use crate::error::CliError;
use crate::fusebox::stopped;
use crate::quarantine;

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

/// The longest pause between two looks.
const MAX_PAUSE: Duration = Duration::from_millis(250);

pub(crate) async fn run(args: &WaitArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let began = Instant::now();
    let deadline = began + Duration::from_secs(args.timeout);
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    let client = source.connect(Session::Control).await?;
    let everybody = tenancies(&client, args.tenant).await?;
    let Some(up_to) = fence(&client, deadline).await? else {
        eprintln!(
            "Not in step after {} s: changes are not being stamped. Is lockstep-sequencer running? See `lockstep status`.",
            args.timeout
        );
        say_what_is_stopped(&client).await?;
        return Ok(exit::IN_FLIGHT);
    };
    let mut candidates: Behind = mappings.iter().map(|mapping| (mapping.name.clone(), everybody.clone())).collect();
    let mut pause = Duration::from_millis(5);
    loop {
        let snapshots = unfinished_snapshots(&client, mappings).await?;
        candidates = behind(&client, &clickhouse, mappings, &candidates, up_to).await?;
        if candidates.is_empty() && snapshots.is_empty() {
            return in_step_but_for_quarantine(&client, args.tenant, up_to, began).await;
        }
        if Instant::now() + pause > deadline {
            say_what_lags(args.timeout, &candidates, &snapshots);
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

/// The number that covers everything committed before this call; `None` when nobody answers in time.
pub(crate) async fn fence(client: &Client, deadline: Instant) -> Result<Option<SequenceId>, CliError> {
    let asked = client.query_one("INSERT INTO lockstep.fence DEFAULT VALUES RETURNING id", &[]).await;
    let id: i64 = asked.map_err(|error| CliError::unless_migrated(error.into()))?.get(0);
    let mut pause = Duration::from_millis(5);
    let answer = loop {
        let row = client.query_opt("SELECT sequence FROM lockstep.fence WHERE id = $1", &[&id]).await;
        let sequence: Option<i64> = row.map_err(SourceError::from)?.and_then(|row| row.get(0));
        if sequence.is_some() || Instant::now() + pause > deadline {
            break sequence;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    };
    client.execute("DELETE FROM lockstep.fence WHERE id = $1", &[&id]).await.map_err(SourceError::from)?;
    Ok(answer.map(SequenceId::new))
}

async fn unfinished_snapshots(client: &Client, mappings: &MappingSet) -> Result<Vec<String>, CliError> {
    let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
    let sql = "SELECT mapping_name FROM lockstep.snapshot WHERE finished_at IS NULL AND mapping_name = ANY($1::text[])";
    let rows = client.query(sql, &[&names]).await.map_err(SourceError::from)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn say_what_is_stopped(client: &Client) -> Result<(), CliError> {
    for line in stopped(client).await? {
        eprintln!("  - {line} (`lockstep fusebox`)");
    }
    Ok(())
}

fn say_what_lags(seconds: u64, candidates: &Behind, snapshots: &[String]) {
    eprintln!("Not in step after {seconds} s:");
    for (mapping, tenancies) in candidates {
        eprintln!("  - {mapping}: {} tenancies are behind", tenancies.len());
    }
    for mapping in snapshots {
        eprintln!("  - {mapping}: the base snapshot is not finished");
    }
    eprintln!("Is lockstep-worker running? See `lockstep status`.");
}
