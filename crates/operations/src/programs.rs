//! What programs tell of themselves: what keeps them from their work, and what fails in them.

use lockstep_core::remedy::told;
use lockstep_schema::instances::Instance;
use lockstep_schema::tasks::{TaskStatus, statuses};

use crate::deployment::Deployment;
use crate::error::OperationError;

/// The periodic tasks of all programs. Of one that fails since a service is away it is told where that was looked for.
pub(crate) async fn tasks(deployment: &Deployment<'_>) -> Result<Vec<TaskStatus>, OperationError> {
    let mut tasks = statuses(deployment.control()?).await?;
    for task in tasks.iter_mut().filter(|task| task.is_failing || task.is_untried) {
        task.error = task.error.take().map(|error| told(&error, deployment.settings));
    }
    Ok(tasks)
}

/// What is wrong with programs, worst first, and then which of them run, in sentences.
pub(crate) fn sentences_of(instances: &[Instance], tasks: &[TaskStatus]) -> (Vec<String>, Vec<String>) {
    let alive = || instances.iter().filter(|instance| instance.is_alive);
    let (mut wrong, mut running) = (Vec::new(), Vec::new());
    for role in ["sequencer", "worker"] {
        match alive().filter(|instance| instance.role == role).count() {
            0 => wrong.push(format!("no {role} has told of itself for half a minute: start lockstep-{role}")),
            1 => running.push(format!("one {role} runs")),
            more => running.push(format!("{more} {role}s run")),
        }
    }
    wrong.extend(alive().filter_map(Instance::trouble));
    wrong.extend(alive().filter(|instance| instance.held_up().is_none()).filter_map(|instance| {
        let why = instance.state["why"].as_str()?;
        Some(format!("{} {} says: {}", instance.role, instance.id, why.replace('\n', "; ")))
    }));
    wrong.extend(tasks.iter().filter_map(TaskStatus::trouble));
    (wrong, running)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

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
        let (wrong, running) = sentences_of(&instances, &[sweep]);
        assert_eq!(wrong, ["worker sweep failed at then: LS-0201: away"]);
        assert_eq!(running, ["one sequencer runs", "2 workers run"]);
        let (wrong, running) = sentences_of(&[instance("worker", false, Value::Null)], &[]);
        assert!(
            wrong[0].contains("start lockstep-sequencer") && wrong[1].contains("start lockstep-worker"),
            "{wrong:?}"
        );
        assert!(running.is_empty(), "{running:?}");
    }

    #[test]
    fn what_keeps_a_program_from_its_work_is_said_once() {
        let id = "00000000-0000-0000-0000-000000000001";
        let state = json!({ "why": "source: LS-0510: ahead", "held_up": { "why": "LS-0510: ahead", "for_s": 42 } });
        let (wrong, _) = sentences_of(&[instance("sequencer", true, state.clone())], &[]);
        assert_eq!(wrong[1..], [format!("sequencer {id} has done nothing for 42 s: LS-0510: ahead")], "{wrong:?}");
        let silent = instance("sequencer", false, state);
        assert_eq!(silent.trouble(), None, "what it said is old");
        let unready = json!({ "why": "queue: away\nsource: away", "held_up": null });
        let (wrong, _) = sentences_of(&[instance("worker", true, unready)], &[]);
        assert_eq!(wrong[1], format!("worker {id} says: queue: away; source: away"));
    }
}
