//! Tests of the console in a real browser: Debian's Chromium, driven by node's own test runner.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::programs::on_path;
use crate::run::{AS_FOR_TESTS, PROGRAMS_VARIABLE};
use crate::services::Release;
use crate::workspace::Workspace;
use crate::{cargo, install, services};

/// Where the tests are, with a list of the packages that they need.
const TESTS: &str = "tests/console";
/// Tells them where the browser is.
const BROWSER_VARIABLE: &str = "LOCKSTEP_CHROMIUM";
/// Tells them where pictures of the views go.
const PICTURES_VARIABLE: &str = "LOCKSTEP_SCREENSHOTS";
/// Where pictures for the documents are.
const PICTURES: &str = "docs/images";

/// Installs what is missing, starts the services, and runs the tests; node's exit code is ours.
pub(crate) fn test(workspace: &Workspace, pictures: bool) -> Result<ExitCode> {
    let endpoints = services::up(workspace, Release::Installed)?;
    let browser = program(workspace, "chromium", "chromium", "the browser that looks at the console")?;
    program(workspace, "psql", "postgresql-client", "the program that tests write rows with")?;
    let directory = workspace.root.join(TESTS);
    packages(&directory)?;
    cargo::run(workspace, &AS_FOR_TESTS)?;
    let mut node = Command::new(on_path("node").context("node is not installed: install Node.js 20 or later")?);
    node.arg("--test").arg(directory.join("console.test.mjs")).current_dir(&workspace.root);
    node.env(PROGRAMS_VARIABLE, cargo::binaries(workspace, "debug")?).env(BROWSER_VARIABLE, browser);
    if pictures {
        node.env(PICTURES_VARIABLE, workspace.root.join(PICTURES));
    }
    endpoints.apply(&mut node);
    cargo::become_program(node)
}

/// A program, installed where it is missing.
fn program(workspace: &Workspace, name: &str, package: &str, what: &str) -> Result<PathBuf> {
    if let Some(found) = on_path(name) {
        return Ok(found);
    }
    install::for_check(workspace, package, what)?;
    on_path(name).with_context(|| format!("the package {package} holds no program {name}"))
}

/// The packages as they are pinned; those that are there already stay.
fn packages(directory: &Path) -> Result<()> {
    let npm =
        on_path("npm").context("npm is not installed: install Node.js with npm (package npm of Debian and Ubuntu)")?;
    let mut command = Command::new(npm);
    // None of them has anything to build, and none may run anything here.
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
    command.current_dir(directory).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().context("cannot run npm")?;
    if !status.success() {
        bail!("`npm ci` in {TESTS} failed ({status})");
    }
    Ok(())
}
