//! Running tests, the demo and the benchmarks against the services of this checkout.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::check::promtool_for_tests;
use crate::services::Release;
use crate::workspace::Workspace;
use crate::{cargo, install, services};

/// The programs that a deployment runs; tests and demo start them as processes.
pub(crate) const PROGRAMS: [&str; 4] = ["lockstep", "lockstep-sequencer", "lockstep-worker", "lockstep-verifier"];

/// Tells tests and demo where those programs are.
pub(crate) const PROGRAMS_VARIABLE: &str = "LOCKSTEP_BIN_DIR";

/// Builds everything with the tests, so that features are unified as the test run unifies them: failpoints are on, and
/// nothing is compiled twice.
pub(crate) const AS_FOR_TESTS: [&str; 4] = ["build", "--workspace", "--bins", "--tests"];

/// What `demo --help` adds; the options are the demo's own.
pub(crate) const DEMO_HELP: &str = "\
Passed on to the demo:
      --tenants N  How many tenants to make up
      --rows N     How many users each tenant has; other tables in proportion
      --once       Stop when everything was edited, in step and verified; without it, edits go on until Ctrl-C
      --json       Print the outcome as one JSON object, the last line of standard output

Exits with 1 when anything differs.";

/// What `bench --help` adds.
pub(crate) const BENCH_HELP: &str = "\
Passed on to the benchmarks:
      [SCENARIO]   One of source, pass, bulk, fan-in, lag, backlog, million, postgres, verify, verify-one, console, traces; all when none is named
      --json       Print one JSON object a line for each scenario, with at least `scenario` and `ratio`";

/// What `chaos --help` adds.
pub(crate) const CHAOS_HELP: &str = "\
Passed on to the chaos program:
      matrix       Abort, fail and hang at every step of sequencer and worker, one at a time
      run          A random workload against random faults
        --seed S     What both are drawn from; the same seed gives the same schedule
        --seconds N  How long
        --keep       Leave everything as it is when something differs
      --json       Print the outcome as one JSON object

`run` kills PostgreSQL, RabbitMQ and ClickHouse too, where they are this checkout's own (`cargo xtask up`).
Exits with 1 when anything differs.";

/// Where this program is, for programs that have services restarted.
const XTASK_VARIABLE: &str = "LOCKSTEP_XTASK";

/// Tells those programs which services are ours to restart.
const PRIVATE_VARIABLE: &str = "LOCKSTEP_PRIVATE_SERVICES";

/// Tells tests that start a PostgreSQL of their own where its programs are, so that it is of the version asked for.
const POSTGRES_PROGRAMS_VARIABLE: &str = "LOCKSTEP_POSTGRES_BIN_DIR";

/// Tells tests where promtool is.
const PROMTOOL_VARIABLE: &str = "LOCKSTEP_PROMTOOL";

/// Runs every test, or those that the arguments select; the runner's exit code is ours.
pub(crate) fn test(workspace: &Workspace, postgres: Release, arguments: &[OsString]) -> Result<ExitCode> {
    let endpoints = services::up(workspace, postgres)?;
    install::for_tests(workspace);
    let promtool = promtool_for_tests(workspace);
    cargo::run(workspace, &AS_FOR_TESTS)?;
    let mut command = cargo::cargo(workspace);
    if cargo::has(workspace, "nextest") {
        command.args(["nextest", "run", "--workspace"]);
        if is_ci() {
            command.args(["--profile", "ci"]);
        }
    } else {
        eprintln!("cargo-nextest is not installed; running cargo test");
        command.args(["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]);
        if arguments.iter().all(|argument| !argument.as_encoded_bytes().starts_with(b"-")) {
            // Parts of names: cargo takes one of them, the test programs themselves any number.
            command.arg("--");
        }
    }
    command.args(arguments).env(PROGRAMS_VARIABLE, cargo::binaries(workspace, "debug")?);
    if let Some(programs) = services::postgres_programs(workspace, postgres) {
        command.env(POSTGRES_PROGRAMS_VARIABLE, programs);
    }
    if let Some(promtool) = promtool {
        command.env(PROMTOOL_VARIABLE, promtool);
    }
    endpoints.apply(&mut command);
    cargo::become_program(command)
}

/// Shows twelve tables arrive and stay in step.
pub(crate) fn demo(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode> {
    lab_program(workspace, "lockstep-demo", "debug", arguments)
}

/// Measures; optimised, since nothing else is worth measuring.
pub(crate) fn bench(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode> {
    lab_program(workspace, "lockstep-bench", "release", arguments)
}

/// Makes everything fail, on purpose.
pub(crate) fn chaos(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode> {
    let endpoints = services::up(workspace, Release::Installed)?;
    cargo::run(workspace, &AS_FOR_TESTS)?;
    let directory = cargo::binaries(workspace, "debug")?;
    let mut command = Command::new(directory.join("lockstep-chaos"));
    command.args(arguments).current_dir(&workspace.root).env(PROGRAMS_VARIABLE, &directory);
    // The one that was just built: this one's file may be gone by now.
    command.env(XTASK_VARIABLE, directory.join("xtask"));
    command.env(PRIVATE_VARIABLE, endpoints.private_names().join(","));
    endpoints.apply(&mut command);
    cargo::become_program(command)
}

/// Builds a program of the lab, together with the programs that it starts, and becomes it.
fn lab_program(workspace: &Workspace, name: &str, profile: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let endpoints = services::up(workspace, Release::Installed)?;
    let mut build = vec!["build", "--workspace", "--bin", name];
    build.extend(PROGRAMS.iter().flat_map(|program| ["--bin", program]));
    if profile == "release" {
        build.push("--release");
    }
    cargo::run(workspace, &build)?;
    let directory = cargo::binaries(workspace, profile)?;
    let mut command = Command::new(directory.join(name));
    command.args(arguments).current_dir(&workspace.root).env(PROGRAMS_VARIABLE, &directory);
    endpoints.apply(&mut command);
    cargo::become_program(command)
}

fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}
