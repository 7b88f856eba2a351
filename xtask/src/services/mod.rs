//! The three private services: brought up together, taken down together.

mod clickhouse;
mod lifecycle;
mod postgres;
mod rabbitmq;
mod status;

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub(crate) use self::clickhouse::host as host_clickhouse;
pub(crate) use self::postgres::Release;
pub(crate) use self::status::status;
use crate::deadline::wait_until;
use crate::environment::{Endpoint, Endpoints};
use crate::install;
use crate::lock::Lock;
use crate::ports::Ports;
use crate::process::{Launch, Traces};
use crate::progress::{Progress, Task};
use crate::workspace::Workspace;

/// Name of the hidden subcommand that becomes the ClickHouse server.
pub(crate) const CLICKHOUSE_HOST: &str = "__clickhouse-host";

/// What `up --help` adds.
pub(crate) const HELP: &str = "\
Everything lies in .lockstep/ of this checkout: data, logs, ports. Servers that are already on this
machine are never touched, and two checkouts do not meet. The URLs go to .lockstep/env and stay the
same from one run to the next.

A service whose variable is set in the environment is used as it is: no private one is started for
it, and its URL, which may hold a password, is not written anywhere.
  LOCKSTEP_SOURCE_URL      PostgreSQL
  LOCKSTEP_AMQP_URL        RabbitMQ
  LOCKSTEP_CLICKHOUSE_URL  ClickHouse

Programs that are missing are installed with apt-get where that is possible (PostgreSQL, RabbitMQ).
PostgreSQL of a certain version (--postgres) comes from npm, has a directory and a port of its own,
and runs beside the usual one. ClickHouse is a `clickhouse` program on PATH, else a library that npm downloads once (178 MB) and
that the user's cache keeps.";

/// How long a server may take to answer after its start. RabbitMQ takes half a minute on a busy small machine.
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// One kind of server: what is special about it.
trait Service: Sync {
    /// Its name as people write it.
    fn name(&self) -> &'static str;
    /// The environment variable that names another server to use instead.
    fn variable(&self) -> &'static str;
    /// The Debian package to install, if its program is missing.
    fn missing_package(&self) -> Option<&'static str>;
    /// Names of the ports it needs; the first is the one that clients use.
    fn port_names(&self) -> &'static [&'static str];
    /// The URL for clients.
    fn url(&self, port: u16) -> String;
    /// Pid file, marker and log.
    fn traces(&self) -> Traces;
    /// Everything that must be there before the first start, and a tidied house before every start.
    fn prepare(&self, task: &Task) -> Result<()>;
    /// The server itself, on these ports (in the order of `port_names`).
    fn launch(&self, ports: &[u16]) -> Result<Launch>;
    /// Its version, if it answers.
    fn version(&self, port: u16) -> Option<String>;
    /// The signal that makes it stop without waiting for its clients.
    fn stop_signal(&self) -> &'static str {
        "TERM"
    }
    /// What must go after the server itself is gone.
    fn after_stop(&self) {}
    /// Removes what `up` has put outside of `.lockstep`.
    fn purge(&self) -> Result<()> {
        Ok(())
    }
}

/// The three, with PostgreSQL of this release.
fn three(workspace: &Workspace, release: Release) -> [Box<dyn Service + '_>; 3] {
    [
        Box::new(postgres::Postgres { workspace, release }),
        Box::new(rabbitmq::RabbitMq { workspace }),
        Box::new(clickhouse::ClickHouse { workspace }),
    ]
}

/// The three, and PostgreSQL of every other release that was ever brought up here.
fn all(workspace: &Workspace) -> Vec<Box<dyn Service + '_>> {
    three(workspace, Release::Installed).into_iter().chain(postgres::earlier(workspace)).collect()
}

/// Starts what does not run yet, and waits until everything answers. With PostgreSQL of a certain version, `.lockstep/env`
/// stays as it is: that names the usual services.
pub(crate) fn up(workspace: &Workspace, release: Release) -> Result<Endpoints> {
    let _lock = Lock::acquire(workspace)?;
    let services = three(workspace, release);
    let ports = Ports::remembered(workspace);
    let mut given: Vec<_> = services.iter().map(|service| given(service.as_ref(), &ports)).collect();
    if release != Release::Installed
        && let Some(url) = given[0].take()
        && !is_own(workspace, &url, &ports)
    {
        bail!("{} names a server, and --postgres another one: leave one of them out", services[0].variable());
    }
    let ports = Mutex::new(ports);
    let private =
        services.iter().zip(&given).filter_map(|(service, given)| given.is_none().then_some(service.as_ref()));
    let private: Vec<_> = private.collect();
    let progress = Progress::new();
    let missing = private.iter().filter_map(|service| Some((service.name(), service.missing_package()?)));
    install::packages(workspace, &missing.collect::<Vec<_>>(), &progress)?;
    together(&private, "started", &progress, |service, task| lifecycle::bring_up(service, workspace, &ports, task))?;
    let ports = ports.into_inner().expect("no thread here panics");
    let endpoints = services.iter().zip(given).map(|(service, given)| {
        let private = ports.get(service.port_names()[0]).map(|port| service.url(port));
        Endpoint { service: service.name(), variable: service.variable(), private, given }
    });
    let endpoints = Endpoints(endpoints.collect());
    if release == Release::Installed {
        endpoints.write(workspace)?;
    }
    Ok(endpoints)
}

/// The directory with the programs of PostgreSQL of a certain version, for tests that start servers of their own. `None`
/// for the machine's own, which they find by themselves.
pub(crate) fn postgres_programs(workspace: &Workspace, release: Release) -> Option<PathBuf> {
    postgres::Postgres { workspace, release }.packaged_programs()
}

/// The URL that the environment gives for a service. The private one's own URL, as sourced from `.lockstep/env`, is
/// no other server: the private one is meant.
fn given(service: &dyn Service, ports: &Ports) -> Option<String> {
    let url = std::env::var(service.variable()).ok().filter(|url| !url.trim().is_empty())?;
    let port = ports.get(service.port_names()[0]);
    (port.map(|port| service.url(port)) != Some(url.clone())).then_some(url)
}

/// Whether a URL is that of a server of this checkout, as from `.lockstep/env`.
fn is_own(workspace: &Workspace, url: &str, ports: &Ports) -> bool {
    let is = |service: &dyn Service| ports.get(service.port_names()[0]).is_some_and(|port| service.url(port) == url);
    all(workspace).iter().any(|service| is(service.as_ref()))
}

/// Stops what runs; with `purge` removes every trace of it.
pub(crate) fn down(workspace: &Workspace, purge: bool) -> Result<()> {
    let _lock = Lock::acquire(workspace)?;
    let services = all(workspace);
    let every: Vec<_> = services.iter().map(Box::as_ref).collect();
    together(&every, "stopped", &Progress::new(), lifecycle::take_down)?;
    if purge {
        services.iter().try_for_each(|service| service.purge())?;
        remove_all(workspace)?;
    }
    Ok(())
}

/// Kills one service, as a crash would, and starts it again. Only one of this checkout's own.
pub(crate) fn restart(workspace: &Workspace, name: &str) -> Result<()> {
    let _lock = Lock::acquire(workspace)?;
    let services = all(workspace);
    let service = services.iter().find(|service| service.name().eq_ignore_ascii_case(name)).with_context(|| {
        let names = services.iter().map(|service| service.name().to_lowercase()).collect::<Vec<_>>().join(", ");
        format!("there is no service {name}; choose one of {names}")
    })?;
    let ports = Ports::remembered(workspace);
    if given(service.as_ref(), &ports).is_some() {
        bail!("{} is given by {} and not ours to restart", service.name(), service.variable());
    }
    let ports = Mutex::new(ports);
    together(&[service.as_ref()], "restarted", &Progress::new(), |service, task| {
        task.say("killing");
        service.traces().kill(STOP_LIMIT)?;
        // Sockets are closed, and helpers notice, a moment after it is gone. Chosen too soon, its ports would be others.
        let are_free = || {
            service.after_stop();
            Ok(ports.lock().expect("no thread here panics").are_free(service.port_names()).then_some(()))
        };
        wait_until(STOP_LIMIT, are_free)?.context("its ports are not let go")?;
        lifecycle::bring_up(service, workspace, &ports, task)
    })
}

/// Does the same with several services at the same time; says which failed, and why.
fn together(
    services: &[&dyn Service],
    aim: &str,
    progress: &Progress,
    work: impl Fn(&dyn Service, &Task) -> Result<()> + Sync,
) -> Result<()> {
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads = services.iter().map(|service| {
            let (task, work) = (progress.task(service.name()), &work);
            let work = move || work(*service, &task).inspect_err(|_| task.end("failed"));
            (service.name(), scope.spawn(work))
        });
        // All are started before the first is waited for.
        let threads: Vec<_> = threads.collect();
        let ended = threads.into_iter().map(|(name, thread)| (name, thread.join().expect("no thread here panics")));
        ended.filter_map(|(name, result)| Some(format!("{name}: {:#}", result.err()?))).collect()
    });
    if !failures.is_empty() {
        bail!("not every service could be {aim}\n\n{}", failures.join("\n\n"));
    }
    Ok(())
}

/// Empties `.lockstep`, but for the lock that is being held.
fn remove_all(workspace: &Workspace) -> Result<()> {
    for entry in fs::read_dir(&workspace.directory)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        if path.ends_with("lock") {
            continue;
        }
        let removed = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}
