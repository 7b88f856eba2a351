//! `lockstep resync`: exports again, beside everything else.

use std::time::{Duration, Instant};

use clap::Args;
use lockstep_core::settings::Settings;
use lockstep_core::{TenancyId, exit};
use lockstep_destinations::{ClickHouse, HighWater};
use lockstep_mappings::clickhouse::Databases;
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::identity::last_sequence;
use lockstep_schema::{Session, Source};

use crate::arrival::Waiting;
use crate::error::CliError;
use crate::fusebox::{DESTINATION, known_mapping, stopped};
use crate::reexport::mappings::{begin, ended, under_way};
use crate::reexport::tenancies::{Export, Exported};

/// What the fills are called.
const REASON: &str = "resync";

#[derive(Args, Debug)]
pub(crate) struct ResyncArgs {
    /// Only this tenancy ("Tenancy"."id"), with those that share its project and branch. May be repeated
    #[arg(long = "tenant", value_name = "ID")]
    tenants: Vec<TenancyId>,
    /// Only this mapping. May be repeated
    #[arg(long = "mapping", value_name = "NAME")]
    mappings: Vec<String>,
    /// Only to this destination
    #[arg(long, value_name = "NAME", default_value = DESTINATION)]
    destination: String,
    /// Give up waiting after this many seconds. The same command goes on where it was
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    timeout: u64,
}

pub(crate) async fn run(args: &ResyncArgs, settings: &Settings, set: &MappingSet) -> Result<u8, CliError> {
    let began = Instant::now();
    let (named, mappings) = request(args, set)?;
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    let mut client = source.connect(Session::Control).await?;
    // Where cursors are ahead they say nothing, and rows that did not arrive would be taken for stale.
    let names: Vec<_> = set.iter().map(|mapping| mapping.name.clone()).collect();
    let destination = clickhouse.marks(&names).await?.highest();
    let source_at = last_sequence(&client).await.map_err(CliError::unless_migrated)?;
    if destination > source_at {
        return Err(CliError::SourceWentBack { source_at, destination });
    }
    let mut waiting = Waiting::new(Duration::from_secs(args.timeout));
    let done = if named.is_empty() {
        let floors = match under_way(&client, &mappings, REASON).await? {
            Some(floors) => {
                println!("Going on with what was begun before.");
                floors
            }
            None => begin(&mut client, &mappings, REASON, None).await?,
        };
        let filled = ended(&client, &floors, &mut waiting).await?;
        filled
            .map(|filled| format!("{} mappings; {} rows were in ClickHouse alone", filled.mappings, filled.stale_rows))
    } else {
        let databases = Databases::from(&settings.clickhouse);
        let count = mappings.len();
        let export = Export { client: &client, clickhouse: &clickhouse, databases, set, mappings, named };
        let exported = export.run(&mut waiting).await?;
        exported.map(|exported| {
            let Exported { tenancies, floor, stale_rows } = exported;
            format!("{count} mappings of {tenancies} tenancies, above sequence {floor}; {stale_rows} rows were in ClickHouse alone")
        })
    };
    match done {
        Some(done) => {
            println!("Exported again: {done}. {} ms.", began.elapsed().as_millis());
            Ok(exit::OK)
        }
        None => {
            for line in stopped(&client).await? {
                eprintln!("  - {line}");
            }
            eprintln!("Run the same command again to go on. Do sequencer and workers run? See `lockstep status`.");
            Ok(exit::IN_FLIGHT)
        }
    }
}

/// What was asked for: tenancies, none where all are meant, and mappings. In order and without repetition, so that the same
/// is found again.
fn request<'a>(args: &ResyncArgs, set: &'a MappingSet) -> Result<(Vec<TenancyId>, Vec<&'a Mapping>), CliError> {
    if args.destination != DESTINATION {
        let what = format!("there is no destination {:?}, only {DESTINATION}", args.destination);
        return Err(CliError::FuseName(what));
    }
    let mut tenants = args.tenants.clone();
    tenants.sort();
    tenants.dedup();
    for name in &args.mappings {
        known_mapping(set, name)?;
    }
    let wanted =
        |mapping: &&Mapping| args.mappings.is_empty() || args.mappings.iter().any(|name| mapping.name.as_str() == name);
    Ok((tenants, set.iter().filter(wanted).collect()))
}
