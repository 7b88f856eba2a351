//! How any of the services is started, found running, and stopped.

use std::process::Child;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use super::{START_LIMIT, STOP_LIMIT, Service};
use crate::deadline::wait_until;
use crate::ports::Ports;
use crate::progress::Task;
use crate::workspace::Workspace;

/// A port can be taken between choosing and binding it: a start that fails is tried again.
const ATTEMPTS: u32 = 3;

/// How waiting for a server ended.
enum Waited {
    Answers(String),
    Ended(String),
    Silent,
}

/// Makes sure that the service answers, starting it if it does not run.
pub(super) fn bring_up(service: &dyn Service, workspace: &Workspace, ports: &Mutex<Ports>, task: &Task) -> Result<()> {
    let traces = service.traces();
    let log = workspace.shown(&traces.log);
    let mut said = String::new();
    for _ in 0..ATTEMPTS {
        let (child, ports, log_start) = match running_on(service, ports) {
            Some(ports) => (None, ports, traces.begin_log()),
            None => {
                task.say("preparing");
                service.prepare(task)?;
                let ports = choose(service, ports)?;
                let log_start = traces.begin_log();
                (Some(service.launch(&ports)?.start(&service.traces())?), ports, log_start)
            }
        };
        let started = child.is_some();
        task.say(&format!("waiting for an answer on 127.0.0.1:{}", ports[0]));
        match wait(service, ports[0], child)? {
            Waited::Answers(version) => {
                let how = if started { "started" } else { "runs" };
                task.end(&format!("{version} {how} on 127.0.0.1:{}", ports[0]));
                return Ok(());
            }
            Waited::Silent => bail!(
                "it runs but has not answered on 127.0.0.1:{} within {} s; see {log}, or stop it with \
                 `cargo xtask down` and try again\n{}",
                ports[0],
                START_LIMIT.as_secs(),
                traces.log_tail(log_start)
            ),
            Waited::Ended(how) => said = format!("{how}; the end of {log}:\n{}", traces.log_tail(log_start)),
        }
    }
    bail!(
        "it was started {ATTEMPTS} times and ended each time ({said})\nMend what it says, or begin anew with \
         `cargo xtask down --purge`, or set {} to a server of your own",
        service.variable()
    )
}

/// Stops the service if it runs.
pub(super) fn take_down(service: &dyn Service, task: &Task) -> Result<()> {
    task.say("stopping");
    let ran = service.traces().stop(service.stop_signal(), STOP_LIMIT)?;
    service.after_stop();
    task.end(if ran { "stopped" } else { "did not run" });
    Ok(())
}

/// The ports of the service if it runs. A server whose ports nobody remembers any more is stopped: it is of no use.
fn running_on(service: &dyn Service, ports: &Mutex<Ports>) -> Option<Vec<u16>> {
    service.traces().running()?;
    let known = remembered(service, &ports.lock().expect("no thread here panics"));
    if known.is_none() {
        // If it cannot be stopped, the start that follows says why.
        let _ = service.traces().stop(service.stop_signal(), STOP_LIMIT);
    }
    known
}

fn remembered(service: &dyn Service, ports: &Ports) -> Option<Vec<u16>> {
    service.port_names().iter().map(|name| ports.get(name)).collect()
}

fn choose(service: &dyn Service, ports: &Mutex<Ports>) -> Result<Vec<u16>> {
    let mut ports = ports.lock().expect("no thread here panics");
    ports.choose(service.port_names())?;
    remembered(service, &ports).context("a port that was just chosen is missing")
}

fn wait(service: &dyn Service, port: u16, mut child: Option<Child>) -> Result<Waited> {
    let traces = service.traces();
    let waited = wait_until(START_LIMIT, || {
        // First whether it lives: an answer from a dead server's port would be somebody else's.
        if let Some(status) = child.as_mut().map(Child::try_wait).transpose()?.flatten() {
            return Ok(Some(Waited::Ended(status.to_string())));
        }
        if child.is_none() && traces.running().is_none() {
            return Ok(Some(Waited::Ended("it ended while it was waited for".to_owned())));
        }
        Ok(service.version(port).map(Waited::Answers))
    })?;
    Ok(waited.unwrap_or(Waited::Silent))
}
