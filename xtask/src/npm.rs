//! Packages of npm with programs or libraries in them: where they are kept, and how they get there.

mod download;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::progress::Task;
use crate::workspace::{Workspace, write_whole};

/// One version of a package.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its name, which differs between platforms.
    pub(crate) name: String,
    pub(crate) version: &'static str,
    /// What it holds, for people.
    pub(crate) what: &'static str,
    /// Files that it may hold, of which the first that is there proves by its length that all of it was unpacked.
    pub(crate) proofs: &'static [&'static str],
    /// Size of the archive, about; for bars and messages alone.
    pub(crate) packed_bytes: u64,
    /// Size of its files, about.
    pub(crate) unpacked_bytes: u64,
    /// What a person can do where it cannot be had.
    pub(crate) remedy: &'static str,
}

impl Package {
    /// The directory with its files, if it was fetched completely.
    pub(crate) fn installed(&self, workspace: &Workspace) -> Option<PathBuf> {
        let directories = places(workspace).into_iter().map(|place| place.join(self.directory_name()));
        directories.into_iter().find(|directory| is_complete(directory, self.proofs))
    }

    /// Makes sure that it is there, and returns the directory with its files: it is downloaded once for all checkouts of
    /// this user.
    pub(crate) fn fetch(&self, workspace: &Workspace, task: &Task) -> Result<PathBuf> {
        if let Some(directory) = self.installed(workspace) {
            return Ok(directory);
        }
        let (name, what, remedy) = (self.directory_name(), self.what, self.remedy);
        let place = places(workspace).into_iter().find(|place| is_writable(place));
        let place = place.with_context(|| format!("no place to keep {what}: {remedy}"))?;
        // Two checkouts that start at the same moment download it once.
        let lock = File::create(place.join(format!("{name}.lock"))).context("cannot create the lock of the cache")?;
        if lock.try_lock().is_err() {
            task.say(&format!("waiting for another download of {what}"));
            lock.lock().context("cannot lock the cache")?;
        }
        let directory = place.join(&name);
        if is_complete(&directory, self.proofs) {
            return Ok(directory);
        }
        let staging = place.join(format!("{name}.partial"));
        if staging.exists() {
            fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))?;
        }
        fs::create_dir_all(&staging).with_context(|| format!("cannot create {}", staging.display()))?;
        let unpacked = download::unpacked(self, &staging, task)
            .with_context(|| format!("cannot fetch the npm package {}@{}; or {remedy}", self.name, self.version))?;
        keep(&unpacked, &directory, self.proofs)?;
        fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))?;
        Ok(directory)
    }

    /// `@chdb/lib-linux-x64-gnu` becomes `chdb-lib-linux-x64-gnu-` and the version.
    fn directory_name(&self) -> String {
        format!("{}-{}", self.name.trim_start_matches('@').replace('/', "-"), self.version)
    }
}

/// Moves what was unpacked to its final place, in one step and with the size of its proof beside it.
fn keep(unpacked: &Path, directory: &Path, proofs: &[&str]) -> Result<()> {
    let Some(proof) = proof_in(unpacked, proofs) else { bail!("the package holds no {}", proofs.join(" and no ")) };
    let size = File::open(&proof).and_then(|file| file.sync_all().and_then(|()| file.metadata()))?.len();
    write_whole(&unpacked.join("size"), &size.to_string())?;
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::rename(unpacked, directory).with_context(|| format!("cannot create {}", directory.display()))
}

/// Whether the proof in that directory is as long as it was when it was unpacked.
fn is_complete(directory: &Path, proofs: &[&str]) -> bool {
    let size = fs::read_to_string(directory.join("size")).ok().and_then(|size| size.parse::<u64>().ok());
    let length = proof_in(directory, proofs).and_then(|proof| Some(proof.metadata().ok()?.len()));
    size.is_some() && size == length
}

fn proof_in(directory: &Path, proofs: &[&str]) -> Option<PathBuf> {
    proofs.iter().map(|name| directory.join(name)).find(|file| file.is_file())
}

/// The user's cache, or the checkout where there is none.
fn places(workspace: &Workspace) -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    cache.into_iter().map(|cache| cache.join("lockstep")).chain([workspace.directory.join("packages")]).collect()
}

fn is_writable(place: &Path) -> bool {
    fs::create_dir_all(place).is_ok() && File::create(place.join("lock")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_was_cut_short_is_not_used() {
        const PROOFS: &[&str] = &["libchdb.so", "libchdb.dylib"];
        let place = std::env::temp_dir().join(format!("lockstep-library-{}", std::process::id()));
        let (unpacked, directory) = (place.join("package"), place.join("kept"));
        fs::create_dir_all(&unpacked).unwrap();
        fs::write(unpacked.join("libchdb.so"), "engine").unwrap();
        assert!(!is_complete(&directory, PROOFS));
        assert!(!is_complete(&unpacked, PROOFS), "it has no size beside it");

        keep(&unpacked, &directory, PROOFS).unwrap();
        assert!(is_complete(&directory, PROOFS));

        fs::write(directory.join("libchdb.so"), "eng").unwrap();
        assert!(!is_complete(&directory, PROOFS));
        fs::remove_dir_all(place).unwrap();
    }
}
