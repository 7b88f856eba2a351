//! cargo-deb and cargo-cyclonedx, of versions that are known to do what is asked of them, below `.lockstep`.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::programs::{is_program, on_path};
use crate::workspace::Workspace;

const TOOLS: [(&str, &str); 2] = [("cargo-deb", "3.8.0"), ("cargo-cyclonedx", "0.5.9")];

/// Installs what is missing, which takes some minutes, and returns the `PATH` with which cargo finds them.
pub(super) fn ready(workspace: &Workspace) -> Result<OsString> {
    if on_path("dpkg-deb").is_none() || on_path("dpkg-shlibdeps").is_none() {
        bail!("dpkg-deb or dpkg-shlibdeps is missing: install dpkg-dev (Debian and Ubuntu: apt-get install dpkg-dev)");
    }
    let root = workspace.directory.join("deploy-tools/cargo");
    let programs = root.join("bin");
    for (tool, version) in TOOLS {
        if !is_program(&programs.join(tool)) {
            let root = root.to_str().context("the workspace's path is no UTF-8")?;
            cargo::run(workspace, &["install", tool, "--version", version, "--locked", "--root", root])?;
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(programs).chain(std::env::split_paths(&path));
    std::env::join_paths(all).context("the workspace's path has a colon")
}
