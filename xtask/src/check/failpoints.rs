//! No program that is released can be told to fail: the crate `fail` is in test builds only.

use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::finding::Finding;
use crate::cargo;
use crate::workspace::Workspace;

/// The crate that failpoints stand on; it is only there where they do something.
const CRATE: &str = "fail";

/// What a deployment runs, as `deploy/Containerfile` builds it.
const RELEASED: [&str; 4] = ["lockstep-cli", "lockstep-sequencer", "lockstep-worker", "lockstep-verifier"];

/// The worker beside the testkit, as tests build it.
const TESTED: [&str; 2] = ["lockstep-worker", "lockstep-testkit"];

/// One finding if a release has failpoints, or a test build has none: then the first would show nothing.
pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let finding = |what: &str, remedy| Finding {
        file: "crates/core/Cargo.toml".to_owned(),
        line: 1,
        what: what.to_owned(),
        remedy,
    };
    let mut findings = Vec::new();
    if names(&tree(workspace, &RELEASED, &[])?, CRATE) {
        let remedy = "no crate but lockstep-tests may turn the feature `failpoints` on";
        findings.push(finding("released programs have failpoints", remedy));
    }
    if !names(&tree(workspace, &TESTED, &["--features", "lockstep-testkit/failpoints"])?, CRATE) {
        let remedy = "let `lockstep-testkit/failpoints` turn `lockstep-core/failpoints` on";
        findings.push(finding("test builds have no failpoints", remedy));
    }
    Ok(findings)
}

/// Everything that is built for these packages, one crate a line.
fn tree(workspace: &Workspace, packages: &[&str], more: &[&str]) -> Result<String> {
    let mut command = cargo::cargo(workspace);
    command.args(["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
    command.args(packages.iter().flat_map(|package| ["--package", package])).args(more);
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo tree")?;
    if !output.status.success() {
        bail!("`cargo tree` failed ({})", output.status);
    }
    String::from_utf8(output.stdout).context("cargo tree has printed something else than text")
}

fn names(tree: &str, package: &str) -> bool {
    tree.lines().any(|line| line.split(' ').next() == Some(package))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_known_by_its_whole_name() {
        let tree = "lockstep-worker v0.1.0 (/x)\nfailure v0.1.8\nserde v1.0.0\nfail v0.5.1\n";
        assert!(names(tree, "fail"));
        assert!(!names(&tree.replace("fail v", "faill v"), "fail"));
    }
}
