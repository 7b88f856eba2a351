//! `lockstep detach`: takes everything of Lockstep's out of the source database again.

use std::collections::BTreeSet;
use std::io::BufRead;

use clap::Args;
use lockstep_core::settings::Settings;
use lockstep_core::{exit, output};
use lockstep_mappings::MappingSet;
use lockstep_operations::queue_names;
use lockstep_schema::attach::{Extent, Live, Part, Step};
use lockstep_schema::{Source, attach};

use crate::error::CliError;
use crate::migrate::source;
use crate::progress::Progress;

const UNCONFIRMED: &str = "LS-0028: nothing was taken out: detach asks before it does, and nobody has said yes; give --yes where there is no \
                           terminal";

#[derive(Args, Debug)]
pub(crate) struct DetachArgs {
    /// Print every statement without running any
    #[arg(long)]
    dry_run: bool,
    /// Ask nothing
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
}

pub(crate) async fn run(args: &DetachArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let from = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let live = attach::inspect_catalog(&from, mappings).await?;
    let steps = attach::detach(mappings, &live);
    if steps.is_empty() {
        return Ok(output::print("Nothing to do: nothing of Lockstep's is in this database.\n", exit::OK));
    }
    let (goes, stays) = told(settings, mappings, (&live, &steps), &attach::extent(&from).await?);
    let asks = !args.dry_run && !args.yes;
    if asks || !output::chosen().is_quiet() {
        output::write_aside(&format!("{goes}{stays}"));
    }
    if args.dry_run {
        return Ok(output::print(&source::text(&steps), exit::OK));
    }
    if asks && !is_agreed() {
        output::fail(UNCONFIRMED);
        return Ok(exit::CONFIGURATION);
    }
    let mut progress = Progress::new();
    source::apply(&from, &steps, &mut progress).await?;
    drop(progress);
    Ok(output::print(&format!("Done: {} steps.\n{stays}", steps.len()), exit::OK))
}

/// In numbers: what goes, and what stays.
fn told(
    settings: &Settings,
    mappings: &MappingSet,
    (live, steps): (&Live, &[Step]),
    extent: &Extent,
) -> (String, String) {
    let tables: BTreeSet<_> = live.triggers.keys().map(|(on, _)| on).collect();
    let indexes = steps.iter().filter(|step| step.part == Part::Indexes).count();
    let Extent { tables: own, size, receipts, tenant_databases } = extent;
    let goes = format!(
        "What goes, from {}:\n  triggers: {} on {} tables; event triggers: {}; indexes: {indexes}\n  schema lockstep: {own} tables, {size}, \
         with {receipts} receipts of erasures, and all that was proven and done\n",
        settings.source_url,
        live.triggers.len(),
        tables.len(),
        live.event_triggers.len(),
    );
    let queues = queue_names(settings);
    let clickhouse = &settings.clickhouse;
    let stays = format!(
        "What stays:\n  ClickHouse: tables and views of {} mappings, in {} and {}\n  RabbitMQ: {} queues: {}\n  tenants' own databases: \
         {tenant_databases} (`lockstep destination remove`, before this, drops the tables in one)\n",
        mappings.iter().count(),
        clickhouse.raw_database,
        clickhouse.view_database,
        queues.len(),
        queues.join(", "),
    );
    (goes, stays)
}

/// Asks at a terminal. Where there is none, nobody has agreed.
fn is_agreed() -> bool {
    if !output::chosen().may_ask() {
        return false;
    }
    output::write_aside("Stop sequencers and workers first. Take all of it out? [yes/no] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok() && answer.trim() == "yes"
}
