//! The connection on which rows are stamped, and its transactions.

use std::sync::Arc;

use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::stamp;
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::Client;

use super::facts::{self, SequenceFacts};
use super::fences::Fences;
use super::lanes::Lane;
use super::outbox::Enqueue;
use super::pending::Pending;
use super::touches::Touches;
use crate::error::SequencerError;

/// When the machine of a client vanishes, its locks are to be free within seconds: the server notices by these.
pub(crate) const NOTICE_LOST_CLIENTS: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 15000;";

/// A statement has a few shapes only, each with one good plan: planning it anew costs as much as running it. A bitmap scan
/// would look at all flagged rows to find the first few. The number of a row must not be handed out a second time after
/// a crash, so commits are durable whatever the database's default says (`off` alone loses commits).
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_bitmapscan = off; SET lock_timeout = '500ms'; SET idle_in_transaction_session_timeout = '30s'; SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';";

/// How long a table lock is waited for. Row locks are skipped, but somebody who alters a table must not stop the others.
const TABLE_LOCK_TIMEOUT: &str = "500ms";

/// How long the ordering lock is waited for: another pass is at most as long.
const ORDERING_LOCK_TIMEOUT: &str = "30s";

/// A connection with everything that is asked over it.
pub(crate) struct StampingSession {
    pub(crate) client: Client,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) touches: Touches,
    pub(crate) pending: Pending,
    pub(crate) enqueue: Enqueue,
    pub(crate) fences: Fences,
    begin: String,
}

impl StampingSession {
    /// Connects and looks at the source.
    pub(crate) async fn open(source: &Source, set: &Arc<MappingSet>) -> Result<Self, SequencerError> {
        let client = source.connect(Session::Stamping).await?;
        let settings = format!("{NOTICE_LOST_CLIENTS}{SETTINGS}");
        client.batch_execute(&settings).await.map_err(SourceError::from)?;
        let sequence = facts::sequence(&client).await?;
        let locks = facts::row_locks(&client, set).await?;
        Ok(Self {
            lanes: Lane::all(set, &locks),
            touches: Touches::new(set, &locks),
            pending: Pending::new(set),
            enqueue: Enqueue::new(set),
            fences: Fences::default(),
            begin: begin(&sequence),
            client,
        })
    }

    /// Begins a stamping transaction: from here to its end it holds the ordering lock (SEQ-1).
    pub(crate) async fn begin(&self) -> Result<(), SourceError> {
        Ok(self.client.batch_execute(&self.begin).await?)
    }

    /// Ends a stamping transaction.
    pub(crate) async fn commit(&self) -> Result<(), SourceError> {
        Ok(self.client.batch_execute("COMMIT").await?)
    }
}

/// READ COMMITTED, whatever the database's default: each statement must see what was committed before the ordering lock
/// was granted. The numbers that a session keeps for later (CACHE above 1) are dropped: they may be smaller than what
/// another sequencer has handed out since.
fn begin(sequence: &SequenceFacts) -> String {
    let [lock, pass_triggers] = stamp::open();
    let discard = if sequence.is_cached { "DISCARD SEQUENCES; " } else { "" };
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '{ORDERING_LOCK_TIMEOUT}'; {lock}; SET LOCAL lock_timeout = '{TABLE_LOCK_TIMEOUT}'; {discard}{pass_triggers}"
    )
}
