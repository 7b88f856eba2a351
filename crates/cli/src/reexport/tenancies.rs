//! Exporting all rows of some tenancies again, through the stream.

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_destinations::ClickHouse;
use lockstep_mappings::clickhouse::Databases;
use lockstep_mappings::postgres::Target;
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::SourceError;
use tokio_postgres::Client;
use uuid::Uuid;

use super::mappings::say_what_was_kept;
use super::stale;
use crate::arrival::{Waiting, fence, late};
use crate::error::CliError;
use crate::fusebox::DESTINATION;
use crate::tenancies::{living_at, must_exist, places};

/// What is exported again.
pub(crate) struct Export<'a> {
    pub(crate) client: &'a Client,
    pub(crate) clickhouse: &'a ClickHouse,
    pub(crate) databases: Databases,
    pub(crate) set: &'a MappingSet,
    pub(crate) mappings: Vec<&'a Mapping>,
    /// As they were named.
    pub(crate) named: Vec<TenancyId>,
}

/// What it came to.
pub(crate) struct Exported {
    pub(crate) tenancies: usize,
    pub(crate) stale_rows: u64,
    pub(crate) floor: SequenceId,
}

impl Export<'_> {
    /// Does it. `None`: time was up, or rows were refused, which was said; the same command goes on where this ended.
    pub(crate) async fn run(&self, waiting: &mut Waiting) -> Result<Option<Exported>, CliError> {
        for tenancy in &self.named {
            must_exist(self.client, *tenancy).await?;
        }
        // Rows in ClickHouse do not say whose they are, only where. So all tenancies that are where one that was named is, or
        // was, are exported again together: then a row there that nobody exported is nobody's.
        let places = places(self.client, &self.named).await?;
        let tenancies = living_at(self.client, &places).await?;
        let (id, floor) = self.begin().await?;
        self.expand(&tenancies).await?;
        let Some(up_to) = fence(self.client, waiting.until()).await? else {
            eprintln!("Time is up while waiting: changes get no numbers. Is lockstep-sequencer running?");
            return Ok(None);
        };
        loop {
            let late = late(self.client, self.clickhouse, self.set, &tenancies, up_to).await?;
            if late.is_empty() {
                break;
            }
            let what = || {
                let each: Vec<_> = late.iter().map(|(name, count)| format!("{name} of {count} tenancies")).collect();
                format!("{} on the way", each.join(", "))
            };
            if !waiting.pause(what).await {
                return Ok(None);
            }
        }
        if self.are_refused(&tenancies).await? || !self.are_filled().await? {
            return Ok(None);
        }
        let stale_rows = self.remove_stale(floor, &places).await?;
        let finish = "UPDATE lockstep.resync SET finished_at = now(), stale_rows = $2 WHERE id = $1";
        let rows = i64::try_from(stale_rows).unwrap_or(i64::MAX);
        self.client.execute(finish, &[&id, &rows]).await.map_err(SourceError::from)?;
        Ok(Some(Exported { tenancies: tenancies.len(), stale_rows, floor }))
    }

    /// Draws the floor and writes the request down, or goes on with the same one.
    async fn begin(&self) -> Result<(i64, SequenceId), CliError> {
        const SAME: &str = "
SELECT id, floor FROM lockstep.resync WHERE finished_at IS NULL AND purpose = 'resync' AND destination = $1
  AND tenancies = $2::uuid[] AND mappings = $3::text[] ORDER BY id DESC LIMIT 1";
        const NEW: &str = "
INSERT INTO lockstep.resync (purpose, destination, tenancies, mappings, floor) VALUES ('resync', $1, $2, $3, nextval('lockstep.sequence')) RETURNING id, floor";
        let ids: Vec<Uuid> = self.named.iter().map(TenancyId::as_uuid).collect();
        let names: Vec<_> = self.mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        let same = self.client.query_opt(SAME, &[&DESTINATION, &ids, &names]).await;
        let row = match same.map_err(|error| CliError::unless_migrated(error.into()))? {
            Some(row) => {
                println!("Going on with what was begun at sequence {}.", row.get::<_, i64>(1));
                row
            }
            None => self.client.query_one(NEW, &[&DESTINATION, &ids, &names]).await.map_err(SourceError::from)?,
        };
        Ok((row.get(0), SequenceId::new(row.get(1))))
    }

    /// Asks for a change of every row.
    async fn expand(&self, tenancies: &[TenancyId]) -> Result<(), CliError> {
        const EXPAND: &str = "
INSERT INTO lockstep.expansion (target, tenancy_id) SELECT m, t FROM unnest($1::int[]) AS m CROSS JOIN unnest($2::uuid[]) AS t";
        let targets: Vec<i32> = self.mappings.iter().map(|mapping| Target::all_rows(mapping).id()).collect();
        let ids: Vec<Uuid> = tenancies.iter().map(TenancyId::as_uuid).collect();
        self.client.execute(EXPAND, &[&targets, &ids]).await.map_err(SourceError::from)?;
        Ok(())
    }

    /// A row that was refused is in the destination with its old number, if at all: it must not be taken for a stale one.
    async fn are_refused(&self, tenancies: &[TenancyId]) -> Result<bool, CliError> {
        const REFUSED: &str = "SELECT count(*) FROM lockstep.quarantine WHERE destination = $1 AND mapping_name = ANY($2) AND tenancy_id = ANY($3::uuid[])";
        let names: Vec<_> = self.mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        let ids: Vec<Uuid> = tenancies.iter().map(TenancyId::as_uuid).collect();
        let row = self.client.query_one(REFUSED, &[&DESTINATION, &names, &ids]).await.map_err(SourceError::from)?;
        let refused: i64 = row.get(0);
        if refused > 0 {
            say_what_was_kept();
        }
        Ok(refused > 0)
    }

    /// Rows that could not be searched (LS-0504) were not exported: they must not be taken for stale before their mapping is
    /// filled again.
    async fn are_filled(&self) -> Result<bool, CliError> {
        const FILLING: &str = "
SELECT mapping_name FROM lockstep.refill WHERE mapping_name = ANY($2)
UNION SELECT mapping_name FROM lockstep.fill WHERE destination = $1 AND mapping_name = ANY($2) AND finished_at IS NULL ORDER BY 1";
        let names: Vec<_> = self.mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        let rows = self.client.query(FILLING, &[&DESTINATION, &names]).await.map_err(SourceError::from)?;
        let filling: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        if !filling.is_empty() {
            eprintln!(
                "Rows that are in ClickHouse alone are not removed before these mappings are filled, or fit their tables: {}.",
                filling.join(", ")
            );
        }
        Ok(filling.is_empty())
    }

    async fn remove_stale(&self, floor: SequenceId, places: &[Location]) -> Result<u64, CliError> {
        let mut removed = 0;
        for mapping in &self.mappings {
            removed += stale::remove(self.clickhouse, &self.databases, mapping, floor, places).await?;
        }
        Ok(removed)
    }
}
