//! Working off expansions: see [`lockstep_mappings::postgres::expand`].

use std::collections::BTreeSet;
use std::sync::Arc;

use lockstep_core::failpoint;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::{Target, expand, inbox};
use lockstep_schema::definitions::Known;
use lockstep_schema::{Session, Source, SourceError, SqlStateKind};
use tokio_postgres::Client;

/// Expansions of one transaction.
const AT_ONCE: i64 = 500;
/// All rows of a tenancy may be many millions. Nobody waits for them.
const SETTINGS: &str = "SET statement_timeout = '1h'; SET idle_in_transaction_session_timeout = '10min'; SET enable_seqscan = off; SET jit = off";

/// Whether those of shares may be worked off: no share is left, or they have waited long enough.
const MAY_TAKE_SHARES: &str = "
SELECT (SELECT unfinished = '[]' FROM lockstep.pass ORDER BY id DESC LIMIT 1)
  OR (SELECT requested_at < now() - interval '5 minutes' FROM lockstep.expansion ORDER BY id LIMIT 1)";
/// The next expansions that nobody else works at, but for those of shares. These come first: what is searched late is found
/// together with lines that wait for their own number.
const NEXT: &str =
    "SELECT id, target FROM lockstep.expansion WHERE NOT of_share ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED";
/// The next of shares.
const NEXT_OF_SHARES: &str = "SELECT id, target FROM lockstep.expansion ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED";

/// A connection for expansions.
pub(crate) struct ExpansionSession {
    client: Client,
    set: Arc<MappingSet>,
    known: Known,
}

impl ExpansionSession {
    pub(crate) async fn open(source: &Source, set: Arc<MappingSet>) -> Result<Self, SourceError> {
        let client = source.connect(Session::Control).await?;
        client.batch_execute(SETTINGS).await?;
        let known = Known::new(set.iter());
        Ok(Self { client, set, known })
    }

    /// Works off some of them, in one transaction: either their rows have lines, or they are still there. Returns how many.
    ///
    /// A mapping whose statement fails does not stop the others: it is filled again when it has been mended.
    pub(crate) async fn work_off(&self) -> Result<usize, SourceError> {
        self.client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
        let mut rows = self.client.query(NEXT, &[&AT_ONCE]).await?;
        if rows.is_empty()
            && self.client.query_one(MAY_TAKE_SHARES, &[]).await?.try_get::<_, Option<bool>>(0)? == Some(true)
        {
            rows = self.client.query(NEXT_OF_SHARES, &[&AT_ONCE]).await?;
        }
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let targets: BTreeSet<i32> = rows.iter().map(|row| row.get(1)).collect();
        // Where something else is captured than this program knows, others work them off.
        if ids.is_empty() || !self.known.are_captured(&self.client).await? {
            self.client.batch_execute("ROLLBACK").await?;
            return Ok(0);
        }
        let xid: i64 = self.client.query_one("SELECT txid_current()", &[]).await?.try_get(0)?;
        let inbox = inbox::inbox_of(xid);
        for expand in expand::statements(&self.set, inbox).iter().filter(|expand| targets.contains(&expand.target)) {
            self.client.batch_execute("SAVEPOINT expand").await?;
            match self.client.execute(&expand.sql, &[&ids]).await.map_err(SourceError::from) {
                Ok(_) => self.client.batch_execute("RELEASE expand").await?,
                Err(error) if error.kind().is_some_and(SqlStateKind::is_of_statement) => {
                    let mapping = &expand.mapping.name;
                    tracing::error!(%mapping, %error, "LS-0504: rows cannot be searched; the mapping is filled again once it fits");
                    self.client.batch_execute("ROLLBACK TO expand").await?;
                    let line = format!("INSERT INTO lockstep.{} (target) VALUES ($1)", inbox::INBOXES[inbox]);
                    self.client.execute(&line, &[&Target::refill(expand.mapping).id()]).await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.client.execute("DELETE FROM lockstep.expansion WHERE id = ANY($1)", &[&ids]).await?;
        failpoint!("sequencer::expansion_commit::before", return Err(SourceError::Timeout(std::time::Duration::ZERO)));
        self.client.batch_execute("COMMIT").await?;
        failpoint!("sequencer::expansion_commit::after", return Err(SourceError::Timeout(std::time::Duration::ZERO)));
        Ok(ids.len())
    }
}
