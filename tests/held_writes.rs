//! A worker inside the test, whose writes are held between reading and writing for as long as the test pleases.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use lockstep_core::TenancyId;
use lockstep_core::health::Health;
use lockstep_destinations::{ClickHouse, Destination};
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::Databases;
use lockstep_schema::Source;
use lockstep_testkit::held::Held;
use lockstep_worker::{Flushed, Flusher, Limits, News, Routes};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::stage::{DEADLINE, Stage};

/// Ships inside the test, through whatever destination.
pub(crate) fn flusher<D: Destination + Clone + 'static>(stage: &Stage, destination: D) -> Result<Flusher<D>> {
    let settings = stage.installation.settings();
    let source = Source::new(&settings.source_url, None)?;
    Ok(Flusher::new(source, destination, Arc::new(routes(stage)?), Limits::default(), Health::default()))
}

fn routes(stage: &Stage) -> Result<Routes> {
    let databases =
        Databases { raw: stage.installation.raw_database(), views: stage.installation.view_database(), cluster: None };
    Ok(Routes::new(&MappingSet::load(None)?, &databases))
}

/// All that some mappings of every tenancy may have news of.
pub(crate) async fn news(stage: &Stage, mappings: &[&str]) -> Result<News> {
    let set = MappingSet::load(None)?;
    let places: Vec<_> =
        set.iter().enumerate().filter(|(_, mapping)| mappings.contains(&mapping.name.as_str())).collect();
    ensure!(places.len() == mappings.len(), "there is a mapping of another name among {mappings:?}");
    let mut news = News::default();
    for row in stage.client.query(r#"SELECT "id" FROM "Tenancy" ORDER BY "id""#, &[]).await? {
        news.add(TenancyId::new(row.get::<_, Uuid>(0)), places.iter().map(|(place, _)| *place));
    }
    Ok(news)
}

/// Flushes that have read their rows and may not write them yet.
pub(crate) struct HeldFlushes {
    gate: Held<ClickHouse>,
    flushes: Vec<JoinHandle<Flushed>>,
}

impl HeldFlushes {
    /// Reads the news of each mapping, and holds there. Each of them must have some.
    pub(crate) async fn after_reading(stage: &Stage, mappings: &[&str]) -> Result<Self> {
        let gate = Held::new(stage.installation.clickhouse()?);
        let mut flushes = Vec::new();
        for mapping in mappings {
            let (mut flusher, news) = (flusher(stage, gate.clone())?, news(stage, &[mapping]).await?);
            flushes.push(tokio::spawn(async move { flusher.flush(&news).await }));
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
            ensure!(flushed.rows > 0 && flushed.failed.is_empty() && flushed.held.is_empty(), "{flushed:?}");
        }
        Ok(())
    }
}
