//! `cargo xtask dist`: the Debian package with all that it needs made before, and a look into what came out.

mod contents;
mod tools;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::run::PROGRAMS;
use crate::workspace::Workspace;

/// How `[package.metadata.deb]` names what is made here.
pub(crate) const MADE: &str = "../../.lockstep/dist/";
/// The package that the Debian package is described in.
const PACKAGED: &str = "lockstep-cli";
/// The crates of the programs, each with its program.
const CRATES: [(&str, &str); 4] = [
    (PACKAGED, "lockstep"),
    ("lockstep-sequencer", "lockstep-sequencer"),
    ("lockstep-worker", "lockstep-worker"),
    ("lockstep-verifier", "lockstep-verifier"),
];

/// Builds the package, prints where it is, and fails where something is missing in it.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let directory = workspace.directory.join("dist");
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    let path = tools::ready(workspace)?;
    cargo::run(workspace, &[vec!["build", "--release"], bins(&PROGRAMS)].concat())?;
    write_pages(workspace, &directory)?;
    write_components(workspace, &path, &directory.join("sbom"))?;
    let package = write_package(workspace, &path, &directory)?;
    let wanted = contents::wanted(workspace, &directory)?;
    let missing = contents::missing(&contents::of(&package)?, &wanted);
    if !missing.is_empty() {
        bail!("{} has no {}", workspace.shown(&package), missing.join(", no "));
    }
    println!("{} ({} files looked for and found)", workspace.shown(&package), wanted.len());
    Ok(())
}

fn bins<'a>(programs: &[&'a str]) -> Vec<&'a str> {
    programs.iter().flat_map(|program| ["--bin", program]).collect()
}

/// Not optimised: it runs for milliseconds, and the programs are not compiled a second time with the lab's features.
fn write_pages(workspace: &Workspace, directory: &Path) -> Result<()> {
    cargo::run(workspace, &["build", "--workspace", "--bin", "lockstep-pages"])?;
    let mut pages = Command::new(cargo::binaries(workspace, "debug")?.join("lockstep-pages"));
    pages.arg(directory);
    succeeds(&mut pages)
}

/// Writes what each program is built of, as CycloneDX. The tool writes a file beside every manifest of the workspace.
fn write_components(workspace: &Workspace, path: &OsString, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let mut list = cargo::cargo(workspace);
    list.args(["cyclonedx", "--manifest-path", "crates/cli/Cargo.toml", "--format", "json", "--spec-version", "1.5"]);
    list.args(["--no-build-deps", "--quiet"]).env("PATH", path);
    let listed = succeeds(&mut list);
    let metadata = cargo::metadata(workspace)?;
    for package in metadata["packages"].as_array().context("cargo metadata lists no packages")? {
        let name = package["name"].as_str().context("cargo metadata: a package without a name")?;
        let manifest = package["manifest_path"].as_str().context("cargo metadata: a package without a manifest")?;
        let file = Path::new(manifest).with_file_name(format!("{name}.cdx.json"));
        if !file.exists() {
            continue;
        }
        if let Some((_, program)) = CRATES.iter().find(|(package, _)| *package == name) {
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            // Where the checkout lay is nobody's concern.
            let text = text.replace(&*workspace.root.to_string_lossy(), "");
            let kept = directory.join(format!("{program}.cdx.json"));
            fs::write(&kept, text).with_context(|| format!("cannot write {}", kept.display()))?;
        }
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    listed
}

/// Returns where the package is.
fn write_package(workspace: &Workspace, path: &OsString, directory: &Path) -> Result<PathBuf> {
    let mut deb = cargo::cargo(workspace);
    deb.args(["deb", "--package", PACKAGED, "--no-build", "--output"]).arg(directory).env("PATH", path);
    succeeds(&mut deb)?;
    let files = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut paths = files.filter_map(Result::ok).map(|file| file.path());
    let package = paths.find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    package.with_context(|| format!("cargo deb has written no package into {}", directory.display()))
}

/// Runs a program; what it prints goes to standard error, since standard output belongs to results.
fn succeeds(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        bail!("`{name} {}` failed ({status})", arguments.join(" "));
    }
    Ok(())
}
