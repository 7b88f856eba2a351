//! A whole run: what is compared, in which order, on which connections.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::{Duration, Instant};

use lockstep_core::destination_id::CLICKHOUSE;
use lockstep_core::settings::Settings;
use lockstep_core::{DestinationId, Location, TenancyId};
use lockstep_destinations::compare::Compare;
use lockstep_destinations::{ClickHouse, Destination};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::verifications::proven_ranges;
use lockstep_schema::{Session, Source};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::budget::{self, Budget, Part};
use crate::error::VerifyError;
use crate::finding::Shown;
use crate::level::Level;
use crate::look::Sides;
use crate::passes::{MappingPass, Passes};
use crate::progress::Progress;
use crate::proof::Proof;
use crate::recent::LastChanges;
use crate::recheck::{self, Doubts};
use crate::report::{MappingReport, Report};
use crate::whose::Whose;
use crate::{evidence, storage, tenants};

/// One statement names them all: 500 ids of 100 bytes, twice, stay well below what ClickHouse parses.
pub(crate) const MAX_LOCATIONS: usize = 500;

/// Why something was not compared that could have been.
pub(crate) const LEFT_OUT: &str = "left out, since a difference was found before (--stop-at-first)";

/// What to compare, and how patiently.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// Only the locations of these tenancies, present and former; everything when empty.
    pub tenants: Vec<TenancyId>,
    /// Only these mappings; all when empty.
    pub mappings: Vec<String>,
    /// Only these destinations; all when empty: ClickHouse, and tenants' own, of the tenancies above.
    pub destinations: Vec<DestinationChoice>,
    /// Not these mappings.
    pub skip_mappings: Vec<String>,
    /// Not these destinations.
    pub skip_destinations: Vec<DestinationChoice>,
    /// Begin with the mappings, and the tenants' destinations, that changed last.
    pub recent_first: bool,
    /// Compare one mapping after the other, and nothing more once one is found to differ.
    pub stop_at_first: bool,
    /// How closely both sides are looked at.
    pub level: Level,
    /// Within which time; then not everything is looked at in each run.
    pub budget: Option<Budget>,
    /// How long comparing one tenant's own destination may take.
    pub destination_limit: Duration,
    /// How long to wait for what is in flight.
    pub settle: Duration,
    /// Findings that are listed for each mapping; all are counted.
    pub show: usize,
    /// What of a key may be shown.
    pub shown: Shown,
    /// Differing keys of each mapping that are looked at a second time. Beyond that nothing is said,
    /// unless the mapping is being filled.
    pub max_doubts: usize,
    /// Told how far it has come.
    pub progress: Progress,
}

/// A destination that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DestinationChoice {
    /// The platform's own.
    ClickHouse,
    /// A tenant's own, by its id.
    Tenants(Uuid),
}

impl FromStr for DestinationChoice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == CLICKHOUSE {
            return Ok(Self::ClickHouse);
        }
        text.parse().map(Self::Tenants).map_err(|_| "write clickhouse, or the id of a tenant's destination")
    }
}

impl VerifyOptions {
    /// Whether a destination is asked for.
    pub(crate) fn takes(&self, destination: &DestinationChoice) -> bool {
        (self.destinations.is_empty() || self.destinations.contains(destination))
            && !self.skip_destinations.contains(destination)
    }
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            tenants: Vec::new(),
            mappings: Vec::new(),
            destinations: Vec::new(),
            skip_mappings: Vec::new(),
            skip_destinations: Vec::new(),
            recent_first: false,
            stop_at_first: false,
            level: Level::default(),
            budget: None,
            destination_limit: Duration::from_mins(30),
            settle: Duration::from_secs(10),
            show: 20,
            shown: Shown::default(),
            max_doubts: 10_000,
            progress: Progress::default(),
        }
    }
}

/// Compares the source with its destinations: ClickHouse, and tenants' own. Reads only; starts no sync.
///
/// # Errors
/// Why it could not finish; then nothing is known. That a tenant's own destination cannot be compared is told of that one.
pub async fn verify(settings: &Settings, options: &VerifyOptions) -> Result<Report, VerifyError> {
    let started = Instant::now();
    let set = MappingSet::load(&settings.mappings)?;
    let mut chosen = chosen(&set, &options.mappings, &options.skip_mappings)?;
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let clickhouse = if options.takes(&DestinationChoice::ClickHouse) {
        let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
        clickhouse.check_version().await?;
        Some(clickhouse)
    } else {
        None
    };
    let scan = source.connect(Session::Scan).await?;
    let last = if options.recent_first { LastChanges::read(&scan).await? } else { LastChanges::default() };
    last.sort_mappings(&mut chosen);
    // Capture is one for all destinations, and set up as it is recorded of ClickHouse.
    let id = DestinationId::clickhouse();
    let placed = storage::placed(&scan, &chosen, &id).await?;
    let mappings: Vec<_> = placed.iter().collect();
    storage::refuse_row_security(&scan, &mappings).await?;
    let locations = locations(&scan, &options.tenants).await?;
    let mut reports = Vec::new();
    if let Some(clickhouse) = &clickhouse {
        let sides = Sides { source: &scan, destination: clickhouse, whose: Whose::Everybodys };
        reports = compare(&sides, &mappings, locations.as_deref(), options, &options.progress).await?;
    }
    let stopped = options.stop_at_first && reports.iter().any(|report| report.differences() > 0);
    let destinations = tenants::compare_all(settings, &source, &chosen, options, &last, stopped).await?;
    if storage::placed(&scan, &chosen, &id).await? != placed {
        return Err(VerifyError::OtherDefinitions("were set up anew meanwhile"));
    }
    Ok(Report::new(options.level, reports, destinations, started.elapsed()))
}

/// Compares mappings of one destination: all of them, or one after the other until one differs.
pub(crate) async fn compare<D: Destination + Compare>(
    sides: &Sides<'_, D>,
    mappings: &[&Mapping],
    places: Option<&[Location]>,
    options: &VerifyOptions,
    progress: &Progress,
) -> Result<Vec<MappingReport>, VerifyError> {
    if !options.stop_at_first {
        return compare_together(sides, mappings, places, options, progress).await;
    }
    let mut reports: Vec<MappingReport> = Vec::with_capacity(mappings.len());
    for &mapping in mappings {
        if reports.iter().any(|report| report.differences() > 0) {
            reports.push(MappingReport::not_compared(mapping, LEFT_OUT));
        } else {
            storage::set_up_for_passes(sides.source).await?;
            reports.extend(compare_together(sides, &[mapping], places, options, progress).await?);
        }
    }
    Ok(reports)
}

/// Compares mappings, each in snapshots of its own, then looks again at what differed.
async fn compare_together<D: Destination + Compare>(
    sides: &Sides<'_, D>,
    mappings: &[&Mapping],
    places: Option<&[Location]>,
    options: &VerifyOptions,
    progress: &Progress,
) -> Result<Vec<MappingReport>, VerifyError> {
    let mut passes = match (options.budget, places, sides.whose) {
        (Some(budget), None, Whose::Everybodys) => within(budget, sides, mappings, options, progress).await?,
        _ => {
            let mut passes = Vec::new();
            for &mapping in mappings {
                progress.comparing(mapping.name.as_str());
                passes.push(Passes { sides, mapping, options, progress }.all(places).await?);
            }
            passes
        }
    };
    let mut doubts: Vec<_> =
        mappings.iter().zip(&mut passes).map(|(mapping, pass)| Doubts::new(mapping, pass)).collect();
    storage::set_up_for_looks(sides.source).await?;
    recheck::settle(sides, &mut doubts, options.settle, progress).await?;
    for (&mapping, doubts) in mappings.iter().zip(&mut doubts) {
        evidence::classify(sides, mapping, &mut doubts.doubts).await?;
        evidence::date(sides.source, &mut doubts.doubts, options.show).await?;
    }
    let to = sides.destination.id();
    let all = mappings.iter().zip(&passes).zip(&doubts);
    let report = |((mapping, pass), doubts): ((&&Mapping, &MappingPass), &Doubts<'_>)| {
        let proof = Proof::new(&to, mapping, sides.whose, places, pass, &doubts.doubts, options.level);
        MappingReport::new(&to, mapping, &pass.found, &doubts.doubts, options)
            .with_left_out(&pass.left_out)
            .with_proof(proof)
    };
    Ok(all.map(report).collect())
}

/// Looks at ranges of all mappings, those first whose proof is oldest, until the time is up.
async fn within<D: Destination + Compare>(
    budget: Budget,
    sides: &Sides<'_, D>,
    mappings: &[&Mapping],
    options: &VerifyOptions,
    progress: &Progress,
) -> Result<Vec<MappingPass>, VerifyError> {
    let started = Instant::now();
    let (to, level) = (sides.destination.id(), options.level.name());
    let of = |index: usize| Passes { sides, mapping: mappings[index], options, progress };
    let mut parts = Vec::new();
    for (index, mapping) in mappings.iter().enumerate() {
        let proven = proven_ranges(sides.source, to.as_str(), mapping.name.as_str(), level).await?;
        parts.extend(of(index).ranges().await?.into_iter().map(|projects| Part::new(index, projects, &proven)));
    }
    let mut passes: Vec<_> = mappings.iter().map(|_| MappingPass::default()).collect();
    for (place, part) in budget::in_order(parts).into_iter().enumerate() {
        let pass = &mut passes[part.mapping];
        if place > 0 && started.elapsed() >= budget.time {
            pass.left_out.push(part.is_covered(budget));
            continue;
        }
        progress.comparing(mappings[part.mapping].name.as_str());
        of(part.mapping).range(&part.projects, pass).await?;
    }
    Ok(passes)
}

/// The mappings of these names, or all, without those that are skipped.
pub(crate) fn chosen<'a>(
    set: &'a MappingSet,
    names: &[String],
    skipped: &[String],
) -> Result<Vec<&'a Mapping>, VerifyError> {
    let known = || set.iter().map(|mapping| mapping.name.to_string()).collect::<Vec<_>>();
    if let Some(name) = names.iter().chain(skipped).find(|name| !known().contains(name)) {
        return Err(VerifyError::UnknownMapping { name: name.clone(), known: known() });
    }
    let has = |names: &[String], mapping: &Mapping| names.iter().any(|name| name == mapping.name.as_str());
    let wanted = |mapping: &&Mapping| (names.is_empty() || has(names, mapping)) && !has(skipped, mapping);
    Ok(set.iter().filter(wanted).collect())
}

/// Where the rows of these tenancies are, and where they were and must not be any more; `None` without any.
async fn locations(client: &Client, tenants: &[TenancyId]) -> Result<Option<Vec<Location>>, VerifyError> {
    if tenants.is_empty() {
        return Ok(None);
    }
    let found = storage::locations(client, tenants).await?;
    let known: BTreeSet<_> = found.iter().map(|(tenancy, _)| *tenancy).collect();
    let unknown: Vec<_> = tenants.iter().copied().filter(|tenancy| !known.contains(tenancy)).collect();
    if !unknown.is_empty() {
        return Err(VerifyError::UnknownTenants(unknown));
    }
    let locations: BTreeSet<_> = found.into_iter().map(|(_, location)| location).collect();
    if locations.len() > MAX_LOCATIONS {
        return Err(VerifyError::TooManyLocations { found: locations.len(), limit: MAX_LOCATIONS });
    }
    Ok(Some(locations.into_iter().collect()))
}
