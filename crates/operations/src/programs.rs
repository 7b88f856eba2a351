//! What programs tell of themselves: what keeps them from their work, what fails in them, and which of them are not there.

use std::collections::BTreeMap;

use lockstep_core::SequenceId;
use lockstep_core::output::{code_in, page_of};
use lockstep_schema::instances::Instance;
use lockstep_schema::tasks::TaskStatus;
use serde::Serialize;

const ROLES: [&str; 2] = ["sequencer", "worker"];

/// What mends a source that went back, and cursors that are ahead of it; until then nothing else does.
pub const REWIND: &str = "lockstep rewind";

/// What is wrong with programs of a role.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct ProgramTrouble {
    /// `sequencer` or `worker`.
    pub role: &'static str,
    /// None of them runs.
    pub is_absent: bool,
    /// In a sentence without its full stop.
    pub what: String,
    /// A command, or a sentence.
    pub remedy: String,
}

impl ProgramTrouble {
    fn new(role: &'static str, what: String, error: &str) -> Self {
        let remedy = match code_in(error) {
            _ if error.contains("LS-0510") || error.contains("LS-0420") => REWIND.to_owned(),
            Some("LS-0430" | "LS-0431") => "lockstep quarantine list".to_owned(),
            Some(code) => format!("see {}", page_of(code)),
            None => format!("see its log (lockstep-{role})"),
        };
        Self { role, is_absent: false, what, remedy }
    }

    fn absent(role: &'static str) -> Self {
        let (what, remedy) = (format!("no {role} tells of itself"), format!("start lockstep-{role}, or see its log"));
        Self { role, is_absent: true, what, remedy }
    }

    /// Whether ClickHouse holds numbers that the source never gave out (SRC-1).
    pub fn is_source_that_went_back(&self) -> bool {
        self.remedy == REWIND
    }
}

/// The roles of which none lives.
pub(crate) fn absent(instances: &[Instance]) -> impl Iterator<Item = ProgramTrouble> {
    let is_absent = |role: &&str| !instances.iter().any(|instance| instance.is_alive && instance.role == **role);
    ROLES.into_iter().filter(is_absent).map(ProgramTrouble::absent)
}

/// What keeps those that live from their work, and what they put off that a destination has not passed. What several say is said once.
pub(crate) fn troubles(instances: &[Instance], passed: SequenceId) -> Vec<ProgramTrouble> {
    let of_role = |role: &'static str| {
        let mut held: BTreeMap<String, Vec<(u64, &Instance)>> = BTreeMap::new();
        let (mut troubles, mut put_offs) = (Vec::new(), Vec::new());
        for instance in instances.iter().filter(|instance| instance.role == role) {
            if let Some(held_up) = instance.held_up() {
                held.entry(held_up.why).or_default().push((held_up.for_s, instance));
            }
            if let Some(put_off) = instance.put_off(passed) {
                let (id, why) = (instance.id, &put_off.why);
                let what = format!("worker {id} puts messages off, the last {} s ago: {why}", put_off.ago_s);
                put_offs.push(ProgramTrouble::new(role, what, why));
            }
        }
        for (why, of) in held {
            let for_s = of.iter().map(|(for_s, _)| *for_s).max().unwrap_or_default();
            let who = match of.as_slice() {
                [(_, one)] => format!("{role} {} has", one.id),
                many => format!("{} {role}s have", many.len()),
            };
            troubles.push(ProgramTrouble::new(role, format!("{who} not been ready for {for_s} s: {why}"), &why));
        }
        troubles.extend(put_offs);
        troubles
    };
    ROLES.into_iter().flat_map(of_role).collect()
}

/// What is wrong with programs, worst first, and then which of them run, in sentences.
pub(crate) fn sentences_of(
    instances: &[Instance],
    tasks: &[TaskStatus],
    passed: SequenceId,
) -> (Vec<String>, Vec<String>) {
    let mut wrong: Vec<_> = absent(instances).map(|of| format!("{}: {}", of.what, of.remedy)).collect();
    wrong.extend(troubles(instances, passed).into_iter().map(|of| of.what));
    wrong.extend(tasks.iter().filter_map(TaskStatus::trouble));
    let running = |role: &str| match instances.iter().filter(|of| of.is_alive && of.role == role).count() {
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

    fn told(instances: &[Instance], passed: i64) -> Vec<(String, String)> {
        troubles(instances, SequenceId::new(passed)).into_iter().map(|of| (of.what, of.remedy)).collect()
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
        let (wrong, running) = sentences_of(&instances, &[sweep], SequenceId::BASE);
        assert_eq!(wrong, ["worker sweep failed at then: LS-0201: away"]);
        assert_eq!(running, ["one sequencer runs", "2 workers run"]);
        let (wrong, running) = sentences_of(&[instance("worker", false, Value::Null)], &[], SequenceId::BASE);
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
        assert_eq!(told(&[sequencer], 0), [(what, REWIND.to_owned())]);
        assert!(told(&[instance("sequencer", false, state("old", 42))], 0).is_empty(), "what it said is old");
        let away = "destination: LS-0201: away";
        let workers = [7, 9].map(|for_s| instance("worker", true, state(away, for_s)));
        let what = format!("2 workers have not been ready for 9 s: {away}");
        assert_eq!(told(&workers, 0), [(what, format!("see {}", page_of("LS-0201")))]);
    }

    #[test]
    fn what_is_put_off_is_told_until_the_destination_has_passed_it() {
        let put_off = |why: &str| {
            let state = json!({ "held_up": null, "put_off": { "why": why, "through": 20, "ago_s": 12 } });
            told(&[instance("worker", true, state)], 19)
        };
        let ahead = format!("worker {ID} puts messages off, the last 12 s ago: users: LS-0420: ahead");
        assert_eq!(put_off("users: LS-0420: ahead"), [(ahead, REWIND.to_owned())]);
        assert_eq!(put_off("users: LS-0430: so many")[0].1, "lockstep quarantine list");
        let state = json!({ "put_off": { "why": "users: LS-0430: so many", "through": 20, "ago_s": 12 } });
        assert!(told(&[instance("worker", true, state)], 20).is_empty());
    }
}
