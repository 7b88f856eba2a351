//! What is to be announced, and how far it has been (OUT-1): changes themselves are the outbox.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lockstep_core::freshness::ChangeTimes;
use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::Target;
use lockstep_queue::TenantHint;
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::query::Query;
use crate::plan::stamps::{self, Stamp};

/// Numbers of one page, at most.
const PAGE_NUMBERS: i64 = 50_000;

/// In a page of more pairs of a tenancy and a mapping nobody is told what was announced before: looking that up is one probe
/// of an index a pair, and saves a worker one question for all of them.
const MOST_PAIRS_WITH_PREVIOUS: i64 = 256;

/// Up to which number changes are announced, before the first is read.
const FROM: &str = "SELECT max(sequence) FROM lockstep.announced";
/// Whose changes there are in ($1, $2], in which mappings, up to which number, and which of theirs came before, in a page of
/// at most $3 pairs; and, beside no tenancy, the last number of all.
const PAGE: &str = "
SELECT n.tenancy_id, n.mapping, n.last, CASE WHEN n.pairs <= $3 THEN COALESCE((SELECT p.sequence FROM lockstep.change p
  WHERE p.tenancy_id = n.tenancy_id AND p.mapping = n.mapping AND p.sequence <= $1 ORDER BY p.sequence DESC LIMIT 1), 0) END
FROM (SELECT tenancy_id, mapping, max(sequence) AS last, count(*) OVER () AS pairs
  FROM lockstep.change WHERE sequence > $1 AND sequence <= $2 GROUP BY 1, 2) n
UNION ALL (SELECT NULL, NULL, last_sequence, NULL FROM lockstep.pass ORDER BY id DESC LIMIT 1)";
/// Passes with numbers above $1 among the last $2, in order: the last number of each, and how many seconds ago it was.
const PASSES: &str = "
SELECT p.last_sequence, extract(epoch FROM clock_timestamp() - p.passed_at)::float8
FROM (SELECT * FROM lockstep.pass ORDER BY id DESC LIMIT $2) p WHERE p.last_sequence > $1 ORDER BY p.id";
const DONE: &str = "INSERT INTO lockstep.announced (sequence) VALUES ($1) ON CONFLICT (sequence) DO NOTHING";

/// Some changes, gathered by tenancy.
pub(crate) struct Page {
    pub(crate) hints: Vec<TenantHint>,
    /// Every change up to here is in it, or in one before.
    pub(crate) up_to: SequenceId,
}

/// Reads changes, and writes down how far they are announced, on a connection of its own.
pub(crate) struct Announcements {
    client: Client,
    mappings: HashMap<i32, MappingName>,
    at: i64,
    page: Query,
    done: Query,
}

impl Announcements {
    pub(crate) async fn open(source: &Source, set: &MappingSet) -> Result<Self, SourceError> {
        let client = source.connect(Session::Control).await?;
        // Lost with a crash, it is announced again.
        client.batch_execute("SET synchronous_commit = off; SET enable_seqscan = off").await?;
        let at: Option<i64> = client.query_one(FROM, &[]).await?.try_get(0)?;
        let mappings = set.iter().map(|mapping| (Target::row(mapping).id(), mapping.name.clone())).collect();
        let (page, done) = (Query::new(PAGE), Query::new(DONE));
        Ok(Self { client, mappings, at: at.unwrap_or_default(), page, done })
    }

    /// Up to which number changes are announced.
    pub(crate) const fn announced(&self) -> SequenceId {
        SequenceId::new(self.at)
    }

    /// Passes whose numbers are not announced, the latest of them where they are very many.
    pub(crate) async fn unannounced_passes(&self) -> Result<Vec<Stamp>, SourceError> {
        let rows = self.client.query(PASSES, &[&self.at, &i64::from(stamps::MOST)]).await?;
        let stamp = |row: &Row| {
            let ago = Duration::from_secs_f64(row.try_get::<_, f64>(1)?.max(0.0));
            let times = ChangeTimes::stamped(ago, None);
            Ok(Stamp { through: SequenceId::new(row.try_get(0)?), times, origin: None })
        };
        rows.iter().map(stamp).collect()
    }

    /// The next changes, if there are any.
    pub(crate) async fn next(&self) -> Result<Option<Page>, SourceError> {
        let mut up_to = self.at + PAGE_NUMBERS;
        let mut hints: BTreeMap<Uuid, TenantHint> = BTreeMap::new();
        let parameters: [&(dyn ToSql + Sync); 3] = [&self.at, &up_to, &MOST_PAIRS_WITH_PREVIOUS];
        for row in self.client.query(self.page.on(&self.client).await?, &parameters).await? {
            let sequence = row.try_get(2)?;
            let Some(tenancy) = row.try_get(0)? else {
                up_to = up_to.min(sequence);
                continue;
            };
            // Changes of a mapping that this sequencer does not know are announced to nobody: its workers do not know it.
            let Some(mapping) = self.mappings.get(&row.try_get(1)?) else { continue };
            let sequence = SequenceId::new(sequence);
            let of_tenancy = hints.entry(tenancy).or_insert_with(|| TenantHint {
                tenancy: TenancyId::new(tenancy),
                mappings: Vec::new(),
                sequence,
                previous: Vec::new(),
                times: ChangeTimes::default(),
            });
            of_tenancy.mappings.push(mapping.clone());
            of_tenancy.sequence = of_tenancy.sequence.max(sequence);
            of_tenancy.previous.extend(row.try_get::<_, Option<i64>>(3)?.map(SequenceId::new));
        }
        let is_more = up_to > self.at;
        Ok(is_more.then(|| Page { hints: hints.into_values().collect(), up_to: SequenceId::new(up_to) }))
    }

    /// Writes down that everything up to here was confirmed.
    pub(crate) async fn done(&mut self, up_to: SequenceId) -> Result<(), SourceError> {
        self.client.execute(self.done.on(&self.client).await?, &[&up_to.get()]).await?;
        self.at = up_to.get();
        Ok(())
    }
}
