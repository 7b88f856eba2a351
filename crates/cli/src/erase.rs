//! `lockstep erase`: has a tenancy erased from the destination, and prints the receipt (ERASE-1).
//!
//! The work is done by a worker's janitor, as it is for every tenancy that is gone; this asks for it, and waits. Killed and
//! run again it waits for the same erasure.

use std::time::{Duration, Instant};

use clap::Args;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use lockstep_core::settings::Settings;
use lockstep_core::{Location, TenancyId, exit};
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::erase::erasure_wait;
use lockstep_mappings::postgres::{table, tenancy_table};
use lockstep_schema::fuses::{self, FuseKind};
use lockstep_schema::{Session, Source, SourceError};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_postgres::{Client, Row};

use crate::error::CliError;
use crate::fusebox::DESTINATION;
use crate::progress::Progress;

#[derive(Args, Debug)]
pub(crate) struct EraseArgs {
    /// Whose rows to erase ("Tenancy"."id")
    #[arg(long, value_name = "ID")]
    tenant: TenancyId,
    /// Also where it exists in the source: its fuse is blown first, and it is shipped no more until that is reset
    #[arg(long)]
    and_stop: bool,
    /// Its project, where nothing is known of the tenancy any more
    #[arg(long, requires = "branch", value_name = "ID")]
    project: Option<String>,
    /// Its branch
    #[arg(long, requires = "project", value_name = "ID")]
    branch: Option<String>,
    /// Stop waiting after this many seconds; the erasure goes on
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    timeout: u64,
    /// The receipt as one JSON object
    #[arg(long)]
    json: bool,
}

/// Workers obey a fuse within a second; what they read until then is waited for.
const WORKERS_OBEY: Duration = Duration::from_secs(3);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Asks for it, or joins an erasure that is asked for already. One of a tenancy that has been stopped since starts anew.
const REQUEST: &str = "
INSERT INTO lockstep.erasure AS e (tenancy_id, destination, reason, stopped, up_to)
SELECT $1, $3, 'by hand', $2, (SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1)
ON CONFLICT (tenancy_id, destination) WHERE finished_at IS NULL DO UPDATE SET reason = EXCLUDED.reason, stopped = EXCLUDED.stopped,
  requested_at = CASE WHEN e.stopped = EXCLUDED.stopped THEN e.requested_at ELSE EXCLUDED.requested_at END,
  up_to = CASE WHEN e.stopped = EXCLUDED.stopped THEN e.up_to ELSE EXCLUDED.up_to END
RETURNING id";

const RECEIPT: &str = "SELECT id, tenancy_id::text, destination, reason, to_char(requested_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), to_char(proven_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), to_char(finished_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), removed::text FROM lockstep.erasure";

/// What was removed, and that nothing is left.
#[derive(Serialize)]
struct Receipt {
    tenancy: String,
    destination: String,
    reason: String,
    requested_at: String,
    proven_at: Option<String>,
    finished_at: Option<String>,
    /// Rows of all versions, by mapping; what starts with _ is not of a mapping.
    removed: Map<String, Value>,
    /// What was counted after the removal.
    left: u64,
}

pub(crate) async fn run(args: &EraseArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let client = source.connect(Session::Control).await?;
    let mut progress = Progress::new();
    let exists = exists(&client, args.tenant).await?;
    if exists && !args.and_stop {
        return Err(CliError::StillExists(args.tenant));
    }
    if exists {
        progress.begin("the tenancy is being stopped");
        stop(&client, args.tenant).await?;
    } else if !is_known(&client, args.tenant).await? {
        match (&args.project, &args.branch) {
            (Some(project), Some(branch)) => {
                let location = Location { project_id: project.clone(), branch_id: branch.clone() };
                remember(&client, args.tenant, &location).await?;
            }
            _ => {
                let Some(receipt) = last_receipt(&client, args.tenant).await? else {
                    return Err(CliError::PlaceUnknown(args.tenant));
                };
                progress.say("It is erased already; this is the receipt.");
                print(args, &receipt, mappings);
                return Ok(exit::OK);
            }
        }
    }
    let asked = client.query_one(REQUEST, &[&args.tenant.as_uuid(), &exists, &DESTINATION]).await;
    let id: i64 = asked.map_err(SourceError::from)?.get(0);
    match finished(&client, id, args, &mut progress).await? {
        Some(receipt) => {
            drop(progress);
            print(args, &receipt, mappings);
            Ok(exit::OK)
        }
        None => {
            progress.say(&format!(
                "Not erased after {} s; it goes on, and `lockstep erase` with the same id waits for it. Is lockstep-worker running?",
                args.timeout
            ));
            Ok(exit::IN_FLIGHT)
        }
    }
}

async fn exists(client: &Client, tenancy: TenancyId) -> Result<bool, CliError> {
    let migrated = "SELECT to_regclass('lockstep.erasure') IS NOT NULL";
    if !client.query_one(migrated, &[]).await.map_err(SourceError::from)?.get::<_, bool>(0) {
        return Err(CliError::NotMigrated);
    }
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {} t WHERE t.\"id\" = $1)", table(&tenancy_table()));
    Ok(client.query_one(&sql, &[&tenancy.as_uuid()]).await.map_err(SourceError::from)?.get(0))
}

/// Blows its fuse, and waits until every worker has seen that.
async fn stop(client: &Client, tenancy: TenancyId) -> Result<(), CliError> {
    let blown = fuses::stop(client, FuseKind::Tenant, &tenancy.to_string(), "lockstep erase --and-stop").await;
    blown.map_err(CliError::unless_migrated)?;
    tokio::time::sleep(WORKERS_OBEY).await;
    Ok(())
}

async fn is_known(client: &Client, tenancy: TenancyId) -> Result<bool, CliError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM lockstep.tenancy_location WHERE tenancy_id = $1)";
    Ok(client.query_one(sql, &[&tenancy.as_uuid()]).await.map_err(SourceError::from)?.get(0))
}

async fn remember(client: &Client, tenancy: TenancyId, location: &Location) -> Result<(), CliError> {
    let sql = "INSERT INTO lockstep.tenancy_location (tenancy_id, project_id, branch_id, gone_at) VALUES ($1, $2, $3, now()) ON CONFLICT DO NOTHING";
    let added = client.execute(sql, &[&tenancy.as_uuid(), &location.project_id, &location.branch_id]).await;
    added.map_err(SourceError::from)?;
    Ok(())
}

async fn last_receipt(client: &Client, tenancy: TenancyId) -> Result<Option<Receipt>, CliError> {
    let sql = format!("{RECEIPT} WHERE tenancy_id = $1 AND finished_at IS NOT NULL ORDER BY id DESC LIMIT 1");
    let row = client.query_opt(&sql, &[&tenancy.as_uuid()]).await.map_err(SourceError::from)?;
    Ok(row.as_ref().map(receipt))
}

fn receipt(row: &Row) -> Receipt {
    let removed: &str = row.get(7);
    Receipt {
        tenancy: row.get(1),
        destination: row.get(2),
        reason: row.get(3),
        requested_at: row.get(4),
        proven_at: row.get(5),
        finished_at: row.get(6),
        // Written by the janitor as an object; what is none holds no numbers.
        removed: serde_json::from_str(removed).unwrap_or_default(),
        left: 0,
    }
}

/// Waits for the receipt; `None` when the time is up.
async fn finished(
    client: &Client,
    id: i64,
    args: &EraseArgs,
    progress: &mut Progress,
) -> Result<Option<Receipt>, CliError> {
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let wait = format!(
        "SELECT GREATEST(ceil(extract(epoch FROM requested_at + {} - clock_timestamp())), 0)::bigint FROM lockstep.erasure WHERE id = $1",
        erasure_wait()
    );
    let row = client.query_opt(&wait, &[&id]).await.map_err(SourceError::from)?;
    let seconds: i64 = row.map_or(0, |row| row.get(0));
    progress.begin(&format!("erasing begins in {seconds} s, when nothing can arrive any more that was read before"));
    let sql = format!("{RECEIPT} WHERE id = $1");
    loop {
        let row = client.query_opt(&sql, &[&id]).await.map_err(SourceError::from)?;
        let Some(receipt) = row.as_ref().map(receipt) else { return Err(CliError::CameBack(args.tenant)) };
        if receipt.finished_at.is_some() {
            return Ok(Some(receipt));
        }
        if Instant::now() + PAUSE > deadline {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn print(args: &EraseArgs, receipt: &Receipt, mappings: &MappingSet) {
    if args.json {
        println!("{}", serde_json::to_string(receipt).unwrap_or_default());
        return;
    }
    println!("Tenancy {}, erased from {} ({})", receipt.tenancy, receipt.destination, receipt.reason);
    println!(
        "requested {}, nothing left {}",
        receipt.requested_at,
        receipt.proven_at.as_deref().unwrap_or("not proven")
    );
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["what", "removed rows", "left"]);
    let others = [("_cursors", "cursors"), ("_quarantine", "quarantine"), ("_tombstones", "tombstones in the source")];
    let names = mappings.iter().map(|mapping| (mapping.name.as_str(), mapping.name.as_str()));
    for (key, name) in names.chain(others) {
        let rows = receipt.removed.get(key).and_then(Value::as_u64).unwrap_or_default();
        table.add_row([name.to_owned(), rows.to_string(), receipt.left.to_string()]);
    }
    for index in [1, 2] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
}
