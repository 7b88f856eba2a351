//! Exporting again while everything goes on (`lockstep resync`, `lockstep rewind`).
//!
//! 1. A number is drawn from the sequence under the ordering lock that no row has: the floor.
//! 2. Every row of the source that is concerned is stamped above it, through touches, by the sequencer.
//! 3. Cursors pass that: the destination holds each of these rows above the floor. Until here readers have seen the same
//!    rows as before, old versions replaced by new ones.
//! 4. What is left below the floor is in the destination alone. Each such key gets a tombstone with the floor as version.
//!
//! Each step can be done twice; a command that was killed goes on where its row in `lockstep.resync` is.

mod arrival;
mod record;
mod restamp;
mod scope;
mod stale;

use std::time::{Duration, Instant};

use lockstep_core::TenancyId;
use lockstep_destinations::ClickHouse;
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::Databases;
use lockstep_schema::SourceError;
use tokio_postgres::Client;

pub(crate) use self::record::{Purpose, Request, Run, begin, under_way, unfinished, unfinished_rewind};
use self::scope::Scope;
use crate::error::CliError;
use crate::fusebox;

/// The longest pause between two looks.
const MAX_PAUSE: Duration = Duration::from_millis(250);
/// Whoever waits longer is told what for, this often.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// What a re-export works with.
pub(crate) struct Reexport<'a> {
    pub(crate) client: &'a Client,
    pub(crate) clickhouse: &'a ClickHouse,
    pub(crate) mappings: &'a MappingSet,
    pub(crate) databases: Databases,
    pub(crate) patience: Patience,
}

/// What a re-export came to.
pub(crate) struct Exported {
    pub(crate) tenancies: usize,
    pub(crate) mappings: usize,
    pub(crate) stale_rows: u64,
}

impl Reexport<'_> {
    /// Steps 2 to 4. None: time was up, or rows were refused, which was said; the same command goes on where this ended.
    pub(crate) async fn run(&mut self, request: &Request, run: &Run) -> Result<Option<Exported>, CliError> {
        let scope = Scope::of(self.client, self.mappings, request).await?;
        let stamped = restamp::all(self, &scope, run.floor).await?;
        if !stamped || !arrival::of_all(self, &scope).await? {
            self.say_what_is_stopped().await?;
            return Ok(None);
        }
        if self.quarantined(&scope).await? {
            return Ok(None);
        }
        let stale_rows = stale::remove(self, &scope, run.floor).await?;
        record::finish(self.client, run, stale_rows).await?;
        Ok(Some(Exported { tenancies: scope.tenancies.len(), mappings: scope.mappings.len(), stale_rows }))
    }

    /// A row that was refused is in the destination with its old number, if at all: it must not be taken for a stale one.
    /// That there are such was said.
    async fn quarantined(&self, scope: &Scope<'_>) -> Result<bool, CliError> {
        const REFUSED: &str = "SELECT count(*) FROM lockstep.quarantine WHERE destination = $1 AND mapping_name = ANY($2) AND tenancy_id = ANY($3::uuid[])";
        let names: Vec<_> = scope.mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        let ids: Vec<_> = scope.tenancies.iter().map(TenancyId::as_uuid).collect();
        let row = self.client.query_one(REFUSED, &[&fusebox::DESTINATION, &names, &ids]).await;
        let refused: i64 = row.map_err(SourceError::from)?.get(0);
        if refused > 0 {
            eprintln!(
                "All rows were exported again, but {refused} of them were refused (`lockstep quarantine list`). Rows that are in ClickHouse \
                 alone are not removed before these are mended, or dropped there; then run the same command again."
            );
        }
        Ok(refused > 0)
    }

    async fn say_what_is_stopped(&self) -> Result<(), CliError> {
        for line in fusebox::stopped(self.client).await? {
            eprintln!("  - {line}");
        }
        eprintln!("Run the same command again to go on. Do sequencer and workers run? See `lockstep status`.");
        Ok(())
    }
}

/// How long is waited, and what is told meanwhile.
pub(crate) struct Patience {
    until: Instant,
    told: Instant,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Self { until: now + limit, told: now, pause: Duration::from_millis(5) }
    }

    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// Pauses before the next look, and says now and then what is waited for. False: time is up, which was said.
    pub(crate) async fn pause(&mut self, what: impl FnOnce() -> String) -> bool {
        let now = Instant::now();
        if now + self.pause > self.until {
            eprintln!("Time is up while waiting: {}.", what());
            return false;
        }
        if now.duration_since(self.told) >= TELL_EVERY {
            self.told = now;
            println!("Waiting: {}.", what());
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        true
    }
}
