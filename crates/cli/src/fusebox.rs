//! `lockstep fusebox`: stop and go for each part, written down in `lockstep.fuse`.

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use lockstep_core::settings::Settings;
use lockstep_core::{MappingName, TenancyId, exit};
use lockstep_mappings::MappingSet;
use lockstep_schema::fuses::{self, BlownFuse, FuseKind};
use lockstep_schema::{Session, Source};
use tokio_postgres::Client;

use crate::error::CliError;
use crate::tenancies::must_exist;

/// The one destination that there is.
pub(crate) use lockstep_core::destination_id::CLICKHOUSE as DESTINATION;

#[derive(Args, Debug)]
pub(crate) struct FuseboxArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Stop a part within a second. Nothing is lost: what comes meanwhile is shipped when it goes on
    Stop {
        /// What kind of part
        kind: Kind,
        /// Which mapping, destination or tenancy ("Tenancy"."id")
        name: Option<String>,
        /// Why, for whoever looks at the fusebox
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Let a part go on
    Go {
        /// What kind of part
        kind: Kind,
        /// Which mapping, destination or tenancy
        name: Option<String>,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Kind {
    /// Changes get no numbers; they stay in the inbox
    Sequencer,
    /// No worker ships anything
    Worker,
    /// One mapping is not shipped
    Mapping,
    /// Nothing is shipped to one destination
    Destination,
    /// One tenancy is not shipped; nor is anything filled: ranges hold rows of all tenancies
    Tenant,
}

impl From<Kind> for FuseKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Sequencer => Self::Sequencer,
            Kind::Worker => Self::Worker,
            Kind::Mapping => Self::Mapping,
            Kind::Destination => Self::Destination,
            Kind::Tenant => Self::Tenant,
        }
    }
}

pub(crate) async fn run(args: &FuseboxArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let client = source.connect(Session::Control).await?;
    match &args.action {
        None => {
            let blown = fuses::blown(&client).await.map_err(CliError::unless_migrated)?;
            if blown.is_empty() {
                println!("Everything goes: no fuse is blown.");
            } else {
                println!("{}", table(&blown));
            }
        }
        Some(Action::Stop { kind, name, reason }) => {
            let kind = FuseKind::from(*kind);
            let name = named(kind, name.as_deref())?;
            exists(&client, mappings, kind, &name).await?;
            let done = fuses::stop(&client, kind, &name, reason).await.map_err(CliError::unless_migrated)?;
            let what = described(kind.as_str(), &name);
            println!("{} {what}.", if done { "Stopped:" } else { "Was stopped before:" });
        }
        Some(Action::Go { kind, name }) => {
            let kind = FuseKind::from(*kind);
            let name = named(kind, name.as_deref())?;
            let done = fuses::go(&client, kind, &name).await.map_err(CliError::unless_migrated)?;
            let what = described(kind.as_str(), &name);
            println!("{} {what}.", if done { "Goes on:" } else { "Was not stopped:" });
        }
    }
    Ok(exit::OK)
}

/// The name as the table has it. An id in capitals is the same id.
fn named(kind: FuseKind, name: Option<&str>) -> Result<String, CliError> {
    match (kind.is_named(), name) {
        (false, None) => Ok(String::new()),
        (true, Some(name)) if kind == FuseKind::Tenant => {
            let tenancy: TenancyId = name.parse().map_err(|_| CliError::FuseName(format!("{name:?} is no uuid")))?;
            Ok(tenancy.to_string())
        }
        (true, Some(name)) => Ok(name.to_owned()),
        (false, Some(_)) => Err(CliError::FuseName(format!("`{}` takes no name: there is one only", kind.as_str()))),
        (true, None) => Err(CliError::FuseName(format!("name the {} as well", kind.as_str()))),
    }
}

/// Refuses to blow a fuse that would stop nothing. One that was blown can be put on again whatever has become of its part.
async fn exists(client: &Client, mappings: &MappingSet, kind: FuseKind, name: &str) -> Result<(), CliError> {
    match kind {
        FuseKind::Mapping => known_mapping(mappings, name).map(drop),
        FuseKind::Destination if name != DESTINATION => {
            Err(CliError::FuseName(format!("there is no destination {name:?}, only {DESTINATION}")))
        }
        FuseKind::Tenant => match name.parse() {
            Ok(tenancy) => must_exist(client, tenancy).await,
            Err(_) => Err(CliError::FuseName(format!("{name:?} is no uuid"))),
        },
        FuseKind::Sequencer | FuseKind::Worker | FuseKind::Destination => Ok(()),
    }
}

/// A mapping of this name, or an error that names those that there are.
pub(crate) fn known_mapping(mappings: &MappingSet, name: &str) -> Result<MappingName, CliError> {
    let known = mappings.iter().find(|mapping| mapping.name.as_str() == name).map(|mapping| mapping.name.clone());
    known.ok_or_else(|| {
        let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.to_string()).collect();
        CliError::UnknownMapping { name: name.to_owned(), known: names.join(", ") }
    })
}

fn described(kind: &str, name: &str) -> String {
    if name.is_empty() { kind.to_owned() } else { format!("{kind} {name}") }
}

fn table(blown: &[BlownFuse]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["stopped", "name", "since (UTC)", "reason"]);
    for fuse in blown {
        table.add_row([&fuse.kind, &fuse.name, &fuse.blown_at, &fuse.reason]);
    }
    table
}

/// What is stopped, a line each: for commands that wait in vain.
pub(crate) async fn stopped(client: &Client) -> Result<Vec<String>, CliError> {
    let line = |fuse: &BlownFuse| {
        let reason = if fuse.reason.is_empty() { String::new() } else { format!(": {}", fuse.reason) };
        format!("{} is stopped since {} UTC{reason}", described(&fuse.kind, &fuse.name), fuse.blown_at)
    };
    Ok(fuses::blown(client).await.map_err(CliError::unless_migrated)?.iter().map(line).collect())
}
