//! Dependencies between our crates point one way; some libraries are named in one crate only.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::finding::Finding;
use crate::cargo;
use crate::workspace::Workspace;

const CORE: &str = "lockstep-core";
const MAPPINGS: &str = "lockstep-mappings";
const SCHEMA: &str = "lockstep-schema";
const QUEUE: &str = "lockstep-queue";
const DESTINATIONS: &str = "lockstep-destinations";
const OPERATIONS: &str = "lockstep-operations";
const SEQUENCER: &str = "lockstep-sequencer";
const WORKER: &str = "lockstep-worker";
const VERIFIER: &str = "lockstep-verifier";
const CONSOLE: &str = "lockstep-console";
const CLI: &str = "lockstep-cli";
const ORACLE: &str = "lockstep-oracle";
const TESTKIT: &str = "lockstep-testkit";
const LAB: &str = "lockstep-lab";

/// Each package and those of ours that it may stand on. A row names only packages of rows above it, so there can be
/// no cycle.
const ALLOWED: &[(&str, &[&str])] = &[
    ("xtask", &[]),
    (CORE, &[]),
    (MAPPINGS, &[CORE]),
    (QUEUE, &[CORE]),
    (SCHEMA, &[CORE, MAPPINGS]),
    (DESTINATIONS, &[CORE, MAPPINGS]),
    (OPERATIONS, &[CORE, MAPPINGS, SCHEMA, DESTINATIONS, QUEUE]),
    (SEQUENCER, &[CORE, MAPPINGS, SCHEMA, DESTINATIONS, QUEUE]),
    (WORKER, &[CORE, MAPPINGS, SCHEMA, DESTINATIONS, QUEUE]),
    (VERIFIER, &[CORE, MAPPINGS, SCHEMA, DESTINATIONS, OPERATIONS]),
    (CONSOLE, &[CORE, MAPPINGS, OPERATIONS]),
    (CLI, &[CORE, MAPPINGS, SCHEMA, DESTINATIONS, OPERATIONS, CONSOLE]),
    // Stands on nothing that it judges.
    (ORACLE, &[]),
    (TESTKIT, &[CORE, MAPPINGS, SCHEMA, DESTINATIONS, QUEUE, SEQUENCER, ORACLE]),
    (LAB, &[CORE, MAPPINGS, SCHEMA, DESTINATIONS, QUEUE, SEQUENCER, WORKER, VERIFIER, CLI, ORACLE, TESTKIT]),
    (
        "lockstep-tests",
        &[CORE, MAPPINGS, SCHEMA, DESTINATIONS, QUEUE, SEQUENCER, WORKER, VERIFIER, CLI, ORACLE, TESTKIT, LAB],
    ),
];

/// What every package's tests may stand on besides.
const FOR_TESTS: [&str; 2] = [ORACLE, TESTKIT];

/// Libraries that stay behind one crate's interface.
const CONFINED: &[(&str, &str)] = &[
    ("lapin", QUEUE),
    ("clickhouse", DESTINATIONS),
    ("diesel", SCHEMA),
    ("diesel-async", SCHEMA),
    ("opentelemetry", CORE),
    ("opentelemetry_sdk", CORE),
    ("opentelemetry-otlp", CORE),
    ("opentelemetry-http", CORE),
    ("opentelemetry-proto", TESTKIT),
];

/// One dependency of one package, as `cargo metadata` lists it.
#[derive(Debug)]
struct Arrow {
    from: String,
    to: String,
    /// For tests only.
    dev: bool,
    /// Has a path: is one of ours.
    ours: bool,
    manifest: String,
}

/// Every arrow that the table does not allow.
pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let metadata = cargo::metadata(workspace)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let mut findings = Vec::new();
    for package in packages {
        let manifest = text(package, "manifest_path")?;
        let shown = workspace.shown(manifest.as_ref());
        let lines = fs::read_to_string(&manifest).with_context(|| format!("cannot read {manifest}"))?;
        let name = text(package, "name")?;
        if allowed(&name).is_none() {
            let what = format!("the package {name} has no row in the table of allowed arrows");
            findings.push(Finding {
                file: shown.clone(),
                line: 1,
                what,
                remedy: "add it in xtask/src/check/arrows.rs",
            });
        }
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let arrow = Arrow {
                from: name.clone(),
                to: text(dependency, "name")?,
                dev: dependency["kind"] == "dev",
                ours: dependency["path"].is_string(),
                manifest: shown.clone(),
            };
            findings.extend(judge(&arrow, &lines));
        }
    }
    Ok(findings)
}

fn text(value: &Value, field: &str) -> Result<String> {
    let text = value[field].as_str().with_context(|| format!("cargo metadata: {field} is missing"))?;
    Ok(text.to_owned())
}

fn allowed(package: &str) -> Option<&'static [&'static str]> {
    ALLOWED.iter().find(|(name, _)| *name == package).map(|(_, allowed)| *allowed)
}

fn judge(arrow: &Arrow, manifest: &str) -> Option<Finding> {
    let Arrow { from, to, .. } = arrow;
    let finding = |what, remedy| {
        let line = manifest.lines().position(|line| line.starts_with(to.as_str())).map_or(1, |index| index + 1);
        Some(Finding { file: arrow.manifest.clone(), line, what, remedy })
    };
    if let Some((library, home)) = CONFINED.iter().find(|(library, home)| library == to && home != from) {
        let what = format!("{from} depends on {library}, which only {home} may name");
        return finding(what, "use what that crate offers, or widen its interface");
    }
    let permitted =
        allowed(from).unwrap_or_default().contains(&to.as_str()) || (arrow.dev && FOR_TESTS.contains(&to.as_str()));
    if arrow.ours && !permitted {
        let what = format!("{from} depends on {to}, which is no arrow of the design");
        return finding(what, "move the code, or change the design first and then xtask/src/check/arrows.rs");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[dependencies]\nlockstep-core.workspace = true\nlockstep-worker.workspace = true\n";

    fn arrow(from: &str, to: &str, dev: bool) -> Arrow {
        let ours = to.starts_with("lockstep-");
        Arrow { from: from.to_owned(), to: to.to_owned(), dev, ours, manifest: "crates/x/Cargo.toml".to_owned() }
    }

    #[test]
    fn services_do_not_stand_on_each_other() {
        let finding = judge(&arrow(SEQUENCER, WORKER, false), MANIFEST).expect("a service imports another");
        assert_eq!(finding.line, 3);
        assert!(finding.to_string().contains("lockstep-sequencer depends on lockstep-worker"), "{finding}");
        assert!(judge(&arrow(VERIFIER, QUEUE, false), MANIFEST).is_some());
        assert!(judge(&arrow("xtask", CORE, false), MANIFEST).is_some());
        assert_eq!(judge(&arrow(WORKER, CORE, false), MANIFEST), None);
    }

    #[test]
    fn what_is_for_tests_is_for_tests_only() {
        for package in FOR_TESTS {
            assert!(judge(&arrow(WORKER, package, false), MANIFEST).is_some());
            assert_eq!(judge(&arrow(WORKER, package, true), MANIFEST), None);
        }
        assert!(judge(&arrow(WORKER, LAB, true), MANIFEST).is_some());
        assert!(judge(&arrow(WORKER, SEQUENCER, true), MANIFEST).is_some());
    }

    #[test]
    fn the_oracle_stands_on_nothing_that_it_judges() {
        assert!(judge(&arrow(ORACLE, MAPPINGS, false), MANIFEST).is_some());
        assert!(judge(&arrow(ORACLE, TESTKIT, false), MANIFEST).is_some());
        assert_eq!(judge(&arrow(ORACLE, TESTKIT, true), MANIFEST), None);
    }

    #[test]
    fn a_confined_library_is_named_at_home_only() {
        assert!(judge(&arrow(WORKER, "lapin", false), MANIFEST).is_some());
        assert!(judge(&arrow(TESTKIT, "clickhouse", true), MANIFEST).is_some());
        assert_eq!(judge(&arrow(QUEUE, "lapin", false), MANIFEST), None);
        assert_eq!(judge(&arrow(WORKER, "tokio", false), MANIFEST), None);
    }

    #[test]
    fn the_table_has_no_cycle() {
        for (index, (name, allowed)) in ALLOWED.iter().enumerate() {
            for below in *allowed {
                assert!(ALLOWED[..index].iter().any(|(above, _)| above == below), "{name} names {below} too early");
            }
        }
    }
}
