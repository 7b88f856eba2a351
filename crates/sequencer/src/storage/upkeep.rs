//! Keeping Lockstep's own tables small, and looking who else stamps.

use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::Client;

/// The outbox is counted up to here: a gauge needs no more.
const COUNTED_ENTRIES: i64 = 100_000;

/// Stamps of another system on one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ForeignStamps {
    pub(crate) table_name: String,
    pub(crate) application_name: String,
    /// Transactions that stamped.
    pub(crate) transactions: i64,
    /// The newest of them.
    pub(crate) last_id: i64,
}

/// The connection for upkeep.
pub(crate) struct UpkeepSession {
    client: Client,
}

impl UpkeepSession {
    pub(crate) async fn open(source: &Source) -> Result<Self, SourceError> {
        let client = source.connect(Session::Control).await?;
        client.batch_execute("SET synchronous_commit = off").await?;
        Ok(Self { client })
    }

    /// Foreign stamps after the one with this id. The first time, those of the last hour.
    pub(crate) async fn foreign_stamps(&self, after: Option<i64>) -> Result<Vec<ForeignStamps>, SourceError> {
        const NEW: &str = "
SELECT table_name, application_name, count(*), max(id) FROM lockstep.foreign_stamp
WHERE CASE WHEN $1::bigint IS NULL THEN noted_at > now() - interval '1 hour' ELSE id > $1 END
GROUP BY 1, 2 ORDER BY 1, 2";
        let rows = self.client.query(NEW, &[&after]).await?;
        Ok(rows
            .iter()
            .map(|row| ForeignStamps {
                table_name: row.get(0),
                application_name: row.get(1),
                transactions: row.get(2),
                last_id: row.get(3),
            })
            .collect())
    }

    /// How many tenancies wait to be announced, up to 100,000.
    pub(crate) async fn outbox_depth(&self) -> Result<i64, SourceError> {
        const DEPTH: &str = "SELECT count(*) FROM (SELECT 1 FROM lockstep.outbox LIMIT $1) o";
        Ok(self.client.query_one(DEPTH, &[&COUNTED_ENTRIES]).await?.get(0))
    }

    /// Keeps the newest 1,000 foreign stamps, and fences for an hour: whoever asked has long given up.
    pub(crate) async fn prune(&self) -> Result<(), SourceError> {
        const PRUNE: &str = "
DELETE FROM lockstep.foreign_stamp WHERE id <= (SELECT id FROM lockstep.foreign_stamp ORDER BY id DESC OFFSET 1000 LIMIT 1);
DELETE FROM lockstep.fence WHERE requested_at < now() - interval '1 hour'";
        Ok(self.client.batch_execute(PRUNE).await?)
    }
}
