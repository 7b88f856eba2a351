//! What programs tell of themselves: what keeps them from their work, what fails in them, and which of them are not there.

use std::collections::BTreeMap;

use lockstep_core::SequenceId;
use lockstep_core::health::HeldUp;
use lockstep_core::output::{code_in, page_of};
use lockstep_schema::instances::{Instance, PutOff, Seen};
use lockstep_schema::tasks::TaskStatus;
use serde::Serialize;

const ROLES: [&str; 2] = ["sequencer", "worker"];

/// What mends a source that went back, and cursors that are ahead of it; until then nothing else does.
pub const REWIND: &str = "lockstep rewind";

/// What is wrong with a program, or with all of a role.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// None of the role runs, or none of the sequencers leads.
    Absent,
    /// One says nothing any more, and has not stopped in good order.
    Silent,
    /// Parts of it do not work.
    HeldUp,
    /// It puts messages off.
    PutsOff,
}

/// What is wrong with programs of a role.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct ProgramTrouble {
    /// In a word.
    pub kind: TroubleKind,
    /// `sequencer` or `worker`.
    pub role: &'static str,
    /// Whether it keeps something from arriving; else somebody should look.
    pub is_wrong: bool,
    /// In a sentence without its full stop.
    pub what: String,
    /// A command, or a sentence.
    pub remedy: String,
}

/// For what something waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitsFor {
    pub(crate) sequencer: bool,
    pub(crate) worker: bool,
}

impl WaitsFor {
    fn role(self, role: &str) -> bool {
        if role == "sequencer" { self.sequencer } else { self.worker }
    }
}

impl ProgramTrouble {
    fn new(kind: TroubleKind, role: &'static str, what: String, error: &str) -> Self {
        let remedy = match code_in(error) {
            _ if error.contains("LS-0510") || error.contains("LS-0420") => REWIND.to_owned(),
            Some("LS-0430") => "mend the table or its mapping, then lockstep quarantine retry".to_owned(),
            Some(code) => format!("see {}", page_of(code)),
            None => format!("see its log (lockstep-{role})"),
        };
        Self { kind, role, is_wrong: true, what, remedy }
    }

    /// None of a role has told of itself lately. A sequencer that stands by may be there: another holds the lock, and hangs.
    fn absent(role: &'static str, any_lives: bool, is_wrong: bool) -> Self {
        let (what, remedy) = if any_lives {
            let remedy = "end the session that holds the lock: docs/runbooks/LockstepNoLeader.md".to_owned();
            ("a sequencer stands by, and none that leads tells of itself".to_owned(), remedy)
        } else {
            (format!("no {role} tells of itself"), format!("start lockstep-{role}, or see its log"))
        };
        Self { kind: TroubleKind::Absent, role, is_wrong, what, remedy }
    }

    fn silent(role: &'static str, of: &Instance) -> Self {
        let what = format!("{role} {} tells nothing of itself since {}", of.id, of.seen_at);
        let remedy = "where it was not killed, see its log: it does not reach Postgres, or hangs".to_owned();
        Self { kind: TroubleKind::Silent, role, is_wrong: false, what, remedy }
    }

    /// Whether ClickHouse holds numbers that the source never gave out (SRC-1).
    pub fn is_source_that_went_back(&self) -> bool {
        self.remedy == REWIND
    }

    /// What is wrong, and what mends it where that is not said yet.
    pub fn told(&self) -> String {
        let Self { what, remedy, .. } = self;
        if what.contains(remedy.as_str()) { what.clone() } else { format!("{what}; {remedy}") }
    }
}

/// What is wrong with programs, of which these were seen. What several say is said once.
pub(crate) fn troubles(
    Seen { instances, lately }: &Seen,
    passed: SequenceId,
    waits_for: WaitsFor,
) -> Vec<ProgramTrouble> {
    let of_role = |role: &'static str| {
        let of = || instances.iter().filter(|instance| instance.role == role);
        let is_absent = !lately.contains(role);
        let absent =
            is_absent.then(|| ProgramTrouble::absent(role, of().any(|one| one.is_alive), waits_for.role(role)));
        let silent = of().filter(|one| !one.is_alive && !is_absent && waits_for.role(role));
        let silent = silent.map(|one| ProgramTrouble::silent(role, one));
        absent.into_iter().chain(kept(role, of(), passed)).chain(silent).collect::<Vec<_>>()
    };
    ROLES.into_iter().flat_map(of_role).collect()
}

/// What keeps these from their work, and what they put off that a destination has not passed.
fn kept<'a>(
    role: &'static str,
    instances: impl Iterator<Item = &'a Instance>,
    passed: SequenceId,
) -> Vec<ProgramTrouble> {
    let (mut held, mut put_off) = (BTreeMap::new(), BTreeMap::new());
    for instance in instances {
        if let Some(HeldUp { why, for_s }) = instance.held_up() {
            held.entry(why).or_insert_with(Vec::new).push((for_s, instance));
        }
        for PutOff { why, ago_s, .. } in instance.put_off(passed) {
            put_off.entry(why).or_insert_with(Vec::new).push((ago_s, instance));
        }
    }
    let who = |of: &[(u64, &Instance)], one: &str, many: &str| match of {
        [(_, alone)] => format!("{role} {} {one}", alone.id),
        all => format!("{} {role}s {many}", all.len()),
    };
    let held = held.iter().map(|(why, of)| {
        let longest = of.iter().map(|(for_s, _)| *for_s).max().unwrap_or_default();
        let what = format!("{} not been ready for {longest} s: {why}", who(of, "has", "have"));
        ProgramTrouble::new(TroubleKind::HeldUp, role, what, why)
    });
    let put_off = put_off.iter().map(|(why, of)| {
        let last = of.iter().map(|(ago_s, _)| *ago_s).min().unwrap_or_default();
        let what = format!("{} messages off, the last {last} s ago: {why}", who(of, "puts", "put"));
        ProgramTrouble::new(TroubleKind::PutsOff, role, what, why)
    });
    held.chain(put_off).collect()
}

/// What is wrong with programs while all are waited for, worst first, and then which of them run, in sentences.
pub(crate) fn sentences_of(seen: &Seen, tasks: &[TaskStatus], passed: SequenceId) -> (Vec<String>, Vec<String>) {
    let all = WaitsFor { sequencer: true, worker: true };
    let mut wrong: Vec<_> = troubles(seen, passed, all).iter().map(ProgramTrouble::told).collect();
    wrong.extend(tasks.iter().filter_map(TaskStatus::trouble));
    let running = |role: &str| match seen.instances.iter().filter(|of| of.is_alive && of.role == role).count() {
        0 => None,
        1 => Some(format!("one {role} runs")),
        more => Some(format!("{more} {role}s run")),
    };
    (wrong, ROLES.into_iter().filter_map(running).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    const ID: &str = "00000000-0000-0000-0000-000000000001";

    fn instance(role: &str, is_alive: bool, state: Value) -> Instance {
        Instance {
            id: Uuid::from_u128(1),
            role: role.to_owned(),
            version: String::new(),
            started_at: String::new(),
            seen_at: String::new(),
            is_alive,
            state,
        }
    }

    const ALL: WaitsFor = WaitsFor { sequencer: true, worker: true };

    /// These, where one of each of these roles was there lately.
    fn seen<const N: usize>(instances: [&Instance; N], lately: &[&str]) -> Seen {
        let lately = lately.iter().map(|role| (*role).to_owned()).collect();
        Seen { instances: instances.map(Clone::clone).into(), lately }
    }

    fn told<const N: usize>(instances: [&Instance; N], passed: i64) -> Vec<(String, String)> {
        let troubles = troubles(&seen(instances, &ROLES), SequenceId::new(passed), ALL);
        troubles.into_iter().map(|of| (of.what, of.remedy)).collect()
    }

    #[test]
    fn what_fails_is_said_before_what_runs() {
        let sweep = TaskStatus {
            program: "worker".to_owned(),
            name: "sweep".to_owned(),
            last_run: None,
            took_ms: None,
            did: 0,
            failed_at: Some("then".to_owned()),
            error: Some("LS-0201: away".to_owned()),
            waits_for: None,
            is_failing: true,
            is_untried: false,
        };
        let instances = ["sequencer", "worker", "worker"].map(|role| instance(role, true, Value::Null));
        let (wrong, running) = sentences_of(&seen(instances.each_ref(), &ROLES), &[sweep], SequenceId::BASE);
        assert_eq!(wrong, ["worker sweep failed at then: LS-0201: away"]);
        assert_eq!(running, ["one sequencer runs", "2 workers run"]);
        let (wrong, running) = sentences_of(&seen([], &[]), &[], SequenceId::BASE);
        assert!(
            wrong[0].contains("start lockstep-sequencer") && wrong[1].contains("start lockstep-worker"),
            "{wrong:?}"
        );
        assert!(running.is_empty(), "{running:?}");
    }

    #[test]
    fn what_keeps_programs_from_their_work_is_said_once_for_all_that_say_it() {
        let state = |why: &str, for_s: i32| json!({ "why": why, "held_up": { "why": why, "for_s": for_s } });
        let sequencer = instance("sequencer", true, state("source: LS-0510: ahead", 42));
        let what = format!("sequencer {ID} has not been ready for 42 s: source: LS-0510: ahead");
        assert_eq!(told([&sequencer], 0), [(what, REWIND.to_owned())]);
        let silent = told([&instance("sequencer", false, state("old", 42))], 0);
        assert!(
            silent.len() == 1 && silent[0].0.contains("tells nothing of itself"),
            "what it said is old: {silent:?}"
        );
        let away = "destination: LS-0201: away";
        let workers = [7, 9].map(|for_s| instance("worker", true, state(away, for_s)));
        let what = format!("2 workers have not been ready for 9 s: {away}");
        assert_eq!(told(workers.each_ref(), 0), [(what, format!("see {}", page_of("LS-0201")))]);
    }

    #[test]
    fn what_is_put_off_is_told_until_the_destination_has_passed_it() {
        let put_off = |why: &str| json!({ "why": why, "through": 20, "ago_s": 12 });
        let state =
            json!({ "held_up": null, "put_off": [put_off("users: LS-0420: ahead"), put_off("teams: LS-0430: many")] });
        let worker = instance("worker", true, state);
        let many = format!("worker {ID} puts messages off, the last 12 s ago: teams: LS-0430: many");
        let ahead = format!("worker {ID} puts messages off, the last 12 s ago: users: LS-0420: ahead");
        let retry = "mend the table or its mapping, then lockstep quarantine retry".to_owned();
        assert_eq!(told([&worker], 19), [(many, retry), (ahead, REWIND.to_owned())]);
        assert!(told([&worker], 20).is_empty());
        assert!(told([&worker, &worker], 19)[1].0.starts_with("2 workers put messages off"));
    }

    #[test]
    fn whoever_is_not_there_is_wrong_where_something_waits_for_it() {
        let sequencer = instance("sequencer", true, Value::Null);
        let waits_for = WaitsFor { sequencer: true, worker: false };
        let found = troubles(&seen([&sequencer], &[]), SequenceId::BASE, waits_for);
        assert!(
            found[0].is_wrong && found[0].what.starts_with("a sequencer stands by, and none that leads"),
            "{found:?}"
        );
        assert!(!found[1].is_wrong && found[1].what == "no worker tells of itself", "{found:?}");
        assert!(
            troubles(&seen([&sequencer], &ROLES), SequenceId::BASE, waits_for).is_empty(),
            "one has led, and one worked, lately"
        );
        let cut_off = instance("worker", false, Value::Null);
        let found = troubles(&seen([&cut_off], &ROLES), SequenceId::BASE, ALL);
        assert!(found.len() == 1 && found[0].kind == TroubleKind::Silent && !found[0].is_wrong, "{found:?}");
        assert!(troubles(&seen([&cut_off], &ROLES), SequenceId::BASE, waits_for).is_empty(), "nothing waits");
    }
}
