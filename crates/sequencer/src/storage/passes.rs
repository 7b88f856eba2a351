//! The connection that looks into the inbox and makes passes.

use std::time::Duration;

use futures_util::future::try_join;
use lockstep_core::SequenceId;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::inbox;
use lockstep_schema::definitions::{CAPTURED, Known};
use lockstep_schema::identity::FLOORS;
use lockstep_schema::locks::ORDERING_LOCK;
use lockstep_schema::pauses::SEQUENCER_IS_PAUSED;
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::types::Oid;
use tokio_postgres::{Client, Row};

use super::query::Query;
use crate::error::SequencerError;
use crate::plan::intake::{PASS_LINES, Scope, Unfinished};
use crate::plan::seen::Seen;

/// A sequencer that hangs must be replaced within seconds: the server notices by these.
pub(crate) const NOTICE_LOST_CLIENTS: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 15000;";

/// A statement has a few shapes only, each with one good plan: planning it anew costs as much as running it. Lines are read
/// in the order in which they lie, by one process: starting others costs more than a look. A number must not be handed out a
/// second time after a crash, so commits are durable whatever the database's default says (`off` alone loses commits).
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = on; SET synchronize_seqscans = off; SET max_parallel_workers_per_gather = 0; SET statement_timeout = '60s'; SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '30s'; SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';";

/// What a look found.
pub(crate) struct Looked {
    pub(crate) now: Seen,
    /// Transactions with lines, and how many.
    pub(crate) lines: Vec<(i64, i64)>,
    pub(crate) fences: Vec<i64>,
    pub(crate) paused: bool,
    pub(crate) first_expansion: Option<i64>,
    /// Whether a line is about a tenancy.
    pub(crate) about_tenancies: bool,
    /// See [`inbox::WRITTEN`].
    pub(crate) written: i64,
    /// How long ago the oldest of these transactions was committed, where Postgres knows.
    pub(crate) committed_ago: Option<Duration>,
}

/// The newest row of `lockstep.pass`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LastPass {
    pub(crate) id: i64,
    pub(crate) last_sequence: SequenceId,
    pub(crate) consumed: Seen,
    pub(crate) unfinished: Vec<Unfinished>,
}

/// Where numbers stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    /// The last one of the sequence.
    pub(crate) handed_out: i64,
    /// The last one for which there is a partition.
    pub(crate) partitions_to: i64,
    /// The highest that a change or a fill has.
    pub(crate) highest: i64,
}

/// What became of some lines.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Numbered {
    pub(crate) last: Option<i64>,
    pub(crate) changes: i64,
    pub(crate) expansions: i64,
    /// Targets that are not numbered.
    pub(crate) others: Vec<i32>,
    /// Of a share: lines, and the position of the last.
    pub(crate) share: (i64, Option<String>),
}

/// A connection with everything that is asked over it.
pub(crate) struct PassSession {
    pub(crate) client: Client,
    /// What is captured as this program knows it.
    captured: String,
    look: Query,
    last: Query,
    written: Query,
    number_new: Query,
    number_share: [Query; 2],
    bounds: [Query; 2],
    note: [Query; 3],
    note_share: [[Query; 3]; 2],
    insert: Query,
}

impl PassSession {
    /// Connects and looks whether Lockstep's own tables are there.
    pub(crate) async fn open(source: &Source, set: &MappingSet) -> Result<Self, SequencerError> {
        let client = source.connect(Session::Pass).await?;
        client.batch_execute(&format!("{NOTICE_LOST_CLIENTS}{SETTINGS}")).await.map_err(SourceError::from)?;
        check_sequence(&client).await?;
        let commit_times = has_commit_times(&client).await?;
        Ok(Self {
            client,
            captured: Known::new(set.iter()).captured,
            look: Query::new(inbox::look(SEQUENCER_IS_PAUSED, commit_times)),
            last: Query::new(last()),
            written: Query::new(format!("SELECT {}", inbox::WRITTEN)),
            number_new: Query::new(inbox::number_new(set)),
            number_share: [0, 1].map(|inbox| Query::new(inbox::number_share(set, inbox))),
            bounds: [0, 1].map(|inbox| Query::new(inbox::bounds_of_transaction(inbox))),
            note: inbox::note_tenancies().map(Query::new),
            note_share: [0, 1].map(|inbox| inbox::note_tenancies_of_transaction(inbox).map(Query::new)),
            insert: Query::new(INSERT),
        })
    }

    pub(crate) async fn look(&self, before: &Seen, scope: &Scope) -> Result<Looked, SourceError> {
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&before.xmax, &before.running, &PASS_LINES, &scope.up_to, &scope.large];
        let row = self.client.query_one(self.look.on(&self.client).await?, &parameters).await?;
        let (xids, lines): (Vec<i64>, Vec<i64>) = (row.try_get(1)?, row.try_get(2)?);
        Ok(Looked {
            now: seen(&row, 0)?,
            lines: xids.into_iter().zip(lines).collect(),
            fences: row.try_get(3)?,
            paused: row.try_get(4)?,
            first_expansion: row.try_get(5)?,
            about_tenancies: row.try_get(6)?,
            written: row.try_get(7)?,
            committed_ago: row.try_get::<_, Option<f64>>(8)?.map(|ago| Duration::from_secs_f64(ago.max(0.0))),
        })
    }

    /// How far the server's log is written: while that stands still, nothing was committed. A fraction of a look.
    pub(crate) async fn written(&self) -> Result<i64, SourceError> {
        Ok(self.client.query_one(self.written.on(&self.client).await?, &[]).await?.try_get(0)?)
    }

    /// Begins a transaction: from here to its end it holds the ordering lock (SEQ-1). READ COMMITTED: each statement must
    /// see what was committed before the lock was granted.
    pub(crate) async fn begin(&self) -> Result<(), SourceError> {
        let begin =
            format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock({ORDERING_LOCK})");
        Ok(self.client.batch_execute(&begin).await?)
    }

    /// The same, and the newest pass as it is once the lock is granted: in one round trip.
    pub(crate) async fn begin_and_read_last_pass(&self) -> Result<(LastPass, Numbers), SequencerError> {
        // Prepared before, so that both are sent at once, in this order.
        self.last.on(&self.client).await.map_err(SourceError::from)?;
        let begin = async { Ok(self.begin().await?) };
        let ((), last) = try_join(begin, self.last_pass()).await?;
        Ok(last)
    }

    /// Ends it: `COMMIT` or `ROLLBACK`.
    pub(crate) async fn end(&self, how: &str) -> Result<(), SourceError> {
        Ok(self.client.batch_execute(how).await?)
    }

    /// The newest pass, and where numbers stand. Refused where something else is captured than this program knows: lines that
    /// it would not know would be lost.
    pub(crate) async fn last_pass(&self) -> Result<(LastPass, Numbers), SequencerError> {
        self.read_last_pass().await?.ok_or(SequencerError::OtherDefinitions)
    }

    async fn read_last_pass(&self) -> Result<Option<(LastPass, Numbers)>, SourceError> {
        let row = self.client.query_one(self.last.on(&self.client).await?, &[]).await?;
        if row.try_get::<_, Option<&str>>(7)?.unwrap_or_default() != self.captured {
            return Ok(None);
        }
        let unfinished: serde_json::Value = row.try_get(3)?;
        let pass = LastPass {
            id: row.try_get(0)?,
            last_sequence: SequenceId::new(row.try_get(1)?),
            consumed: seen(&row, 2)?,
            unfinished: serde_json::from_value(unfinished)
                .map_err(|error| SourceError::Unexpected(error.to_string()))?,
        };
        let numbers = Numbers { handed_out: row.try_get(4)?, partitions_to: row.try_get(5)?, highest: row.try_get(6)? };
        Ok(Some((pass, numbers)))
    }

    /// Begins anew with every line that is there, and notes in which server and database its transactions are counted.
    pub(crate) async fn begin_anew(&self) -> Result<LastPass, SequencerError> {
        const NOTE: &str = "
INSERT INTO lockstep.origin (system_identifier, database_oid)
SELECT s.system_identifier::text, d.oid FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()
ON CONFLICT (singleton) DO UPDATE SET system_identifier = EXCLUDED.system_identifier, database_oid = EXCLUDED.database_oid";
        self.begin().await?;
        let (last, _) = self.last_pass().await?;
        let id = self.insert(last.last_sequence, &Seen::NOTHING, &[]).await?;
        self.client.execute(NOTE, &[]).await.map_err(SourceError::from)?;
        self.end("COMMIT").await?;
        Ok(LastPass { id, consumed: Seen::NOTHING, unfinished: Vec::new(), ..last })
    }

    /// Where the transactions of the inbox are counted: here, elsewhere, or nobody has noted it yet.
    pub(crate) async fn is_at_home(&self) -> Result<Option<bool>, SourceError> {
        const HOME: &str = "
SELECT o.system_identifier = s.system_identifier::text AND o.database_oid = d.oid
FROM lockstep.origin o, pg_control_system() s, pg_database d WHERE d.datname = current_database()";
        let row = self.client.query_opt(HOME, &[]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Moves the sequence to this number, and makes partitions up to it.
    pub(crate) async fn extend(&self, up_to: i64, sequence_is_behind: bool) -> Result<(), SourceError> {
        if sequence_is_behind {
            self.client.execute("SELECT setval('lockstep.sequence', $1)", &[&up_to]).await?;
        }
        self.client.execute("SELECT lockstep.extend_change($1)", &[&up_to]).await?;
        Ok(())
    }

    /// Writes down where the tenancies are that new lines are about. Before these are numbered: who a row of a place belonged
    /// to must be known also where that tenancy came and went since the last pass.
    pub(crate) async fn note_tenancies(&self, before: &Seen, up_to: &Seen) -> Result<(), SourceError> {
        for note in &self.note {
            self.client
                .execute(note.on(&self.client).await?, &[&before.xmax, &before.running, &up_to.xmax, &up_to.running])
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn number_new(&self, before: &Seen, up_to: &Seen, large: &[i64]) -> Result<Numbered, SourceError> {
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&before.xmax, &before.running, &up_to.xmax, &up_to.running, &large];
        numbered(&self.client.query_one(self.number_new.on(&self.client).await?, &parameters).await?)
    }

    /// Numbers the next `lines` of a large transaction; returns also what is left of it. `head` is the last number so far.
    pub(crate) async fn number_share(
        &self,
        of: &Unfinished,
        lines: i64,
        head: SequenceId,
    ) -> Result<(Numbered, Option<Unfinished>), SourceError> {
        // Until the pass ends it stays the file that it is.
        self.client.batch_execute(&inbox::keep_file(of.inbox)).await?;
        let file: Oid = self.client.query_one(&inbox::file_of(of.inbox), &[]).await?.try_get(0)?;
        let mut of = of.clone();
        if of.file != file {
            let sql = &self.bounds[of.inbox];
            let row = self.client.query_one(sql.on(&self.client).await?, &[&of.xid]).await?;
            let (Some(after), Some(until)) = (row.try_get(0)?, row.try_get(1)?) else {
                return Ok((Numbered::default(), None));
            };
            of = Unfinished { file, after, until, since: head.get(), ..of };
            if row.try_get(2)? {
                for note in &self.note_share[of.inbox] {
                    self.client.execute(note.on(&self.client).await?, &[&of.xid]).await?;
                }
            }
        }
        let sql = self.number_share[of.inbox].on(&self.client).await?;
        let numbered =
            numbered(&self.client.query_one(sql, &[&of.xid, &of.after, &lines, &of.until, &of.since]).await?)?;
        let (taken, last) = numbered.share.clone();
        let left = last.filter(|last| taken >= lines && *last != of.until).map(|after| Unfinished { after, ..of });
        Ok((numbered, left))
    }

    /// Has mappings filled again whose changes nobody can name.
    pub(crate) async fn request_refills(&self, mappings: &[&str]) -> Result<(), SourceError> {
        const REQUEST: &str = "INSERT INTO lockstep.refill (mapping_name, reason) SELECT m, 'rows changed that could not be told' FROM unnest($1::text[]) m ON CONFLICT (mapping_name) DO NOTHING";
        self.client.execute(REQUEST, &[&mappings]).await?;
        Ok(())
    }

    /// Has tenancies written down that came, went or moved unseen.
    pub(crate) async fn find_tenancies(&self) -> Result<(), SourceError> {
        Ok(self.client.batch_execute(&format!("BEGIN; {}; COMMIT", inbox::find_tenancies().join(";\n"))).await?)
    }

    /// The last expansion that is there.
    pub(crate) async fn last_expansion(&self) -> Result<Option<i64>, SourceError> {
        Ok(self.client.query_one("SELECT max(id) FROM lockstep.expansion", &[]).await?.try_get(0)?)
    }

    /// Writes down a pass; returns its number.
    pub(crate) async fn insert(
        &self,
        last_sequence: SequenceId,
        consumed: &Seen,
        unfinished: &[Unfinished],
    ) -> Result<i64, SourceError> {
        let unfinished = serde_json::to_value(unfinished).unwrap_or_default();
        let row = self
            .client
            .query_one(self.insert.on(&self.client).await?, &[&last_sequence.get(), &consumed.to_string(), &unfinished])
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Writes down a pass and commits, in one round trip. Where the first fails, the server makes a rollback of the second.
    pub(crate) async fn insert_and_commit(
        &self,
        last_sequence: SequenceId,
        consumed: &Seen,
        unfinished: &[Unfinished],
    ) -> Result<i64, SourceError> {
        self.insert.on(&self.client).await?;
        let (id, ()) = try_join(self.insert(last_sequence, consumed, unfinished), self.end("COMMIT")).await?;
        Ok(id)
    }

    pub(crate) async fn answer(&self, fences: &[i64], head: SequenceId) -> Result<(), SourceError> {
        const ANSWER: &str = "UPDATE lockstep.fence SET sequence = $2 WHERE id = ANY($1)";
        self.client.execute(ANSWER, &[&fences, &head.get()]).await?;
        Ok(())
    }
}

/// Whether Postgres notes when transactions are committed. It does from its start on, or does not.
async fn has_commit_times(client: &Client) -> Result<bool, SourceError> {
    const SETTING: &str = "SELECT current_setting('track_commit_timestamp')::boolean";
    Ok(client.query_one(SETTING, &[]).await?.try_get(0)?)
}

fn last() -> String {
    format!(
        "SELECT p.id, p.last_sequence, p.consumed::text, p.unfinished,
  (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM lockstep.sequence),
  COALESCE((SELECT max(end_sequence) - 1 FROM lockstep.change_partition), 0), GREATEST(p.last_sequence, {FLOORS}), {CAPTURED}
FROM lockstep.pass p ORDER BY p.id DESC LIMIT 1"
    )
}

const INSERT: &str = "INSERT INTO lockstep.pass (last_sequence, consumed, unfinished) VALUES ($1, $2::text::pg_snapshot, $3) RETURNING id";

fn seen(row: &Row, column: usize) -> Result<Seen, SourceError> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(SourceError::Unexpected)
}

fn numbered(row: &Row) -> Result<Numbered, SourceError> {
    Ok(Numbered {
        last: row.try_get(0)?,
        changes: row.try_get(1)?,
        expansions: row.try_get(2)?,
        others: row.try_get(3)?,
        share: (row.try_get(4)?, row.try_get(5)?),
    })
}

/// Whether Lockstep's own tables are there, and whether the sequence's numbers only grow.
async fn check_sequence(client: &Client) -> Result<(), SequencerError> {
    const SEQUENCE: &str = "
SELECT s.increment_by, s.cycle, s.cache_size, to_regclass('lockstep.erasure') IS NOT NULL
FROM pg_sequences s WHERE s.schemaname = 'lockstep' AND s.sequencename = 'sequence'";
    let row = client.query_opt(SEQUENCE, &[]).await.map_err(SourceError::from)?;
    let row = row.filter(|row| row.get(3)).ok_or(SequencerError::NotMigrated)?;
    if row.get::<_, i64>(0) <= 0 {
        return Err(SequencerError::Sequence("its increment is negative"));
    }
    if row.get(1) {
        return Err(SequencerError::Sequence("it starts again when it reaches its end (CYCLE)"));
    }
    if row.get::<_, i64>(2) > 1 {
        return Err(SequencerError::Sequence("each session takes several numbers at once (CACHE)"));
    }
    Ok(())
}
