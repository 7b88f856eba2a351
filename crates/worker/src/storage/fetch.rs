//! A connection for reading changes: one transaction, one snapshot for all mappings of a flush.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join5;
use lockstep_core::{DestinationId, SequenceId, TenancyId};
use lockstep_destinations::{Moment, WriteWindow};
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::fetch::{ReadFrom, next_change};
use lockstep_mappings::postgres::inbox::HEAD;
use lockstep_schema::definitions::{RECORDED, Recorded, by_name};
use lockstep_schema::{Session, Source, SourceError, fits_its_table};
use tokio::time::timeout;
use tokio_postgres::{Client, Row, Statement};

use super::quarantine::{WITH_ENTRIES, WithEntries, with_entries};
use super::tenancies::{LocationsByTenancy, locations, look_up_sql, uuids};

/// For statements whose work is small: opening a snapshot, looking tenancies up, closing it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The last number of the newest pass. A snapshot that sees it sees every change up to it (SEQ-1). And how long what is read
/// in this snapshot may be written, in milliseconds.
fn head() -> String {
    format!("SELECT {HEAD}, {LATE_WRITE_LIMIT_MS}")
}

/// How long what is read may be written, in milliseconds, as an expression.
pub(super) const LATE_WRITE_LIMIT_MS: &str =
    "(SELECT (extract(epoch FROM value) * 1000)::bigint FROM lockstep.setting WHERE name = 'late_write_limit')";

/// A duration that the source told in milliseconds.
pub(super) fn limit(row: &Row, column: usize) -> Result<Duration, SourceError> {
    Ok(Duration::from_millis(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or_default()))
}

/// What the source says at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The last number that a pass gave out.
    pub(crate) head: SequenceId,
    /// The tenancies that exist, or that did and have still to vanish.
    pub(crate) locations: LocationsByTenancy,
    /// Which of them have rows in quarantine, by mapping.
    pub(crate) quarantined: WithEntries,
    /// How long what is read in it may be written.
    pub(crate) window: WriteWindow,
    /// What mappings are set up as, by name.
    pub(crate) definitions: BTreeMap<String, Recorded>,
}

/// A connection with its statements prepared.
pub(crate) struct FetchSession {
    client: Client,
    head: Statement,
    look_up: Statement,
    with_entries: Statement,
    definitions: Statement,
}

impl FetchSession {
    /// Connects.
    ///
    /// # Errors
    /// When Postgres cannot be reached, or Lockstep's tables are not there.
    pub(crate) async fn open(source: &Source) -> Result<Self, SourceError> {
        let client = source.connect(Session::Fetch).await?;
        let head = client.prepare(&head()).await?;
        let look_up = client.prepare(&look_up_sql()).await?;
        let with_entries = client.prepare(WITH_ENTRIES).await?;
        let definitions = client.prepare(RECORDED).await?;
        Ok(Self { client, head, look_up, with_entries, definitions })
    }

    /// For `COPY` within the transaction.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Opens a transaction that sees one snapshot, and looks the tenancies up in it: so no tenancy moves between the
    /// lookup and the reads. All in one round trip, and with it the savepoint for [`FetchSession::go_on`].
    ///
    /// # Errors
    /// The session is not to be used again.
    pub(crate) async fn begin(
        &self,
        tenancies: &[TenancyId],
        destination: &DestinationId,
    ) -> Result<Snapshot, SourceError> {
        let (read_at, destination) = (Moment::now(), destination.as_str());
        let ids = uuids(tenancies);
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&ids];
        let of_destination: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&ids, &destination];
        // Sent in this order: `try_join5` polls its futures in turn, and each is sent when it is first polled.
        let answers = try_join5(
            self.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SAVEPOINT reads"),
            self.client.query_one(&self.head, &[]),
            self.client.query(&self.look_up, &parameters),
            self.client.query(&self.with_entries, &of_destination),
            self.client.query(&self.definitions, &of_destination[1..]),
        );
        let ((), head, rows, entries, definitions) =
            timeout(ANSWER_TIMEOUT, answers).await.map_err(|_| SourceError::Timeout(ANSWER_TIMEOUT))??;
        let window = WriteWindow::new(read_at, limit(&head, 1)?);
        let head = SequenceId::new(head.try_get(0)?);
        let (locations, quarantined) = (locations(&rows)?, with_entries(&entries)?);
        Ok(Snapshot { head, locations, quarantined, window, definitions: by_name(&definitions)? })
    }

    /// Goes on in the same snapshot after a statement about a mapping failed. Returns whether the mapping fits its table, so
    /// that a row may have been at fault.
    ///
    /// # Errors
    /// The session is not to be used again.
    pub(crate) async fn go_on(&self, mapping: &Mapping) -> Result<bool, SourceError> {
        self.go_back().await?;
        let fits = fits_its_table(&self.client, mapping).await?;
        if !fits {
            self.go_back().await?;
        }
        Ok(fits)
    }

    async fn go_back(&self) -> Result<(), SourceError> {
        let back = timeout(ANSWER_TIMEOUT, self.client.batch_execute("ROLLBACK TO SAVEPOINT reads")).await;
        Ok(back.map_err(|_| SourceError::Timeout(ANSWER_TIMEOUT))??)
    }

    /// The number of the next change that a page of this tenancy begins with, if there is one.
    ///
    /// # Errors
    /// The session is not to be used again.
    pub(crate) async fn next_change(
        &self,
        mapping: &Mapping,
        work: ReadFrom,
    ) -> Result<Option<SequenceId>, SourceError> {
        let (sql, tenancy, after) = (next_change(mapping), work.tenancy.as_uuid(), work.after.get());
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&tenancy, &after];
        let found = timeout(ANSWER_TIMEOUT, self.client.query_opt(&sql, &parameters)).await;
        let found = found.map_err(|_| SourceError::Timeout(ANSWER_TIMEOUT))??;
        Ok(found.map(|row| row.try_get(0)).transpose()?.map(SequenceId::new))
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// The session is not to be used again.
    pub(crate) async fn end(&self) -> Result<(), SourceError> {
        let ended = timeout(ANSWER_TIMEOUT, self.client.batch_execute("COMMIT")).await;
        Ok(ended.map_err(|_| SourceError::Timeout(ANSWER_TIMEOUT))??)
    }
}
