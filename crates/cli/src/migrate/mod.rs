//! `lockstep migrate`: look at both sides, say everything that does not fit, then do what is missing.

pub(crate) mod clickhouse;
pub(crate) mod source;

use clap::Args;
use lockstep_core::exit;
use lockstep_core::settings::Settings;
use lockstep_destinations::{ClickHouse, Provision, Wanted};
use lockstep_mappings::MappingSet;
use lockstep_schema::Source;

use crate::error::CliError;
use crate::progress::Progress;

#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    /// Create the source tables too: for an empty database of our own (development, demo, tests)
    #[arg(long)]
    standalone: bool,
    /// Print every statement without running any
    #[arg(long)]
    dry_run: bool,
    /// Before a migration of the platform: let the triggers of these tables (all, where none is named) name no column, so
    /// that Postgres refuses nothing. They write down every update. Afterwards run `lockstep migrate` without it
    #[arg(long, value_name = "TABLE", num_args = 0..)]
    relax: Option<Vec<String>>,
    /// Replace views of the same names that read other tables: swaps tenants over, view by view, at once
    #[arg(long)]
    replace_views: bool,
}

pub(crate) async fn run(args: &MigrateArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    if args.standalone && !source::create_tables(&source, args.dry_run).await? {
        return Ok(exit::OK);
    }
    // Both sides are looked at before anything is changed on either.
    let source_steps = source::plan(&source, mappings, args.relax.as_deref()).await?;
    let wanted = Wanted { replace_views: args.replace_views };
    let plan = clickhouse.plan(mappings, wanted).await?;
    if args.dry_run {
        source::print(&source_steps);
        clickhouse::print(&plan);
        return Ok(exit::OK);
    }
    if source_steps.is_empty() && plan.steps.is_empty() {
        println!("Nothing to do: capture and ClickHouse are as {} mappings need them.", mappings.iter().count());
        return Ok(exit::OK);
    }
    let mut progress = Progress::new();
    source::apply(&source, &source_steps, &mut progress).await?;
    clickhouse::apply(&clickhouse, &plan, &mut progress).await?;
    drop(progress);
    println!(
        "Done: {} steps in Postgres, {} in ClickHouse; {} mappings are captured.",
        source_steps.len(),
        plan.steps.len(),
        mappings.iter().count()
    );
    Ok(exit::OK)
}
