//! Units of systemd and the Debian package: what they name exists, and no unit may do more than it needs.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::tools::{Tools, passes};
use crate::cargo;
use crate::check::finding::Finding;
use crate::check::sources;
use crate::dist;
use crate::workspace::Workspace;

const UNITS: &str = "deploy/systemd";
/// The package that `[package.metadata.deb]` stands in.
const PACKAGED: &str = "crates/cli/Cargo.toml";
/// What `systemd-analyze security` may say at most, in tenths: 100 is a unit that may do everything.
const EXPOSURE_LIMIT: &str = "15";

/// Whether systemd takes all units, and finds each service little exposed.
pub(super) fn units_pass(workspace: &Workspace, tools: &Tools<'_>) -> Result<bool> {
    let directory = workspace.directory.join("deploy/units");
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let mut files = Vec::new();
    for path in sources::files(workspace, &[UNITS], &["service", "timer"])? {
        let name = path.file_name().context("a unit without a name")?;
        // The programs are not installed on this machine, and their being there is what systemd asks first.
        let text = fs::read_to_string(&path)?.replace("=/usr/bin/lockstep", "=/bin/true ");
        // A template is looked at as its first instance.
        let copy = directory.join(name.to_string_lossy().replace("@.", "@1."));
        fs::write(&copy, text).with_context(|| format!("cannot write {}", copy.display()))?;
        files.push(copy);
    }
    let mut verify = tools.systemd_analyze();
    let output = verify.args(["verify", "--man=no"]).args(&files).output().context("cannot run systemd-analyze")?;
    // An unknown key is a warning to systemd. What is wrong with units of the machine itself is left to it.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let of_ours: Vec<_> = said.lines().filter(|line| line.contains("lockstep")).collect();
    of_ours.iter().for_each(|line| eprintln!("{line}"));
    let mut pass = of_ours.is_empty();
    for service in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "service")) {
        let mut security = tools.systemd_analyze();
        security.args(["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE_LIMIT]).arg(service);
        pass &= passes(security)?;
    }
    Ok(pass)
}

/// Files that the Debian package is to hold and that no build or checkout has.
pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let metadata = cargo::metadata(workspace)?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let manifest = workspace.root.join(PACKAGED);
    let packaged =
        packages.iter().find(|package| package["manifest_path"].as_str().map(PathBuf::from) == Some(manifest.clone()));
    let deb = packaged.map(|package| &package["metadata"]["deb"]).filter(|deb| deb.is_object());
    let deb = deb.with_context(|| format!("{PACKAGED} has no [package.metadata.deb]"))?;
    let programs: Vec<_> = packages.iter().flat_map(programs).collect();
    let missing = sources_of(deb).into_iter().filter(|source| match source.strip_prefix("target/release/") {
        Some(program) => !programs.contains(&program),
        // Made just before the package is, and looked for in it.
        None if source.starts_with(dist::MADE) => false,
        None => !manifest.with_file_name(source).exists(),
    });
    let finding = |source| Finding {
        file: PACKAGED.to_owned(),
        line: 1,
        what: format!("the Debian package is to hold {source}, which does not exist"),
        remedy: "name what exists",
    };
    Ok(missing.map(finding).collect())
}

fn programs(package: &Value) -> impl Iterator<Item = &str> {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets.filter(|target| target["kind"][0] == "bin").filter_map(|target| target["name"].as_str())
}

/// Everything that `[package.metadata.deb]` names as a source.
fn sources_of(deb: &Value) -> Vec<&str> {
    let assets = deb["assets"].as_array().into_iter().flatten().filter_map(|asset| asset[0].as_str());
    let units = deb["systemd-units"].as_array().into_iter().flatten().filter_map(|unit| unit["unit-scripts"].as_str());
    let more = ["maintainer-scripts", "license-file", "readme"].into_iter().filter_map(|key| deb[key].as_str());
    assets.chain(units).chain(more).collect()
}
