//! `lockstep quarantine`: rows that a destination refused, each with its error.

mod list;
mod storage;

use clap::{Args, Subcommand};
use lockstep_core::settings::Settings;
use lockstep_core::{MappingName, TenancyId, exit};
use lockstep_mappings::MappingSet;
use lockstep_schema::{Session, Source};

use crate::error::CliError;
use crate::fusebox::known_mapping;

pub(crate) use storage::count;

#[derive(Args, Debug)]
pub(crate) struct QuarantineArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show the rows with their keys and errors
    List {
        #[command(flatten)]
        scope: Scope,
        /// One JSON object a line instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Ship rows again: for when the destination was mended. A row that was itself mended is shipped by itself
    Retry(Chosen),
    /// Forget rows without shipping them. The verifier goes on calling them different
    Drop(Chosen),
}

/// Which entries.
#[derive(Args, Debug)]
pub(crate) struct Scope {
    /// Of one mapping
    #[arg(long, value_name = "NAME")]
    mapping: Option<MappingName>,
    /// Of one tenancy ("Tenancy"."id")
    #[arg(long, value_name = "ID")]
    tenant: Option<TenancyId>,
}

/// The same, where everything has to be asked for.
#[derive(Args, Debug)]
#[group(skip)]
struct Chosen {
    #[command(flatten)]
    scope: Scope,
    /// Of all mappings and tenancies
    #[arg(long, conflicts_with_all = ["mapping", "tenant"], required_unless_present_any = ["mapping", "tenant"])]
    all: bool,
}

pub(crate) async fn run(args: &QuarantineArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let scope = match &args.action {
        Action::List { scope, .. } => scope,
        Action::Retry(chosen) | Action::Drop(chosen) => &chosen.scope,
    };
    if let Some(name) = &scope.mapping {
        known_mapping(mappings, name.as_str())?;
    }
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let mut client = source.connect(Session::Control).await?;
    match &args.action {
        Action::List { json, .. } => list::print(&storage::entries(&client, mappings, scope).await?, *json),
        Action::Retry(_) => {
            let rows = storage::retry(&mut client, mappings, scope).await?;
            println!("{rows} rows are shipped again. Their entries go when that is done; what is refused anew stays.");
        }
        Action::Drop(_) => {
            let dropped = storage::forget(&client, scope).await?;
            println!(
                "{dropped} rows are forgotten. The destination does not hold them: lockstep-verifier goes on calling them different."
            );
        }
    }
    Ok(exit::OK)
}
