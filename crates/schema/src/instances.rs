//! The daemons that run (`lockstep.instance`).

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::dsl::{IntervalDsl, sql};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Jsonb, Timestamptz};
use diesel_async::RunQueryDsl;
use lockstep_core::SequenceId;
use lockstep_core::health::{Health, HeldUp};
use lockstep_core::instance::id as instance_id;
use lockstep_core::traffic::Traffic;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::connect::{Control, Source};
use crate::error::SourceError;
use crate::tables::{UTC, instance, to_char};
use crate::tasks::{Ran, Task, open_to_note};

/// How often an instance says that it lives.
const EVERY: Duration = Duration::from_secs(10);

/// What an instance says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct State {
    /// Whether all of its parts work.
    pub ready: bool,
    /// Why not, a line for each part that does not: without values of rows.
    pub why: Option<String>,
    /// Of a sequencer: whether it leads.
    pub leads: Option<bool>,
    /// What keeps it from its work, where it has for some seconds.
    pub held_up: Option<HeldUp>,
    /// Of a worker: the messages that it put off again, by what kept them.
    pub put_off: Vec<PutOff>,
    /// Of a worker: what it has shipped since it began.
    pub shipped: Option<Traffic>,
}

impl State {
    /// As its health has it.
    pub fn of(health: &Health) -> Self {
        let why = health.report().err();
        Self { ready: why.is_none(), why, leads: None, held_up: health.held_up(), put_off: Vec::new(), shipped: None }
    }
}

/// Messages that a worker could not do and put off, not for the first time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PutOff {
    /// Why. Without values of rows.
    pub why: String,
    /// The last number that they are about: once the destination has passed it, what kept them is over.
    pub through: i64,
    /// How long ago, in seconds.
    pub ago_s: u64,
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

    /// Who stops in good order is not there any more, but has been lately; who is killed becomes silent.
    async fn sign_off(&mut self, connection: &mut Control) -> Result<(), SourceError> {
        let stopped = sql::<Jsonb>(r#"state || '{"stopped": true}'"#);
        let set = (instance::seen_at.eq(sql::<Timestamptz>("clock_timestamp()")), instance::state.eq(stopped));
        diesel::update(instance::table.find(self.id)).set(set).execute(connection).await?;
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

    /// What it puts off, where it lives, and the destination has not passed that.
    pub fn put_off(&self, passed: SequenceId) -> Vec<PutOff> {
        let mut all =
            if self.is_alive { Vec::deserialize(&self.state["put_off"]).unwrap_or_default() } else { Vec::new() };
        all.retain(|put_off: &PutOff| put_off.through > passed.get());
        all
    }
}

/// Who was seen in the last ten minutes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Those that have not stopped in good order, by role, and in the order in which they began.
    pub instances: Vec<Instance>,
    /// The roles of which one lived within the last half minute, also where it has stopped since: of sequencers one that led.
    pub lately: BTreeSet<String>,
}

/// Looks at all of them.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn seen(control: &Control) -> Result<Seen, SourceError> {
    let mut instances: Vec<Instance> = instance::table
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
    let at_work = |one: &&Instance| one.is_alive && (one.role != "sequencer" || one.state["leads"] == true);
    let lately = instances.iter().filter(at_work).map(|one| one.role.clone()).collect();
    instances.retain(|one| one.state["stopped"].is_null());
    Ok(Seen { instances, lately })
}
