//! A worker inside the test, whose writes are held between reading and writing for as long as the test pleases.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use lockstep_core::health::Health;
use lockstep_core::{MappingName, TenancyId};
use lockstep_destinations::{ClickHouse, CursorAt, Cursors, Destination, DestinationError, Selection, WriteWindow};
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::Databases;
use lockstep_schema::Source;
use lockstep_testkit::databases::eventually;
use lockstep_worker::{Flushed, Flusher, Limits, News, Routes};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::stage::{DEADLINE, Stage};

/// ClickHouse behind a gate for writes.
#[derive(Clone)]
struct Gated {
    inner: ClickHouse,
    waiting: Arc<AtomicUsize>,
    open: watch::Receiver<bool>,
}

impl Destination for Gated {
    type Sink = <ClickHouse as Destination>::Sink;

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn within(self, window: WriteWindow) -> Self {
        Self { inner: self.inner.within(window), ..self }
    }

    async fn cursors(
        &self,
        tenancies: Selection<'_, TenancyId>,
        mappings: Selection<'_, MappingName>,
    ) -> Result<Cursors, DestinationError> {
        self.inner.cursors(tenancies, mappings).await
    }

    async fn begin_write(&self, statement: &str) -> Result<Self::Sink, DestinationError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // The gate is dropped only with the test.
        let _ = self.open.clone().wait_for(|open| *open).await;
        self.inner.begin_write(statement).await
    }

    async fn advance(&self, cursors: &[CursorAt]) -> Result<(), DestinationError> {
        self.inner.advance(cursors).await
    }
}

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
pub(crate) struct Held {
    gate: watch::Sender<bool>,
    flushes: Vec<JoinHandle<Flushed>>,
}

impl Held {
    /// Reads the news of each mapping, and holds there. Each of them must have some.
    pub(crate) async fn after_reading(stage: &Stage, mappings: &[&str]) -> Result<Self> {
        let (gate, open) = watch::channel(false);
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut flushes = Vec::new();
        for mapping in mappings {
            let gated =
                Gated { inner: stage.installation.clickhouse()?, waiting: Arc::clone(&waiting), open: open.clone() };
            let (mut flusher, news) = (flusher(stage, gated)?, news(stage, &[mapping]).await?);
            flushes.push(tokio::spawn(async move { flusher.flush(&news).await }));
        }
        let what = format!("{} pages to be read", mappings.len());
        eventually(&what, DEADLINE, async || Ok(waiting.load(Ordering::SeqCst) == mappings.len())).await?;
        Ok(Self { gate, flushes })
    }

    /// Lets them write, and go on to their cursors.
    pub(crate) async fn release(self) -> Result<()> {
        self.gate.send_replace(true);
        for flush in self.flushes {
            let flushed = flush.await.context("a flush panicked")?;
            ensure!(flushed.rows > 0 && flushed.failed.is_empty() && flushed.held.is_empty(), "{flushed:?}");
        }
        Ok(())
    }
}
