//! What tasks did: in this process's metrics, and in `lockstep.task` for everybody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Double, Nullable, Timestamptz};
use diesel::upsert::excluded;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use serde::Serialize;

use super::{Ran, Task};
use crate::connect::{Control, Session, Source};
use crate::error::SourceError;
use crate::tables::{UTC, coalesce, task, to_char};

const LAST_RUN: &str = "lockstep_task_last_run_timestamp_seconds";
const SECONDS: &str = "lockstep_task_seconds";
const DONE: &str = "lockstep_task_done_total";
const FAILURES: &str = "lockstep_task_failures_total";

/// How often statuses are written where a task did something or failed: one statement for all tasks of the process.
const WRITE_EVERY: Duration = Duration::from_secs(3);
/// How often they are written where nothing was to be done.
const IDLE_WRITE_EVERY: Duration = Duration::from_secs(20);
/// Characters of an error that are written.
const ERROR_CHARS: usize = 1000;

/// Tells the recorder what the names mean. Repeating it changes nothing.
pub(super) fn describe() {
    describe_gauge!(LAST_RUN, Unit::Seconds, "When a periodic task last ran to its end, since 1970");
    describe_histogram!(SECONDS, Unit::Seconds, "How long runs of a periodic task took");
    describe_counter!(DONE, Unit::Count, "What a periodic task did: rows searched, ranges filled, tenancies erased");
    describe_counter!(FAILURES, Unit::Count, "Runs of a periodic task that failed");
}

/// What is known of a task and not written yet.
#[derive(Clone, Default, Debug)]
struct Unwritten {
    /// When its last run ended that did not fail, and how long it took.
    ran: Option<(Instant, Duration)>,
    did: usize,
    /// When it last failed, and why.
    failed: Option<(Instant, String)>,
    /// What the last of these runs came to; none where there was none.
    last: Option<Last>,
}

/// What a run came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Last {
    Tried,
    Waited(&'static str),
}

impl Unwritten {
    fn tried() -> Self {
        Self { last: Some(Last::Tried), ..Self::default() }
    }

    fn add(&mut self, later: Self) {
        self.ran = later.ran.or(self.ran);
        self.did += later.did;
        self.failed = later.failed.or_else(|| self.failed.take());
        self.last = later.last.or(self.last);
    }

    const fn is_urgent(&self) -> bool {
        self.did > 0 || self.failed.is_some()
    }
}

type AllUnwritten = BTreeMap<String, Unwritten>;

/// What the tasks of one process did. Cheap to clone; all clones share it.
#[derive(Clone, Default)]
pub(super) struct Statuses(Arc<Mutex<AllUnwritten>>);

impl Statuses {
    /// A run has ended.
    pub(super) fn ran(&self, name: &str, took: Duration, did: usize) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        histogram!(SECONDS, "task" => name.to_owned()).record(took.as_secs_f64());
        gauge!(LAST_RUN, "task" => name.to_owned()).set(now.as_secs_f64());
        counter!(DONE, "task" => name.to_owned()).increment(did as u64);
        self.add(name, Unwritten { ran: Some((Instant::now(), took)), did, ..Unwritten::tried() });
    }

    /// A run has failed.
    pub(super) fn failed(&self, name: &str, took: Duration, error: String) {
        histogram!(SECONDS, "task" => name.to_owned()).record(took.as_secs_f64());
        counter!(FAILURES, "task" => name.to_owned()).increment(1);
        self.add(name, Unwritten { failed: Some((Instant::now(), error)), ..Unwritten::tried() });
    }

    /// It was not tried.
    pub(super) fn waits(&self, name: &str, why: &'static str) {
        self.add(name, Unwritten { last: Some(Last::Waited(why)), ..Unwritten::default() });
    }

    fn add(&self, name: &str, told: Unwritten) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().add(told);
    }

    /// Takes all that is unwritten, if some of it is urgent or `is_time` for the others too.
    fn take(&self, is_time: bool) -> AllUnwritten {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_time || all.values().any(Unwritten::is_urgent) { std::mem::take(&mut all) } else { AllUnwritten::new() }
    }

    fn put_back(&self, older: AllUnwritten) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, mut unwritten) in older {
            unwritten.add(all.remove(&name).unwrap_or_default());
            all.insert(name, unwritten);
        }
    }
}

/// A session to note things in that are noted again soon: none waits for the disk.
pub(crate) async fn open_to_note(source: &Source) -> Result<Control, SourceError> {
    let mut connection = source.connect_diesel(Session::Control).await?;
    connection.batch_execute("SET synchronous_commit = off").await?;
    Ok(connection)
}

/// Writes it down, as a task like the others.
pub(super) struct Writer {
    program: &'static str,
    statuses: Statuses,
    wrote: Option<Instant>,
}

impl Writer {
    pub(super) const fn new(program: &'static str, statuses: Statuses) -> Self {
        Self { program, statuses, wrote: None }
    }
}

impl Task for Writer {
    const NAME: &'static str = "status";
    const TIMEOUT: Duration = Duration::from_secs(30);
    type Session = Control;
    type Error = SourceError;

    async fn open(&self, source: &Source) -> Result<Control, SourceError> {
        open_to_note(source).await
    }

    async fn run(&mut self, _: &Source, connection: &mut Control) -> Result<Ran, SourceError> {
        let is_time = self.wrote.is_none_or(|wrote| wrote.elapsed() >= IDLE_WRITE_EVERY);
        let unwritten = self.statuses.take(is_time);
        if !unwritten.is_empty() {
            if let Err(error) = write(connection, self.program, &unwritten).await {
                self.statuses.put_back(unwritten);
                return Err(error);
            }
            self.wrote = Some(Instant::now());
        }
        Ok(Ran::untold(WRITE_EVERY))
    }
}

/// Where several processes do a task, the latest of them is what the row tells.
async fn write(connection: &mut Control, program: &str, unwritten: &AllUnwritten) -> Result<(), SourceError> {
    // By the server's clock: programs may run anywhere.
    let at = |at: Instant| {
        sql::<Nullable<Timestamptz>>("clock_timestamp() - make_interval(secs => ")
            .bind::<Double, _>(at.elapsed().as_secs_f64())
            .sql(")")
    };
    let rows: Vec<_> = unwritten
        .iter()
        .map(|(name, unwritten)| {
            let error = unwritten.failed.as_ref().map(|(_, error)| error.chars().take(ERROR_CHARS).collect::<String>());
            (
                task::program.eq(program),
                task::name.eq(name),
                unwritten.ran.map(|(ended, _)| task::last_run.eq(at(ended))),
                task::took_ms.eq(unwritten.ran.map(|(_, took)| i64::try_from(took.as_millis()).unwrap_or(i64::MAX))),
                task::did.eq(i64::try_from(unwritten.did).unwrap_or(i64::MAX)),
                unwritten.failed.as_ref().map(|(failed, _)| task::failed_at.eq(at(*failed))),
                task::error.eq(error),
                task::waits_for.eq(match unwritten.last {
                    Some(Last::Waited(why)) => Some(why),
                    Some(Last::Tried) | None => None,
                }),
            )
        })
        .collect();
    diesel::insert_into(task::table)
        .values(rows)
        .on_conflict((task::program, task::name))
        .do_update()
        .set((
            task::last_run.eq(coalesce(excluded(task::last_run), task::last_run)),
            task::took_ms.eq(coalesce(excluded(task::took_ms), task::took_ms)),
            task::did.eq(task::did + excluded(task::did)),
            task::failed_at.eq(coalesce(excluded(task::failed_at), task::failed_at)),
            task::error.eq(coalesce(excluded(task::error), task::error)),
            task::waits_for.eq(excluded(task::waits_for)),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

/// What a periodic task of a program did last.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Serialize)]
pub struct TaskStatus {
    /// `sequencer` or `worker`.
    pub program: String,
    /// The task's name.
    pub name: String,
    /// When a run last ended that did not fail, in UTC.
    pub last_run: Option<String>,
    /// How long that took.
    pub took_ms: Option<i64>,
    /// How many things all runs did.
    pub did: i64,
    /// When a run last failed, in UTC.
    pub failed_at: Option<String>,
    /// Why.
    pub error: Option<String>,
    /// Why it is not tried at the moment; none where it is.
    pub waits_for: Option<String>,
    /// No run has ended well since it failed, and it is tried again and again.
    pub is_failing: bool,
    /// No run has ended well since it failed, and it is not tried: nobody knows whether it would fail again.
    pub is_untried: bool,
}

impl TaskStatus {
    /// What is wrong with it, or was when it was last tried.
    pub fn trouble(&self) -> Option<String> {
        let [at, error, why] =
            [&self.failed_at, &self.error, &self.waits_for].map(|text| text.as_deref().unwrap_or("?"));
        let failed = format!("{} {} failed at {at}: {error}", self.program, self.name);
        if self.is_failing {
            Some(failed)
        } else {
            self.is_untried.then(|| format!("{failed}; not tried since: {why}"))
        }
    }
}

/// The periodic tasks of all programs, by program and name.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn statuses(connection: &Control) -> Result<Vec<TaskStatus>, SourceError> {
    let has_failed =
        || task::failed_at.is_not_null().and(task::last_run.is_null().or(task::last_run.lt(task::failed_at)));
    let rows = task::table
        .select((
            task::program,
            task::name,
            to_char(task::last_run, UTC),
            task::took_ms,
            task::did,
            to_char(task::failed_at, UTC),
            task::error,
            task::waits_for,
            has_failed().and(task::waits_for.is_null()).assume_not_null(),
            has_failed().and(task::waits_for.is_not_null()).assume_not_null(),
        ))
        .order((task::program, task::name))
        .load(&mut &*connection)
        .await?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(7);

    #[test]
    fn runs_with_nothing_to_do_wait_for_their_time_and_others_do_not() {
        let statuses = Statuses::default();
        statuses.ran("sweep", TOOK, 0);
        assert!(statuses.take(false).is_empty());
        assert_eq!(statuses.take(true).len(), 1);
        assert!(statuses.take(true).is_empty(), "it was taken");
        statuses.ran("sweep", TOOK, 0);
        statuses.failed("fill", TOOK, "why".to_owned());
        assert_eq!(statuses.take(false).len(), 2, "one statement for all of them");
    }

    #[test]
    fn what_could_not_be_written_is_written_with_what_came_meanwhile() {
        let statuses = Statuses::default();
        statuses.ran("sweep", TOOK / 2, 2);
        statuses.failed("sweep", TOOK, "first".to_owned());
        statuses.failed("fill", TOOK, "only".to_owned());
        let lost = statuses.take(false);
        statuses.ran("sweep", TOOK, 3);
        statuses.put_back(lost);
        let all = statuses.take(false);
        let (sweep, fill) = (&all["sweep"], &all["fill"]);
        assert_eq!((sweep.did, sweep.ran.map(|(_, took)| took)), (5, Some(TOOK)));
        assert_eq!(sweep.failed.as_ref().map(|(_, why)| why.as_str()), Some("first"), "a failure is not forgotten");
        assert!(fill.ran.is_none() && fill.failed.is_some());
    }

    #[test]
    fn what_a_task_waits_for_is_known_until_it_is_tried() {
        let statuses = Statuses::default();
        statuses.failed("sweep", TOOK, "why".to_owned());
        statuses.waits("sweep", "paused");
        let sweep = &statuses.take(false)["sweep"];
        assert!(sweep.last == Some(Last::Waited("paused")) && sweep.failed.is_some() && sweep.ran.is_none());
        statuses.waits("sweep", "paused");
        assert!(statuses.take(false).is_empty(), "nobody waits for that to be told");
        let lost = statuses.take(true);
        statuses.put_back(lost);
        assert_eq!(statuses.take(true)["sweep"].last, Some(Last::Waited("paused")), "no run came meanwhile");
        statuses.waits("sweep", "paused");
        statuses.ran("sweep", TOOK, 1);
        assert_eq!(statuses.take(false)["sweep"].last, Some(Last::Tried));
    }

    #[test]
    fn of_a_task_that_is_not_tried_it_is_said_what_was_wrong_and_why_nobody_knows_more() {
        let of = |is_failing: bool, is_untried: bool| TaskStatus {
            program: "worker".to_owned(),
            name: "sweep".to_owned(),
            last_run: None,
            took_ms: None,
            did: 0,
            failed_at: Some("then".to_owned()),
            error: Some("LS-0201: away".to_owned()),
            waits_for: is_untried.then(|| "paused".to_owned()),
            is_failing,
            is_untried,
        };
        let failed = "worker sweep failed at then: LS-0201: away";
        assert_eq!(of(true, false).trouble().as_deref(), Some(failed));
        assert_eq!(of(false, true).trouble(), Some(format!("{failed}; not tried since: paused")));
        assert_eq!(of(false, false).trouble(), None);
    }
}
