//! How far the destination has come.

use std::time::{Duration, Instant};

use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::{ClickHouse, Destination, Selection};
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::Target;
use lockstep_schema::SourceError;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::error::CliError;
use crate::fusebox::DESTINATION;

/// The longest pause between two looks.
pub(crate) const MAX_PAUSE: Duration = Duration::from_millis(250);
/// Whoever waits longer is told what for, this often.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// How long is waited, and what is told meanwhile.
pub(crate) struct Waiting {
    until: Instant,
    told: Instant,
    pause: Duration,
}

impl Waiting {
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

/// The number that covers everything committed before this call; `None` when nobody answers in time.
pub(crate) async fn fence(client: &Client, deadline: Instant) -> Result<Option<SequenceId>, CliError> {
    let asked = client.query_one("INSERT INTO lockstep.fence DEFAULT VALUES RETURNING id", &[]).await;
    let id: i64 = asked.map_err(|error| CliError::unless_migrated(error.into()))?.get(0);
    let mut pause = Duration::from_millis(5);
    let answer = loop {
        let row = client.query_opt("SELECT sequence FROM lockstep.fence WHERE id = $1", &[&id]).await;
        let sequence: Option<i64> = row.map_err(SourceError::from)?.and_then(|row| row.get(0));
        if sequence.is_some() || Instant::now() + pause > deadline {
            break sequence;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    };
    client.execute("DELETE FROM lockstep.fence WHERE id = $1", &[&id]).await.map_err(SourceError::from)?;
    Ok(answer.map(SequenceId::new))
}

/// Through which number everything has been shipped.
pub(crate) async fn passed(client: &Client) -> Result<SequenceId, CliError> {
    const PASSED: &str = "SELECT COALESCE((SELECT passed FROM lockstep.destination WHERE name = $1), 0)";
    let row =
        client.query_one(PASSED, &[&DESTINATION]).await.map_err(|error| CliError::unless_migrated(error.into()))?;
    Ok(SequenceId::new(row.get(0)))
}

/// Mappings of which these tenancies have changes up to a number that have not arrived, each with how many tenancies.
pub(crate) async fn late(
    client: &Client,
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
    tenancies: &[TenancyId],
    up_to: SequenceId,
) -> Result<Vec<(MappingName, usize)>, CliError> {
    const LAST: &str = "
SELECT tenancy_id, mapping, max(sequence) FROM lockstep.change WHERE tenancy_id = ANY($1::uuid[]) AND sequence <= $2 GROUP BY 1, 2";
    let ids: Vec<Uuid> = tenancies.iter().map(TenancyId::as_uuid).collect();
    let last = client.query(LAST, &[&ids, &up_to.get()]).await.map_err(SourceError::from)?;
    let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.clone()).collect();
    let cursors = clickhouse.cursors(Selection::These(tenancies), Selection::These(&names)).await?;
    let late = mappings.iter().map(|mapping| {
        let target = Target::row(mapping).id();
        let is_late = |row: &&tokio_postgres::Row| {
            let pair = (TenancyId::new(row.get(0)), mapping.name.clone());
            row.get::<_, i32>(1) == target
                && cursors.get(&pair).is_none_or(|cursor| cursor.get() < row.get::<_, i64>(2))
        };
        (mapping.name.clone(), last.iter().filter(is_late).count())
    });
    Ok(late.filter(|(_, count)| *count > 0).collect())
}

/// Mappings whose fill has not ended, or is still to begin.
pub(crate) async fn filling(client: &Client, mappings: &MappingSet) -> Result<Vec<String>, CliError> {
    const FILLING: &str = "
SELECT mapping_name FROM lockstep.fill WHERE destination = $1 AND finished_at IS NULL AND mapping_name = ANY($2::text[])
UNION SELECT mapping_name FROM lockstep.refill WHERE mapping_name = ANY($2::text[]) ORDER BY 1";
    let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
    let rows = client.query(FILLING, &[&DESTINATION, &names]).await.map_err(SourceError::from)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
