//! The outbox: tenancies with news that nobody was told of yet (OUT-1).
//!
//! Two connections write it: the stamping transaction adds, the announcer deletes what was confirmed. The announcer never
//! waits for a row that is being written, so the two cannot wait for each other.

use lockstep_core::{MappingName, SequenceId, TenancyId};
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
            // Not in the order of generations: a tenancy that always has news would go back to the end of the queue each
            // time, and while the broker is slow its turn might never come (FAIR-1).
            // The head is not below any number of these tenancies: both are read in one snapshot.
            page: Query::new(
                "SELECT tenancy_id, mappings, generation, (SELECT last_sequence FROM lockstep.sequence_head) FROM lockstep.outbox WHERE tenancy_id > $1 ORDER BY tenancy_id LIMIT $2",
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

    /// The next `limit` rows after a tenancy, in the order of tenancies.
    pub(crate) async fn page(&self, after: TenancyId, limit: i64) -> Result<Vec<Entry>, SourceError> {
        let rows = self.page.rows(&self.client, &[&after.as_uuid(), &limit]).await?;
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
    let sequence = SequenceId::new(row.get::<_, Option<i64>>(3).unwrap_or_default());
    let news = TenantNews { tenancy, mappings: mappings.unwrap_or_default(), sequence };
    Entry { news, generation: row.get(2) }
}

#[cfg(test)]
mod tests {
    use lockstep_core::secret::SecretUrl;
    use lockstep_schema::migrations::{Migrations, run};
    use lockstep_testkit::databases::TestDatabase;

    use super::*;

    const FIRST: TenancyId = TenancyId::new(Uuid::nil());

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn out_1_news_that_came_while_a_tenancy_was_announced_stay() {
        let database = TestDatabase::create().await.unwrap();
        let source = Source::new(&SecretUrl::new(database.url()), None).unwrap();
        run(&source, Migrations::Control).await.unwrap();
        let set = MappingSet::load(None).unwrap();
        let (stamper, enqueue) = (source.connect(Session::Stamping).await.unwrap(), Enqueue::new(&set));
        let outbox = Outbox::open(&source).await.unwrap();
        let tenancies = [1, 2, 3].map(|number| TenancyId::new(Uuid::from_u128(number)));
        let mut news = News::default();
        tenancies.iter().for_each(|tenancy| news.add(*tenancy, &[0]));
        enqueue.add(&stamper, &news).await.unwrap();
        stamper.batch_execute("UPDATE lockstep.sequence_head SET last_sequence = 41").await.unwrap();
        let page = outbox.page(FIRST, 10).await.unwrap();
        assert_eq!(page.len(), 3);
        assert!(page.iter().all(|entry| entry.news.sequence == SequenceId::new(41)), "up to where it is stamped");

        // The second has more news, committed; the third is being written while the announcer deletes.
        let mut more = News::default();
        more.add(tenancies[1], &[1]);
        enqueue.add(&stamper, &more).await.unwrap();
        let mut under_way = News::default();
        under_way.add_any(tenancies[2]);
        stamper.batch_execute("BEGIN").await.unwrap();
        enqueue.add(&stamper, &under_way).await.unwrap();
        outbox.delete(&page).await.unwrap();
        stamper.batch_execute("COMMIT").await.unwrap();

        let left = outbox.page(FIRST, 10).await.unwrap();
        let names = |entry: &Entry| entry.news.mappings.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(left.iter().map(|entry| entry.news.tenancy).collect::<Vec<_>>(), tenancies[1..]);
        assert_eq!(names(&left[0]), ["contact_channels", "users"]);
        assert_eq!(names(&left[1]), [""; 0], "any mapping may have news");
        outbox.delete(&left).await.unwrap();
        assert_eq!(outbox.page(FIRST, 10).await.unwrap(), []);
        drop((stamper, outbox));
        database.remove().await.unwrap();
    }
}
