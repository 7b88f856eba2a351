//! `lockstep detach`: takes everything of Lockstep's out of the source database again.

use clap::Args;
use lockstep_core::settings::Settings;
use lockstep_core::{exit, output};
use lockstep_mappings::MappingSet;
use lockstep_schema::{Source, attach};

use crate::error::CliError;
use crate::migrate::source;
use crate::progress::Progress;

#[derive(Args, Debug)]
pub(crate) struct DetachArgs {
    /// Print every statement without running any
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(args: &DetachArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let from = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let live = attach::inspect_catalog(&from, mappings).await?;
    let steps = attach::detach(mappings, &live);
    if steps.is_empty() {
        return Ok(output::print("Nothing to do: nothing of Lockstep's is in this database.\n", exit::OK));
    }
    if args.dry_run {
        return Ok(output::print(&source::text(&steps), exit::OK));
    }
    let mut progress = Progress::new();
    source::apply(&from, &steps, &mut progress).await?;
    drop(progress);
    let done = format!("Done: {} steps. The tables and views in ClickHouse stay as they are.\n", steps.len());
    Ok(output::print(&done, exit::OK))
}
