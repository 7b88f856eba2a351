//! The daemons that run (`lockstep.instance`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::dsl::{IntervalDsl, sql};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamptz};
use diesel_async::RunQueryDsl;
use lockstep_core::instance::id as instance_id;
use lockstep_core::output::code_in;
use lockstep_core::traffic::Traffic;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::connect::{Control, Source};
use crate::error::SourceError;
use crate::tables::{UTC, instance, to_char};
use crate::tasks::{Ran, Task, open_to_note};

/// How often an instance says that it lives.
const EVERY: Duration = Duration::from_secs(10);
/// What keeps an instance from its work is told once it has for so long.
const TOLD_AFTER: Duration = Duration::from_secs(3);

/// What an instance says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct State {
    /// Whether all of its parts work.
    pub ready: bool,
    /// Why not, a line for each part that does not: without values of rows.
    pub why: Option<String>,
    /// Of a sequencer: whether it leads.
    pub leads: Option<bool>,
    /// What keeps it from its work: a worker that cannot begin, a sequencer that leads and numbers nothing.
    pub held_up: Option<HeldUp>,
    /// Of a worker: what it has shipped since it began.
    pub shipped: Option<Traffic>,
}

/// What keeps a program from its work, and for how long it has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeldUp {
    /// Without values of rows.
    pub why: String,
    /// In seconds.
    pub for_s: u64,
}

impl HeldUp {
    /// Whether ClickHouse holds numbers that the source never gave out (SRC-1).
    pub fn is_source_that_went_back(&self) -> bool {
        code_in(&self.why) == Some("LS-0510")
    }
}

/// What keeps this program from its work, shared with its heartbeat.
#[derive(Clone, Default, Debug)]
pub struct HoldUp(Arc<Mutex<Option<(Instant, String)>>>);

impl HoldUp {
    /// It is so, and why; it goes on where it was so before.
    pub fn set(&self, why: impl Into<String>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = held.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        *held = Some((since, why.into()));
    }

    /// It is over.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// As it is told: what has just begun may be over at once.
    pub fn told(&self) -> Option<HeldUp> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, why) = held.as_ref()?;
        (since.elapsed() >= TOLD_AFTER).then(|| HeldUp { why: why.clone(), for_s: since.elapsed().as_secs() })
    }
}

/// Says every ten seconds that this instance lives, and how it is.
pub struct Heartbeat<F> {
    id: Uuid,
    role: &'static str,
    state: F,
}

impl<F: Fn() -> State + Send + Sync + 'static> Heartbeat<F> {
    /// Of an instance that begins now. `role`: `sequencer` or `worker`.
    pub fn new(role: &'static str, state: F) -> Self {
        Self { id: instance_id(), role, state }
    }
}

impl<F: Fn() -> State + Send + Sync + 'static> Task for Heartbeat<F> {
    const NAME: &'static str = "heartbeat";
    const TIMEOUT: Duration = Duration::from_secs(20);
    type Session = Control;
    type Error = SourceError;

    /// A beat under way is finished, so that its connection is there to sign off.
    fn grace(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn open(&self, source: &Source) -> Result<Control, SourceError> {
        open_to_note(source).await
    }

    async fn run(&mut self, _: &Source, connection: &mut Control) -> Result<Ran, SourceError> {
        let state = serde_json::to_value((self.state)()).unwrap_or_default();
        let now = || sql::<Timestamptz>("clock_timestamp()");
        diesel::insert_into(instance::table)
            .values((
                instance::id.eq(self.id),
                instance::role.eq(self.role),
                instance::version.eq(env!("CARGO_PKG_VERSION")),
                instance::state.eq(&state),
            ))
            .on_conflict(instance::id)
            .do_update()
            .set((instance::seen_at.eq(now()), instance::state.eq(&state)))
            .execute(connection)
            .await?;
        let gone = instance::table.filter(instance::seen_at.lt(now() - 10.minutes()));
        diesel::delete(gone).execute(connection).await?;
        Ok(Ran::untold(EVERY))
    }

    /// Who stops in good order is not there any more; who is killed becomes silent.
    async fn sign_off(&mut self, connection: &mut Control) -> Result<(), SourceError> {
        diesel::delete(instance::table.find(self.id)).execute(connection).await?;
        Ok(())
    }
}

/// An instance, as it was last seen.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Serialize)]
pub struct Instance {
    /// Its id, which it has made up itself.
    pub id: Uuid,
    /// `sequencer` or `worker`.
    pub role: String,
    /// The version of the program.
    pub version: String,
    /// When it began, in UTC.
    pub started_at: String,
    /// When it last said that it lives, in UTC.
    pub seen_at: String,
    /// Whether that was within the last half minute.
    pub is_alive: bool,
    /// What it said of itself, as [`State`] has it.
    pub state: serde_json::Value,
}

impl Instance {
    /// What keeps it from its work, where it lives.
    pub fn held_up(&self) -> Option<HeldUp> {
        if self.is_alive { HeldUp::deserialize(&self.state["held_up"]).ok() } else { None }
    }

    /// The same in a sentence.
    pub fn trouble(&self) -> Option<String> {
        let HeldUp { why, for_s } = self.held_up()?;
        Some(format!("{} {} has done nothing for {for_s} s: {why}", self.role, self.id))
    }
}

/// All of them, by role, and in the order in which they began.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn all(control: &Control) -> Result<Vec<Instance>, SourceError> {
    let rows = instance::table
        .select((
            instance::id,
            instance::role,
            instance::version,
            to_char(instance::started_at.nullable(), UTC).assume_not_null(),
            to_char(instance::seen_at.nullable(), UTC).assume_not_null(),
            sql::<Bool>("seen_at > clock_timestamp() - interval '30 seconds'"),
            instance::state,
        ))
        .order((instance::role, instance::started_at, instance::id))
        .load(&mut &*control)
        .await?;
    Ok(rows)
}
