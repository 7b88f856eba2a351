//! A worker inside the test, whose writes are held between reading and writing for as long as the test pleases.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use lockstep_core::health::Health;
use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::faulty::Faulty;
use lockstep_destinations::{ClickHouse, Destination};
use lockstep_mappings::MappingSet;
use lockstep_schema::Source;
use lockstep_worker::{Flushed, Flusher, Hints, Limits, Mappings};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::stage::{DEADLINE, Stage};

/// Ships inside the test, through whatever destination.
pub(crate) fn flusher<D: Destination>(stage: &Stage, destination: D) -> Result<Flusher<D>> {
    let settings = stage.installation.settings();
    let source = Source::new(&settings.source_url, None)?;
    Ok(Flusher::new(source, destination, Arc::new(mappings()?), Limits::default(), Health::default()))
}

fn mappings() -> Result<Mappings> {
    Ok(Mappings::new(&MappingSet::built_in()))
}

/// Hints for some mappings of every tenancy.
pub(crate) async fn hints(stage: &Stage, mappings_named: &[&str]) -> Result<Hints> {
    let rows = stage.client.query(r#"SELECT "id" FROM "Tenancy" ORDER BY "id""#, &[]).await?;
    let tenancies: Vec<_> = rows.iter().map(|row| TenancyId::new(row.get::<_, Uuid>(0))).collect();
    hints_of(&tenancies, mappings_named)
}

/// The same of some tenancies.
pub(crate) fn hints_of(tenancies: &[TenancyId], mappings_named: &[&str]) -> Result<Hints> {
    let all = mappings()?;
    let index = |name: &&str| all.index(&name.parse().ok()?);
    let named: Vec<_> = mappings_named.iter().filter_map(index).collect();
    ensure!(named.len() == mappings_named.len(), "there is a mapping of another name among {mappings_named:?}");
    let mut hints = Hints::default();
    for tenancy in tenancies {
        hints.add(*tenancy, named.iter().copied(), SequenceId::BASE);
    }
    Ok(hints)
}

/// Flushes that have read their rows and may not write them yet.
pub(crate) struct HeldFlushes {
    gate: Faulty<ClickHouse>,
    flushes: Vec<JoinHandle<Flushed>>,
}

impl HeldFlushes {
    /// Reads the changes of each mapping, and holds there. Each of them must have some.
    pub(crate) async fn after_reading(stage: &Stage, mappings: &[&str]) -> Result<Self> {
        let gate = Faulty::holding_writes(stage.installation.clickhouse()?);
        let mut flushes = Vec::new();
        for mapping in mappings {
            let (mut flusher, hints) = (flusher(stage, gate.clone())?, hints(stage, &[mapping]).await?);
            flushes.push(tokio::spawn(async move { flusher.flush(&hints).await }));
        }
        let held = timeout(DEADLINE, gate.until_held(mappings.len())).await;
        held.with_context(|| format!("{} pages were not read", mappings.len()))?;
        Ok(Self { gate, flushes })
    }

    /// Lets them write, and go on to their cursors.
    pub(crate) async fn release(self) -> Result<()> {
        self.gate.let_go();
        for flush in self.flushes {
            let flushed = flush.await.context("a flush panicked")?;
            ensure!(flushed.rows > 0 && flushed.failed.is_empty() && flushed.retry.is_empty(), "{flushed:?}");
        }
        Ok(())
    }
}
