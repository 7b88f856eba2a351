//! Downloading and unpacking an npm package, with a bar that shows how far it is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Package;
use crate::deadline::wait_until;
use crate::programs::on_path;
use crate::progress::Task;

/// Enough for a slow line: the largest package, of 178 MB, at 1.2 Mbit/s.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(20 * 60);
const UNPACK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Downloads the package into the staging directory and unpacks it there; returns the directory with its files.
/// npm compares the download with the checksum that the registry publishes.
pub(super) fn unpacked(package: &Package, staging: &Path, task: &Task) -> Result<PathBuf> {
    let Package { name, version, what, packed_bytes, unpacked_bytes, .. } = package;
    let Some(npm) = on_path("npm") else {
        bail!("npm is not installed: install Node.js with npm (package npm of Debian and Ubuntu)");
    };
    task.say(&format!("downloading {what} ({} MB)", packed_bytes / 1_000_000));
    let mut pack = Command::new(npm);
    let package = format!("{name}@{version}");
    pack.args(["pack", &package, "--silent", "--pack-destination"]).arg(staging).current_dir(staging);
    // A cache of its own: npm fills it while it downloads, which is what the bar shows, and it is removed afterwards.
    pack.arg("--cache").arg(staging.join("npm-cache"));
    run(pack, staging, DOWNLOAD_LIMIT, || task.measure(size(staging), *packed_bytes))?;
    let archive = files(staging).find(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    let archive = archive.context("npm pack has left no archive")?;

    task.say(&format!("unpacking {what} ({} MB)", unpacked_bytes / 1_000_000));
    let mut tar = Command::new("tar");
    tar.args(["--no-same-owner", "-xzf"]).arg(archive).arg("-C").arg(staging);
    let package = staging.join("package");
    run(tar, staging, UNPACK_LIMIT, || task.measure(size(&package), *unpacked_bytes))?;
    task.say(&format!("keeping {what}"));
    Ok(package)
}

/// Runs a program to its end, saying now and then that it still runs.
fn run(mut command: Command, staging: &Path, limit: Duration, watch: impl Fn()) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = staging.join("output");
    let log = File::create(&output)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
    let ended = wait_until(limit, || {
        watch();
        Ok(child.try_wait()?)
    })?;
    match ended {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("{name} failed ({status}): {}", fs::read_to_string(&output)?.trim()),
        None => {
            child.kill().and_then(|()| child.wait())?;
            bail!("{name} was stopped: it took longer than {} s", limit.as_secs())
        }
    }
}

fn files(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Bytes below a directory; what vanishes meanwhile counts nothing.
fn size(directory: &Path) -> u64 {
    files(directory)
        .map(|path| if path.is_dir() { size(&path) } else { path.metadata().map_or(0, |data| data.len()) })
        .sum()
}
