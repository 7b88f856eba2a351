//! The ClickHouse engine as a library: where it is kept, and how it gets there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::download;
use crate::progress::Task;
use crate::workspace::{Workspace, write_whole};

/// Version of the npm packages `@chdb/lib-…`, which holds ClickHouse 26.7.2.1.
const VERSION: &str = "26.7.3-stable.1";

const REMEDY: &str = "install ClickHouse so that `clickhouse` is on PATH, or set LOCKSTEP_CLICKHOUSE_URL";

/// The library, if it was fetched completely.
pub(super) fn installed(workspace: &Workspace) -> Option<PathBuf> {
    let name = directory_name().ok()?;
    places(workspace).into_iter().find_map(|place| complete(&place.join(&name)))
}

/// Makes sure that the library is there: downloads it once for all checkouts of this user.
pub(super) fn fetch(workspace: &Workspace, task: &Task) -> Result<()> {
    if installed(workspace).is_some() {
        return Ok(());
    }
    let name = directory_name()?;
    let place = places(workspace).into_iter().find(|place| is_writable(place));
    let place = place.with_context(|| format!("no place to keep the ClickHouse library: {REMEDY}"))?;
    // Two checkouts that start at the same moment download it once.
    let lock = File::create(place.join("lock")).context("cannot create the lock of the cache")?;
    if lock.try_lock().is_err() {
        task.say("waiting for another download of the ClickHouse library");
        lock.lock().context("cannot lock the cache")?;
    }
    if complete(&place.join(&name)).is_some() {
        return Ok(());
    }
    let package = format!("@chdb/lib-{}@{VERSION}", platform()?);
    let staging = place.join(format!("{name}.partial"));
    if staging.exists() {
        fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))?;
    }
    fs::create_dir_all(&staging).with_context(|| format!("cannot create {}", staging.display()))?;
    let unpacked = download::unpacked(&package, &staging, task)
        .with_context(|| format!("cannot fetch the npm package {package}; or {REMEDY}"))?;
    keep(&unpacked, &place.join(&name))?;
    fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))
}

/// Moves what was unpacked to its final place, in one step and with its size beside it.
fn keep(unpacked: &Path, directory: &Path) -> Result<()> {
    let library = library_in(unpacked).context("the package holds no libchdb")?;
    let size = File::open(&library).and_then(|file| file.sync_all().and_then(|()| file.metadata()))?.len();
    write_whole(&unpacked.join("size"), &size.to_string())?;
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::rename(unpacked, directory).with_context(|| format!("cannot create {}", directory.display()))
}

/// The library in that directory, if it is as long as it was when it was unpacked.
fn complete(directory: &Path) -> Option<PathBuf> {
    let size: u64 = fs::read_to_string(directory.join("size")).ok()?.parse().ok()?;
    library_in(directory).filter(|library| library.metadata().is_ok_and(|data| data.len() == size))
}

fn library_in(directory: &Path) -> Option<PathBuf> {
    ["libchdb.so", "libchdb.dylib"].iter().map(|name| directory.join(name)).find(|library| library.is_file())
}

/// The user's cache, or the checkout where there is none.
fn places(workspace: &Workspace) -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    cache.into_iter().map(|cache| cache.join("lockstep")).chain([workspace.directory.join("clickhouse")]).collect()
}

fn is_writable(place: &Path) -> bool {
    fs::create_dir_all(place).is_ok() && File::create(place.join("lock")).is_ok()
}

fn directory_name() -> Result<String> {
    Ok(format!("chdb-{}-{VERSION}", platform()?))
}

/// The platform as the npm packages name it.
fn platform() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("linux-x64-gnu"),
        ("linux", "aarch64") => Ok("linux-arm64-gnu"),
        ("macos", "aarch64") => Ok("darwin-arm64"),
        ("macos", "x86_64") => Ok("darwin-x64"),
        (system, processor) => bail!("no ClickHouse library is published for {system} on {processor}: {REMEDY}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_was_cut_short_is_not_used() {
        let place = std::env::temp_dir().join(format!("lockstep-library-{}", std::process::id()));
        let (unpacked, directory) = (place.join("package"), place.join("kept"));
        fs::create_dir_all(&unpacked).unwrap();
        fs::write(unpacked.join("libchdb.so"), "engine").unwrap();
        assert_eq!(complete(&unpacked), None);

        keep(&unpacked, &directory).unwrap();
        assert_eq!(complete(&directory), Some(directory.join("libchdb.so")));

        fs::write(directory.join("libchdb.so"), "eng").unwrap();
        assert_eq!(complete(&directory), None);
        fs::remove_dir_all(place).unwrap();
    }
}
