//! The outbox: tenancies with news that nobody was told of yet (OUT-1).
//!
//! Two connections write it: the stamping transaction adds, the announcer deletes what was confirmed. The announcer never
//! waits for a row that is being written, so the two cannot wait for each other.

use lockstep_core::{MappingName, TenancyId};
use lockstep_mappings::MappingSet;
use lockstep_queue::TenantNews;
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::query::Query;
use crate::plan::news::News;

/// Writes news within the stamping transaction.
pub(crate) struct Enqueue {
    statement: Query,
    names: Vec<MappingName>,
}

impl Enqueue {
    pub(crate) fn new(set: &MappingSet) -> Self {
        // A row that is there gets the next generation, so that an announcement that is under way does not delete it, and
        // the mappings of both; none means that any may have news.
        let statement = "
INSERT INTO lockstep.outbox AS o (tenancy_id, mappings)
SELECT n.tenancy_id, string_to_array(n.mappings, ',') FROM unnest($1::uuid[], $2::text[]) AS n(tenancy_id, mappings)
ON CONFLICT (tenancy_id) DO UPDATE SET generation = nextval('lockstep.outbox_generation'),
  mappings = CASE WHEN o.mappings = '{}' OR EXCLUDED.mappings = '{}' THEN '{}'
    ELSE ARRAY(SELECT DISTINCT m FROM unnest(o.mappings || EXCLUDED.mappings) AS m ORDER BY m) END";
        let names = set.iter().map(|mapping| mapping.name.clone()).collect();
        Self { statement: Query::new(statement), names }
    }

    /// Adds all news, in the order of tenancies.
    pub(crate) async fn add(&self, client: &Client, news: &News) -> Result<(), SourceError> {
        let (tenancies, mappings) = news.columns(&self.names);
        self.statement.execute(client, &[&tenancies, &mappings]).await.map(drop)
    }
}

/// A row of the outbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// Whose news, and which.
    pub(crate) news: TenantNews,
    /// Grows whenever the row is written.
    pub(crate) generation: i64,
}

/// Reads the outbox and deletes from it, on a connection of its own.
pub(crate) struct Outbox {
    client: Client,
    page: Query,
    delete: Query,
}

impl Outbox {
    pub(crate) async fn open(source: &Source) -> Result<Self, SourceError> {
        let client = source.connect(Session::Control).await?;
        // A deletion that a crash undoes is announced again, which does no harm.
        client.batch_execute("SET synchronous_commit = off").await?;
        Ok(Self {
            client,
            page: Query::new(
                "SELECT tenancy_id, mappings, generation FROM lockstep.outbox WHERE generation > $1 ORDER BY generation LIMIT $2",
            ),
            // A row that is being written gets a new generation: it stays, and is not waited for.
            delete: Query::new(
                "
DELETE FROM lockstep.outbox o USING (
  SELECT i.tenancy_id FROM unnest($1::uuid[], $2::bigint[]) AS p(tenancy_id, generation)
    JOIN lockstep.outbox i ON i.tenancy_id = p.tenancy_id AND i.generation = p.generation
  FOR UPDATE OF i SKIP LOCKED) d
WHERE o.tenancy_id = d.tenancy_id",
            ),
        })
    }

    /// The next `limit` rows after a generation.
    pub(crate) async fn page(&self, after: i64, limit: i64) -> Result<Vec<Entry>, SourceError> {
        let rows = self.page.rows(&self.client, &[&after, &limit]).await?;
        Ok(rows.iter().map(entry).collect())
    }

    /// Deletes the rows that nobody wrote since they were read.
    pub(crate) async fn delete(&self, entries: &[Entry]) -> Result<(), SourceError> {
        let (tenancies, generations): (Vec<_>, Vec<_>) =
            entries.iter().map(|entry| (entry.news.tenancy.as_uuid(), entry.generation)).unzip();
        self.delete.execute(&self.client, &[&tenancies, &generations]).await.map(drop)
    }
}

fn entry(row: &Row) -> Entry {
    let names: Vec<&str> = row.get(1);
    // A name that is none was not written by us: any mapping may have news.
    let mappings: Result<Vec<MappingName>, _> = names.iter().map(|name| name.parse()).collect();
    let tenancy = TenancyId::new(row.get::<_, Uuid>(0));
    Entry { news: TenantNews { tenancy, mappings: mappings.unwrap_or_default() }, generation: row.get(2) }
}
