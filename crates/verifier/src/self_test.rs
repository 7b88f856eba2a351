//! The verifier's own test: in a tenancy that exists for this alone, rows of ClickHouse are made wrong, one in each way; all must be found, told by
//! their class, and mended.
//!
//! What would take a write to the application's tables is left out: a lost tombstone and a change past capture. `crates/verifier/tests` has these.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use lockstep_core::settings::Settings;
use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_destinations::ClickHouse;
use lockstep_destinations::compare::{Compare, Shape};
use lockstep_mappings::clickhouse::Databases;
use lockstep_mappings::clickhouse::plant::{Plant, can_plant, plant, unplant};
use lockstep_mappings::postgres::compare::{Key, Scope};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_operations::{Deployment, MarkedRow, WaitFor, WaitOutcome, mark, wait};
use lockstep_schema::{Session, Source};
use serde::Serialize;
use uuid::Uuid;

use crate::class::Class;
use crate::error::VerifyError;
use crate::finding::Shown;
use crate::level::Level;
use crate::report::Verdict;
use crate::service::{DestinationChoice, VerifyOptions, verify};
use crate::storage;

/// Rows of its own that are made wrong: one in each of these ways.
const OWN_ROWS: usize = 4;
/// So far above the last number a planted one is.
const FAR_AHEAD: i64 = 1_000_000_000;

/// What is tested where.
#[derive(Clone, Debug)]
pub struct SelfTestOptions {
    /// A tenancy whose rows are nobody's.
    pub tenant: TenancyId,
    /// A mapping whose key is of ids alone, with four rows of that tenancy at least.
    pub mapping: String,
    /// How long what is mended may take to arrive.
    pub limit: Duration,
}

/// What it came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SelfTestReport {
    /// How many rows were made wrong in each way.
    pub planted: BTreeMap<&'static str, u64>,
    /// Planted rows that were not found, or called something else, by level.
    pub missed: Vec<String>,
    /// Whether everything was equal again afterwards.
    pub is_mended: bool,
}

impl SelfTestReport {
    /// Whether the verifier can be trusted.
    pub fn is_passed(&self) -> bool {
        self.missed.is_empty() && self.is_mended
    }
}

struct Canary<'a> {
    settings: &'a Settings,
    options: &'a SelfTestOptions,
    set: &'a MappingSet,
    mapping: &'a Mapping,
    clickhouse: ClickHouse,
    databases: Databases,
    place: Location,
}

/// Plants, looks, and mends.
///
/// # Errors
/// The tenancy is not fit for it, and nothing was planted; or a service failed, and what was planted may still be there: run it again, or
/// `lockstep-verifier --tenant ID --repair apply`.
pub async fn self_test(settings: &Settings, options: &SelfTestOptions) -> Result<SelfTestReport, VerifyError> {
    let set = MappingSet::load(&settings.mappings)?;
    let unfit = |why: String| VerifyError::NoCanary { tenant: options.tenant, why };
    let found = set.iter().find(|mapping| mapping.name.as_str() == options.mapping && can_plant(mapping));
    let mapping = found.ok_or_else(|| unfit(format!("{} is no mapping whose key is of ids alone", options.mapping)))?;
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let client = source.connect(Session::Control).await?;
    let places: Vec<_> =
        storage::locations(&client, &[options.tenant]).await?.into_iter().map(|(_, place)| place).collect();
    let [place] = places.as_slice() else {
        return Err(unfit("it has to be, and to have been, at one place".to_owned()));
    };
    if storage::tenancies_at(&client, &[place]).await? != [options.tenant] {
        return Err(unfit("others are or were at its place".to_owned()));
    }
    let canary = Canary {
        settings,
        options,
        set: &set,
        mapping,
        clickhouse: ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?,
        databases: Databases::from(&settings.clickhouse),
        place: place.clone(),
    };
    let rows = canary.keys(Some(&canary.place), OWN_ROWS).await?;
    if rows.len() < OWN_ROWS {
        return Err(unfit(format!("it has {} rows of {}, and {OWN_ROWS} are needed", rows.len(), mapping.name)));
    }
    // Every row has a number that is known, and others have arrived.
    canary.ship(&rows).await?;
    let last = storage::last_drawn(&client).await?;
    let planted = canary.plant(&rows, last).await?;
    let missed = canary.look(&planted).await;
    canary.mend(&planted, last).await?;
    let after = verify(settings, &canary.options_at(Level::Content)).await?;
    let mut counts = BTreeMap::new();
    for (_, class) in &planted {
        *counts.entry(class.name()).or_default() += 1;
    }
    Ok(SelfTestReport { planted: counts, missed: missed?, is_mended: after.verdict == Verdict::Equal })
}

impl Canary<'_> {
    /// Keys that ClickHouse has there, or anywhere else.
    async fn keys(&self, at: Option<&Location>, most: usize) -> Result<Vec<Key>, VerifyError> {
        let scope = at.map_or(Scope::All, |place| Scope::Locations(std::slice::from_ref(place)));
        let shape = Shape::of(self.mapping);
        let mut rows = pin!(self.clickhouse.rows(self.mapping, scope));
        let mut keys = Vec::new();
        while keys.len() < most {
            let Some(row) = rows.try_next().await? else { break };
            keys.extend(shape.key(&row).filter(|key| at.is_some() || key.location != self.place));
        }
        Ok(keys)
    }

    /// Has rows numbered and shipped, and waits until they have arrived.
    async fn ship(&self, keys: &[Key]) -> Result<(), VerifyError> {
        let mut deployment = Deployment::connect(self.settings, self.set).await?;
        let rows: Vec<_> =
            keys.iter().map(|key| MarkedRow { tenancy: self.options.tenant, key: key.values.clone() }).collect();
        mark(&mut deployment, self.mapping.name.as_str(), &rows).await?;
        let waited =
            wait(&deployment, &WaitFor::Destination("clickhouse".to_owned()), self.options.limit, &mut |_| ()).await?;
        if waited.outcome == WaitOutcome::InFlight {
            let why = format!("its rows had not arrived after {} s", self.options.limit.as_secs());
            return Err(VerifyError::NoCanary { tenant: self.options.tenant, why });
        }
        Ok(())
    }

    /// Makes rows wrong, and says which are what.
    async fn plant(&self, rows: &[Key], last: SequenceId) -> Result<Vec<(Key, Class)>, VerifyError> {
        let ahead = Plant::Number(SequenceId::new(last.get() + FAR_AHEAD));
        let ways = [
            (Plant::Tombstone, Class::Lost),
            (Plant::OtherValue, Class::Corrupt),
            (Plant::Older, Class::Stale),
            (ahead, Class::Ahead),
        ];
        let mut planted = Vec::new();
        let nobodys: Vec<_> = self.mapping.key.iter().map(|_| Uuid::new_v4().to_string()).collect();
        let nobodys = Key { location: self.place.clone(), values: nobodys };
        // Only the ids of another tenant's row are shown here, with the canary's values.
        let others =
            self.keys(None, 1).await?.pop().map(|key| Key { location: self.place.clone(), values: key.values });
        let copies = std::iter::once((nobodys, Class::Orphan)).chain(others.map(|key| (key, Class::Foreign)));
        for (key, class) in copies {
            self.run(plant(self.mapping, &self.databases, &rows[0], Plant::Copy(&key))).await?;
            planted.push((key, class));
        }
        for (key, (way, class)) in rows.iter().zip(ways) {
            self.run(plant(self.mapping, &self.databases, key, way)).await?;
            planted.push((key.clone(), class));
        }
        Ok(planted)
    }

    async fn run(&self, statements: Vec<String>) -> Result<(), VerifyError> {
        for statement in statements {
            self.clickhouse.execute(&statement).await?;
        }
        Ok(())
    }

    fn options_at(&self, level: Level) -> VerifyOptions {
        VerifyOptions {
            tenants: vec![self.options.tenant],
            mappings: vec![self.options.mapping.clone()],
            destinations: vec![DestinationChoice::ClickHouse],
            level,
            show: 1000,
            shown: Shown::Keys,
            settle: Duration::ZERO,
            ..VerifyOptions::default()
        }
    }

    /// What of the planted rows is not found as what it is, at each level.
    async fn look(&self, planted: &[(Key, Class)]) -> Result<Vec<String>, VerifyError> {
        let mut missed = Vec::new();
        for level in [Level::Versions, Level::Content, Level::Rows] {
            let report = verify(self.settings, &self.options_at(level)).await?;
            let found: BTreeMap<Vec<&str>, Class> = report
                .mappings
                .iter()
                .flat_map(|mapping| &mapping.findings)
                .map(|finding| (finding.key.values().collect(), finding.class))
                .collect();
            for (key, class) in planted {
                let values: Vec<_> = key.values.iter().map(String::as_str).collect();
                match found.get(&values) {
                    Some(as_what) if as_what == class => {}
                    Some(other) => {
                        missed.push(format!("{}: {} was called {}", level.name(), class.name(), other.name()))
                    }
                    None => missed.push(format!("{}: {} was not found", level.name(), class.name())),
                }
            }
        }
        Ok(missed)
    }

    /// Takes away what was planted ahead, which no change mends, and ships all of it anew.
    async fn mend(&self, planted: &[(Key, Class)], last: SequenceId) -> Result<(), VerifyError> {
        for (key, _) in planted.iter().filter(|(_, class)| *class == Class::Ahead) {
            let above = SequenceId::new(last.get() + FAR_AHEAD - 1);
            self.clickhouse.execute(&unplant(self.mapping, &self.databases, key, above)).await?;
        }
        let keys: Vec<_> = planted.iter().map(|(key, _)| key.clone()).collect();
        self.ship(&keys).await
    }
}
