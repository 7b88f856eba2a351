//! `lockstep status`: what waits where. Every number is bounded work: nothing counts a whole table.

use clap::Args;

use comfy_table::{CellAlignment, Table, presets};
use lockstep_core::settings::Settings;
use lockstep_core::exit;
use lockstep_destinations::ClickHouse;
use lockstep_mappings::postgres::{FLAG_COLUMN, identifier, stamp};
use lockstep_mappings::{MappingSet, SourceTable};
use lockstep_queue::{Topology, depths};
use lockstep_schema::identity::last_sequence;
use lockstep_schema::{Session, Source, SourceError};
use serde::Serialize;
use tokio_postgres::Client;

use crate::backlog::{Behind, behind, tenancies};
use crate::error::CliError;
use crate::fusebox::stopped;
use crate::reexport::under_way;

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
}

/// Rows are counted up to this; beyond it the number is "at least".
const COUNT_LIMIT: i64 = 10_000;

#[derive(Serialize)]
struct Status {
    last_sequence: i64,
    flagged_rows: Vec<Flagged>,
    touches: i64,
    outbox_tenancies: i64,
    queue: Result<Queue, String>,
    foreign_stamps: i64,
    /// Rows that a destination refused.
    quarantine: i64,
    /// Tenancies that are gone, and wait for their erasure.
    erasures: i64,
    mappings: Vec<MappingStatus>,
    /// What `lockstep fusebox` has stopped, in words.
    stopped: Vec<String>,
    /// Re-exports that were begun and not finished, in words.
    reexports: Vec<String>,
    /// Numbers that reached this are "at least".
    count_limit: i64,
}

#[derive(Serialize)]
struct Flagged {
    table: String,
    rows: i64,
}

#[derive(Serialize)]
struct Queue {
    ready: u64,
    retrying: u64,
    dead: u64,
}

#[derive(Serialize)]
struct MappingStatus {
    name: String,
    tenancies_behind: usize,
    snapshot_ranges_done: i64,
    snapshot_ranges: i64,
    snapshot_rows: i64,
    snapshot_finished: bool,
}

pub(crate) async fn run(args: &StatusArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    let client = source.connect(Session::Control).await?;
    let last_sequence = last_sequence(&client).await.map_err(CliError::unless_migrated)?;
    let mut flagged_rows = Vec::new();
    for table in stamp::stamped_tables(mappings) {
        let rows = capped(&client, &flagged(&table)).await?;
        flagged_rows.push(Flagged { table: table.name, rows });
    }
    let everybody = tenancies(&client, None).await?;
    let candidates: Behind = mappings.iter().map(|mapping| (mapping.name.clone(), everybody.clone())).collect();
    let behind = behind(&client, &clickhouse, mappings, &candidates, last_sequence).await?;
    let topology = Topology::new(&settings.queue_prefix);
    let queue = depths(&settings.amqp_url, settings.tls_ca_file.as_deref(), &topology).await;
    let status = Status {
        last_sequence: last_sequence.get(),
        flagged_rows,
        touches: capped(&client, "SELECT 1 FROM lockstep.touch").await?,
        outbox_tenancies: capped(&client, "SELECT 1 FROM lockstep.outbox").await?,
        queue: queue
            .map(|depths| Queue { ready: depths.ready, retrying: depths.retrying, dead: depths.dead })
            .map_err(|error| error.to_string()),
        foreign_stamps: capped(&client, "SELECT 1 FROM lockstep.foreign_stamp").await?,
        quarantine: capped(&client, "SELECT 1 FROM lockstep.quarantine").await?,
        erasures: capped(&client, "SELECT 1 FROM lockstep.erasure WHERE finished_at IS NULL").await?,
        mappings: mapping_statuses(&client, mappings, &behind).await?,
        stopped: stopped(&client).await?,
        reexports: under_way(&client).await?,
        count_limit: COUNT_LIMIT,
    };
    if args.json {
        println!("{}", serde_json::to_string(&status).unwrap_or_default());
    } else {
        print(&status);
    }
    Ok(exit::OK)
}

fn flagged(table: &SourceTable) -> String {
    format!("SELECT 1 FROM {}.{} WHERE {}", identifier(&table.schema), identifier(&table.name), identifier(FLAG_COLUMN))
}

async fn capped(client: &Client, rows: &str) -> Result<i64, CliError> {
    let sql = format!("SELECT count(*) FROM ({rows} LIMIT {COUNT_LIMIT}) r");
    Ok(client.query_one(&sql, &[]).await.map_err(SourceError::from)?.get(0))
}

async fn mapping_statuses(
    client: &Client,
    mappings: &MappingSet,
    behind: &Behind,
) -> Result<Vec<MappingStatus>, CliError> {
    const SNAPSHOTS: &str = "SELECT s.mapping_name, count(r.finished_at), count(r.first_block), COALESCE(sum(r.shipped_rows), 0)::bigint, s.finished_at IS NOT NULL
FROM lockstep.snapshot s LEFT JOIN lockstep.snapshot_range r USING (mapping_name, destination)
WHERE s.destination = 'clickhouse' GROUP BY s.mapping_name, s.finished_at";
    let rows = client.query(SNAPSHOTS, &[]).await.map_err(SourceError::from)?;
    let status = |name: &str| {
        let row = rows.iter().find(|row| row.get::<_, &str>(0) == name);
        MappingStatus {
            name: name.to_owned(),
            tenancies_behind: behind.iter().find(|(of, _)| of.as_str() == name).map_or(0, |(_, list)| list.len()),
            snapshot_ranges_done: row.map_or(0, |row| row.get(1)),
            snapshot_ranges: row.map_or(0, |row| row.get(2)),
            snapshot_rows: row.map_or(0, |row| row.get(3)),
            snapshot_finished: row.is_some_and(|row| row.get(4)),
        }
    };
    Ok(mappings.iter().map(|mapping| status(mapping.name.as_str())).collect())
}

fn at_least(count: i64) -> String {
    if count >= COUNT_LIMIT { format!("≥ {COUNT_LIMIT}") } else { count.to_string() }
}

fn print(status: &Status) {
    println!("sequence        {}", status.last_sequence);
    let flagged: i64 = status.flagged_rows.iter().map(|flagged| flagged.rows).sum();
    println!("flagged rows    {}", at_least(flagged));
    for flagged in status.flagged_rows.iter().filter(|flagged| flagged.rows > 0) {
        println!("                {} in {}", at_least(flagged.rows), flagged.table);
    }
    println!("touches         {}", at_least(status.touches));
    println!("outbox          {} tenancies", at_least(status.outbox_tenancies));
    match &status.queue {
        Ok(queue) => {
            println!("queue           {} ready, {} retrying, {} dead", queue.ready, queue.retrying, queue.dead)
        }
        Err(why) => println!("queue           unknown: {why}"),
    }
    if status.erasures > 0 {
        println!("erasures        {} tenancies wait to be erased", at_least(status.erasures));
    }
    if status.foreign_stamps > 0 {
        println!("foreign stamps  {}: another system stamps rows; stop it", at_least(status.foreign_stamps));
    }
    for line in status.stopped.iter().chain(&status.reexports) {
        println!("!               {line}");
    }
    if status.quarantine > 0 {
        println!("quarantine      {} rows refused; see `lockstep quarantine list`", at_least(status.quarantine));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["mapping", "tenancies behind", "base snapshot", "base rows"]);
    for mapping in &status.mappings {
        let snapshot = if mapping.snapshot_finished {
            "done".to_owned()
        } else {
            format!("{} of {} ranges", mapping.snapshot_ranges_done, mapping.snapshot_ranges)
        };
        let cells =
            [mapping.name.clone(), mapping.tenancies_behind.to_string(), snapshot, mapping.snapshot_rows.to_string()];
        table.add_row(cells);
    }
    for index in [1, 3] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
}
