//! `lockstep resync`: exports again, beside everything else.

use std::time::{Duration, Instant};

use clap::Args;
use lockstep_core::settings::Settings;
use lockstep_core::{MappingName, TenancyId, exit};
use lockstep_destinations::ClickHouse;
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::Databases;
use lockstep_schema::identity::last_sequence;
use lockstep_schema::{Session, Source};

use crate::error::CliError;
use crate::fusebox::{DESTINATION, known_mapping};
use crate::reexport::{self, Patience, Purpose, Reexport, Request};

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

pub(crate) async fn run(args: &ResyncArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let began = Instant::now();
    let request = request(args, mappings)?;
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    let mut client = source.connect(Session::Control).await?;
    let run = match reexport::unfinished(&client, &request).await? {
        Some(run) => {
            println!("Going on with what was begun at sequence {}.", run.floor);
            run
        }
        None => {
            // Where cursors are ahead they say nothing, and rows that did not arrive would be taken for stale.
            let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.clone()).collect();
            let destination = clickhouse.marks(&names).await?.highest();
            let source_at = last_sequence(&client).await.map_err(CliError::unless_migrated)?;
            if destination > source_at {
                return Err(CliError::SourceWentBack { source_at, destination });
            }
            reexport::begin(&mut client, &request, None).await?
        }
    };
    let databases = Databases::from(&settings.clickhouse);
    let patience = Patience::new(Duration::from_secs(args.timeout));
    let mut export = Reexport { client: &client, clickhouse: &clickhouse, mappings, databases, patience };
    let Some(exported) = export.run(&request, &run).await? else { return Ok(exit::IN_FLIGHT) };
    println!(
        "Exported again: {} mappings of {} tenancies, above sequence {}; {} rows were in ClickHouse alone. {} ms.",
        exported.mappings,
        exported.tenancies,
        run.floor,
        exported.stale_rows,
        began.elapsed().as_millis()
    );
    Ok(exit::OK)
}

/// What was asked for. In order and without repetition, so that the same is found again.
fn request(args: &ResyncArgs, mappings: &MappingSet) -> Result<Request, CliError> {
    if args.destination != DESTINATION {
        let what = format!("there is no destination {:?}, only {DESTINATION}", args.destination);
        return Err(CliError::FuseName(what));
    }
    let mut tenants = args.tenants.clone();
    tenants.sort();
    tenants.dedup();
    let mut names = Vec::new();
    for name in &args.mappings {
        names.push(known_mapping(mappings, name)?);
    }
    names.sort();
    names.dedup();
    Ok(Request { purpose: Purpose::Resync, tenancies: some(tenants), mappings: some::<MappingName>(names) })
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
