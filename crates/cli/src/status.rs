//! `lockstep status`: what waits where. Every number is bounded work: nothing counts a whole table.

use clap::Args;

use comfy_table::{CellAlignment, Table, presets};
use lockstep_core::exit;
use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::{Target, inbox};
use lockstep_queue::{Topology, depths};
use lockstep_schema::identity::last_sequence;
use lockstep_schema::{Session, Source, SourceError};
use serde::Serialize;
use tokio_postgres::Client;

use crate::arrival::passed;
use crate::error::CliError;
use crate::fusebox::{DESTINATION, stopped};

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
    /// The last number that was given out.
    last_sequence: i64,
    /// Through which number the destination holds everything.
    passed: i64,
    /// Lines that have no number yet.
    inbox_lines: i64,
    /// Lines whose rows are still to be searched.
    expansions: i64,
    /// Numbers that were not announced yet.
    unannounced: i64,
    queue: Result<Queue, String>,
    /// Rows that a destination refused.
    quarantine: i64,
    /// Tenancies that are gone, and wait for their erasure.
    erasures: i64,
    mappings: Vec<MappingStatus>,
    /// What `lockstep fusebox` has stopped, in words.
    stopped: Vec<String>,
    /// Changes that the destination had not passed were dropped: it is being filled again.
    needs_refill: bool,
    /// Numbers that reached this are "at least".
    count_limit: i64,
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
    /// With a change that the destination has not passed.
    tenancies_behind: i64,
    fill_ranges_done: i64,
    fill_ranges: i64,
    filled_rows: i64,
    filled: bool,
}

pub(crate) async fn run(args: &StatusArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    const UNANNOUNCED: &str =
        "SELECT 1 FROM lockstep.change WHERE sequence > (SELECT max(sequence) FROM lockstep.announced)";
    const NEEDS_REFILL: &str =
        "SELECT EXISTS (SELECT 1 FROM lockstep.destination WHERE name = $1 AND needs_refill_since IS NOT NULL)";
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let client = source.connect(Session::Control).await?;
    let last_sequence = last_sequence(&client).await.map_err(CliError::unless_migrated)?;
    let topology = Topology::new(&settings.queue_prefix);
    let queue = depths(&settings.amqp_url, settings.tls_ca_file.as_deref(), &topology).await;
    let needs_refill = client.query_one(NEEDS_REFILL, &[&DESTINATION]).await.map_err(SourceError::from)?;
    let status = Status {
        last_sequence: last_sequence.get(),
        passed: passed(&client).await?.get(),
        inbox_lines: capped(&client, &inbox::unseen()).await?,
        expansions: capped(&client, "SELECT 1 FROM lockstep.expansion").await?,
        unannounced: capped(&client, UNANNOUNCED).await?,
        queue: queue
            .map(|depths| Queue { ready: depths.ready, retrying: depths.retrying, dead: depths.dead })
            .map_err(|error| error.to_string()),
        quarantine: capped(&client, "SELECT 1 FROM lockstep.quarantine").await?,
        erasures: capped(&client, "SELECT 1 FROM lockstep.erasure WHERE finished_at IS NULL").await?,
        mappings: mapping_statuses(&client, mappings).await?,
        stopped: stopped(&client).await?,
        needs_refill: needs_refill.get(0),
        count_limit: COUNT_LIMIT,
    };
    if args.json {
        println!("{}", serde_json::to_string(&status).unwrap_or_default());
    } else {
        print(&status);
    }
    Ok(exit::OK)
}

async fn capped(client: &Client, rows: &str) -> Result<i64, CliError> {
    let sql = format!("SELECT count(*) FROM ({rows} LIMIT {COUNT_LIMIT}) r");
    Ok(client.query_one(&sql, &[]).await.map_err(SourceError::from)?.get(0))
}

async fn mapping_statuses(client: &Client, mappings: &MappingSet) -> Result<Vec<MappingStatus>, CliError> {
    const FILLS: &str = "SELECT s.mapping_name, count(r.finished_at), count(r.first_block), COALESCE(sum(r.shipped_rows), 0)::bigint, s.finished_at IS NOT NULL
FROM lockstep.fill s LEFT JOIN lockstep.fill_range r USING (mapping_name, destination)
WHERE s.destination = $1 GROUP BY s.mapping_name, s.finished_at";
    const BEHIND: &str = "SELECT mapping, count(DISTINCT tenancy_id) FROM (
  SELECT c.mapping, c.tenancy_id FROM lockstep.change c
  WHERE c.sequence > COALESCE((SELECT passed FROM lockstep.destination WHERE name = $1), 0) LIMIT 100000) c GROUP BY 1";
    let fills = client.query(FILLS, &[&DESTINATION]).await.map_err(SourceError::from)?;
    let behind = client.query(BEHIND, &[&DESTINATION]).await.map_err(SourceError::from)?;
    let status = |mapping: &lockstep_mappings::Mapping| {
        let fill = fills.iter().find(|row| row.get::<_, &str>(0) == mapping.name.as_str());
        let behind = behind.iter().find(|row| row.get::<_, i32>(0) == Target::row(mapping).id());
        MappingStatus {
            name: mapping.name.to_string(),
            tenancies_behind: behind.map_or(0, |row| row.get(1)),
            fill_ranges_done: fill.map_or(0, |row| row.get(1)),
            fill_ranges: fill.map_or(0, |row| row.get(2)),
            filled_rows: fill.map_or(0, |row| row.get(3)),
            filled: fill.is_some_and(|row| row.get(4)),
        }
    };
    Ok(mappings.iter().map(status).collect())
}

fn at_least(count: i64) -> String {
    if count >= COUNT_LIMIT { format!("≥ {COUNT_LIMIT}") } else { count.to_string() }
}

fn print(status: &Status) {
    println!("sequence        {}, shipped through {}", status.last_sequence, status.passed);
    println!("inbox           {} lines", at_least(status.inbox_lines));
    println!("expansions      {}", at_least(status.expansions));
    println!("not announced   {} changes", at_least(status.unannounced));
    match &status.queue {
        Ok(queue) => {
            println!("queue           {} ready, {} retrying, {} dead", queue.ready, queue.retrying, queue.dead)
        }
        Err(why) => println!("queue           unknown: {why}"),
    }
    if status.erasures > 0 {
        println!("erasures        {} tenancies wait to be erased", at_least(status.erasures));
    }
    for line in &status.stopped {
        println!("!               {line}");
    }
    if status.needs_refill {
        println!("!               changes that ClickHouse had not passed were dropped: it is being filled again");
    }
    if status.quarantine > 0 {
        println!("quarantine      {} rows refused; see `lockstep quarantine list`", at_least(status.quarantine));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["mapping", "tenancies behind", "fill", "filled rows"]);
    for mapping in &status.mappings {
        let fill = if mapping.filled {
            "done".to_owned()
        } else {
            format!("{} of {} ranges", mapping.fill_ranges_done, mapping.fill_ranges)
        };
        let cells = [mapping.name.clone(), mapping.tenancies_behind.to_string(), fill, mapping.filled_rows.to_string()];
        table.add_row(cells);
    }
    for index in [1, 3] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
}
