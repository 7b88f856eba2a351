//! `lockstep rewind`: mends what a source that was restored to an earlier state has forgotten (SRC-1).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use lockstep_core::settings::Settings;
use lockstep_core::{MappingName, SequenceId, exit};
use lockstep_destinations::{ClickHouse, HighWater, Mark};
use lockstep_mappings::MappingSet;
use lockstep_schema::identity::{last_sequence, server_run};
use lockstep_schema::{Session, Source};

use crate::arrival::Waiting;
use crate::error::CliError;
use crate::reexport::mappings::{begin, ended, under_way};

/// What the fills are called.
const REASON: &str = "rewind";

/// Numbers left out beyond the highest that was found: a worker may have had rows in hand, read before the source was
/// restored, that arrive after this has looked. One flush holds fewer.
const MARGIN: i64 = 1_000_000;

#[derive(Args, Debug)]
pub(crate) struct RewindArgs {
    /// Only say what is ahead of the source
    #[arg(long)]
    dry_run: bool,
    /// Give up waiting after this many seconds. The same command goes on where it was
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    timeout: u64,
}

pub(crate) async fn run(args: &RewindArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let began = Instant::now();
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    let mut client = source.connect(Session::Control).await?;
    let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.clone()).collect();
    let marks = clickhouse.marks(&names).await?;
    let source_at = last_sequence(&client).await.map_err(CliError::unless_migrated)?;
    let ahead = marks.ahead_of(source_at);
    let all: Vec<_> = mappings.iter().collect();
    let floors = if ahead.is_empty() {
        let Some(floors) = under_way(&client, &all, REASON).await? else {
            println!(
                "Nothing to mend: the source is at sequence {source_at}, and nothing in ClickHouse is above that."
            );
            return Ok(exit::OK);
        };
        println!("Going on with what was begun before.");
        floors
    } else {
        println!("{}", table(&ahead));
        println!("The source is at sequence {source_at}, ClickHouse has come to {}.", marks.highest());
        if args.dry_run {
            println!("Without --dry-run the sequence is moved past that, and all mappings are filled again.");
            return Ok(exit::OK);
        }
        // All of them: a change that was lost with the source may have been shipped, and its row keeps other content
        // there without any number being ahead.
        let past = SequenceId::new(marks.highest().get().saturating_add(MARGIN));
        let floors = begin(&mut client, &all, REASON, Some(past)).await?;
        println!("Numbers go on from {past}.");
        floors
    };
    if args.dry_run {
        return Ok(exit::OK);
    }
    clickhouse.write_source(&server_run(&client).await?.identity).await?;
    let mut waiting = Waiting::new(Duration::from_secs(args.timeout));
    let Some(filled) = ended(&client, &floors, &mut waiting).await? else {
        eprintln!("Run the same command again to go on. Do sequencer and workers run? See `lockstep status`.");
        return Ok(exit::IN_FLIGHT);
    };
    println!(
        "Mended: {} mappings are filled again; {} rows were in ClickHouse alone. {} ms.",
        filled.mappings,
        filled.stale_rows,
        began.elapsed().as_millis()
    );
    Ok(exit::OK)
}

fn table(ahead: &BTreeMap<MappingName, Mark>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["ahead of the source", "highest cursor", "highest version"]);
    for (name, mark) in ahead {
        table.add_row([name.to_string(), mark.cursor.to_string(), mark.version.to_string()]);
    }
    table
}
