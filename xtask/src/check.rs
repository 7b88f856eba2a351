//! What CI runs: format, arrows, files, documents, licences, clippy, and then the tests.

mod arrows;
mod book;
mod deploy;
mod documents;
mod failpoints;
mod finding;
mod sentences;
mod sources;
mod test_code;

use std::process::ExitCode;

use anyhow::{Context, Result};

pub(crate) use self::deploy::{check as deploy, metrics_page, promtool_for_tests};
pub(crate) use self::documents::{headings, links};
use self::finding::Finding;
use crate::services::Release;
use crate::workspace::Workspace;
use crate::{cargo, run};

/// Runs all checks, even when one of them fails, and the tests if none does.
pub(crate) fn check(workspace: &Workspace, tests: bool) -> Result<ExitCode> {
    let mut outcomes = Outcomes::default();
    let mut note = |name, passed| outcomes.note(name, passed);
    let format = cargo::run(workspace, &["fmt", "--all", "--check"]).context("`cargo fmt --all` mends it");
    note("format", said(format));
    note("arrows", listed(&arrows::findings(workspace)?));
    note("files", listed(&sources::findings(workspace)?));
    note("sentences", listed(&sentences::findings(workspace)?));
    note("documents", listed(&documents::findings(workspace)?));
    note("book", listed(&book::findings(workspace)?));
    note("failpoints", listed(&failpoints::findings(workspace)?));
    note("deploy files", listed(&deploy::findings(workspace)?));
    if cargo::has(workspace, "deny") {
        let deny = ["deny", "check", "licenses", "bans", "sources"];
        note("licences", said(cargo::run(workspace, &deny).context("deny.toml says what may be built in")));
    } else {
        eprintln!("check: licences: not checked, cargo-deny is not installed (`cargo install cargo-deny --locked`)");
    }
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    note("clippy", said(cargo::run(workspace, &clippy)));
    let passed = outcomes.failed.is_empty();
    if passed && tests { run::test(workspace, Release::Installed, &[]) } else { Ok(outcomes.end()) }
}

/// What has failed, of what was said to have passed or failed.
#[derive(Default)]
struct Outcomes {
    failed: Vec<&'static str>,
}

impl Outcomes {
    fn note(&mut self, name: &'static str, passed: bool) {
        eprintln!("check: {name}: {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            self.failed.push(name);
        }
    }

    fn end(&self) -> ExitCode {
        if self.failed.is_empty() {
            return ExitCode::SUCCESS;
        }
        eprintln!("check: failed: {}; each says above what to do", self.failed.join(", "));
        ExitCode::FAILURE
    }
}

fn said(result: Result<()>) -> bool {
    result.inspect_err(|error| eprintln!("{error:#}")).is_ok()
}

fn listed(findings: &[Finding]) -> bool {
    findings.iter().for_each(|finding| eprintln!("{finding}"));
    findings.is_empty()
}
