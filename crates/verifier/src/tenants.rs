//! Tenants' own destinations: several at a time, each on a connection to the source of its own, within a limit of time.
//!
//! Whatever is the matter with one of them is told of that one, and never counts as equal; the others are compared.

mod opener;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};
use lockstep_core::settings::Settings;
use lockstep_destinations::postgres::{MappingState, Postgres};
use lockstep_mappings::Mapping;
use lockstep_schema::pauses::{self, PausedPart};
use lockstep_schema::tenant_destinations::mappings::{self as registered, TenantMapping};
use lockstep_schema::tenant_destinations::{self as registry, TenantDestination};
use lockstep_schema::{Session, Source};
use tokio::time::timeout;
use uuid::Uuid;

pub(crate) use self::opener::Opener;
use crate::error::VerifyError;
use crate::look::Sides;
use crate::progress::Progress;
use crate::recent::LastChanges;
use crate::report::{DestinationReport, MappingReport, Verdict};
use crate::service::{self, DestinationChoice, VerifyOptions};
use crate::storage;
use crate::whose::Whose;

/// So many are compared at a time: each has a connection to the source, and one to a database that may be slow.
const AT_A_TIME: usize = 8;
/// Differing keys of each mapping that are looked at a second time, at most: several destinations are held in memory.
const MAX_DOUBTS: usize = 2_000;

/// What is known of all destinations before one is looked at.
struct Known {
    destinations: Vec<TenantDestination>,
    mappings: HashMap<(Uuid, String), TenantMapping>,
    paused: Vec<PausedPart>,
}

/// What one destination is compared with, and how.
struct Comparison<'a> {
    source: &'a Source,
    known: &'a Known,
    opener: Opener,
    /// All that were asked for.
    mappings: &'a [&'a Mapping],
    options: VerifyOptions,
    /// Whether nothing more is to be compared.
    stopped: AtomicBool,
}

/// Compares all that are asked for, in the order in which they were added, or in that of their last changes. `stopped`: a difference was found
/// before.
pub(crate) async fn compare_all(
    settings: &Settings,
    source: &Source,
    mappings: &[&Mapping],
    options: &VerifyOptions,
    last: &LastChanges,
    stopped: bool,
) -> Result<Vec<DestinationReport>, VerifyError> {
    if options.destinations == [DestinationChoice::ClickHouse] {
        return Ok(Vec::new());
    }
    let mut known = Known::read(source, mappings, options).await?;
    last.sort_by_tenancy(&mut known.destinations, |one| one.setup.tenancy);
    let known = &known;
    let all = known.destinations.len();
    if all == 0 {
        return Ok(Vec::new());
    }
    let options = VerifyOptions { max_doubts: options.max_doubts.min(MAX_DOUBTS), ..options.clone() };
    let (opener, stopped) = (Opener::new(settings), AtomicBool::new(stopped));
    let comparison = &Comparison { source, known, opener, mappings, options, stopped };
    let each = |(place, one)| async move { (place, comparison.of(one).await) };
    let mut comparing = stream::iter(known.destinations.iter().enumerate().map(each)).buffer_unordered(AT_A_TIME);
    let mut reports = Vec::with_capacity(all);
    loop {
        comparison.options.progress.destinations(reports.len(), all);
        let Some(report) = comparing.next().await else { break };
        reports.push(report);
    }
    reports.sort_by_key(|(place, _)| *place);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}

impl Known {
    /// Those that are asked for, and take one of these mappings at least.
    async fn read(source: &Source, mappings: &[&Mapping], options: &VerifyOptions) -> Result<Self, VerifyError> {
        let control = source.connect_diesel(Session::Control).await?;
        let mut destinations = registry::list(&control, None).await?;
        let is_known = |id: &Uuid| destinations.iter().any(|one| one.setup.id == *id);
        let mut asked =
            options.destinations.iter().chain(&options.skip_destinations).filter_map(|choice| match choice {
                DestinationChoice::Tenants(id) => Some(*id),
                DestinationChoice::ClickHouse => None,
            });
        if let Some(unknown) = asked.find(|id| !is_known(id)) {
            return Err(VerifyError::UnknownDestination(unknown));
        }
        destinations.retain(|one| {
            options.takes(&DestinationChoice::Tenants(one.setup.id))
                && (options.tenants.is_empty() || options.tenants.contains(&one.setup.tenancy))
                && mappings.iter().any(|mapping| one.setup.takes(mapping.name.as_str()))
        });
        let ids: Vec<_> = destinations.iter().map(|one| one.setup.id).collect();
        let mappings = registered::of(&control, &ids).await?.into_iter();
        let mappings = mappings.map(|mapping| ((mapping.destination, mapping.mapping.clone()), mapping)).collect();
        Ok(Self { destinations, mappings, paused: pauses::paused(&control).await? })
    }

    /// Why nothing is shipped to a destination, where it, or its tenancy, is paused.
    fn pause(&self, one: &TenantDestination) -> Option<String> {
        let (itself, tenancy) = (one.setup.id.to_string(), one.setup.tenancy.to_string());
        let is_meant = |part: &&PausedPart| match part.kind.as_str() {
            "destination" => part.name == itself,
            "tenancy" => part.name == tenancy,
            _ => false,
        };
        self.paused.iter().find(is_meant).map(ToString::to_string)
    }

    /// Why a mapping cannot be compared, as workers have written it down.
    fn trouble(&self, one: &TenantDestination, mapping: &Mapping) -> Option<String> {
        let found = self.mappings.get(&(one.setup.id, mapping.name.to_string()))?;
        match (found.state, &found.refill_requested_at) {
            (registered::MappingState::Stopped, _) => {
                Some(format!("it is stopped: {}", found.error.as_deref().unwrap_or("its table does not fit")))
            }
            (_, Some(since)) => Some(format!("it is to be filled again since {since}")),
            _ => None,
        }
    }
}

impl Comparison<'_> {
    async fn of(&self, one: &TenantDestination) -> DestinationReport {
        if self.stopped.load(Ordering::Relaxed) {
            return DestinationReport::new(&one.setup, Vec::new(), Some(service::LEFT_OUT.to_owned()));
        }
        if let Some(paused) = self.known.pause(one) {
            return DestinationReport::new(&one.setup, Vec::new(), Some(paused));
        }
        let limit = self.options.destination_limit;
        let (mappings, unfinished) = match timeout(limit, self.compare(one)).await {
            Ok(Ok(mappings)) => {
                let unfinished = backs_off(one, &mappings);
                (mappings, unfinished)
            }
            Ok(Err(error)) => (Vec::new(), Some(error.to_string())),
            Err(_) => {
                let late = format!("it was given up after {} s (--destination-timeout)", limit.as_secs());
                (Vec::new(), Some(late))
            }
        };
        let report = DestinationReport::new(&one.setup, mappings, unfinished);
        if self.options.stop_at_first && report.verdict == Verdict::Different {
            self.stopped.store(true, Ordering::Relaxed);
        }
        report
    }

    async fn compare(&self, one: &TenantDestination) -> Result<Vec<MappingReport>, VerifyError> {
        let destination = self.opener.open(&one.setup).map_err(VerifyError::NotOpened)?;
        let taken: Vec<_> = self.mappings.iter().copied().filter(|of| one.setup.takes(of.name.as_str())).collect();
        let reasons = self.reasons(one, &destination, &taken).await?;
        let fit: Vec<_> = taken.iter().zip(&reasons).filter(|(_, why)| why.is_none()).map(|(of, _)| *of).collect();
        let scan = self.source.connect(Session::Scan).await?;
        storage::set_up_for_one_tenancy(&scan).await?;
        let sides = Sides { source: &scan, destination: &destination, whose: Whose::Own(one.setup.tenancy) };
        // Progress is told of destinations, not of what is done in each.
        let compared = service::compare(&sides, &fit, None, &self.options, &Progress::default()).await?;
        let mut compared = compared.into_iter();
        let report = |(of, why): (&&Mapping, Option<String>)| match why {
            Some(why) => Some(MappingReport::not_compared(of, why)),
            None => compared.next(),
        };
        Ok(taken.iter().zip(reasons).filter_map(report).collect())
    }

    /// Of each mapping why it cannot be compared, where that is so.
    async fn reasons(
        &self,
        one: &TenantDestination,
        destination: &Postgres,
        mappings: &[&Mapping],
    ) -> Result<Vec<Option<String>>, VerifyError> {
        let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.clone()).collect();
        let states = destination.found_states(&names).await?;
        let reason = |mapping: &&Mapping| {
            self.known.trouble(one, mapping).or_else(|| match states.get(&mapping.name) {
                Some(MappingState::At(_)) => None,
                Some(MappingState::Filling(_)) => Some("it is being filled".to_owned()),
                Some(MappingState::Absent) | None => Some("it waits for a fill".to_owned()),
            })
        };
        Ok(mappings.iter().map(reason).collect())
    }
}

/// Whether something is on its way to a destination to which nothing gets through.
fn backs_off(one: &TenantDestination, mappings: &[MappingReport]) -> Option<String> {
    let since = one.breaker.failing_since.as_ref()?;
    let why = one.breaker.error.as_deref().unwrap_or("its last error was not written down");
    let is_behind = mappings.iter().any(|mapping| mapping.in_flight > 0);
    is_behind.then(|| format!("it is behind, and nothing has got through since {since}: {why}"))
}
