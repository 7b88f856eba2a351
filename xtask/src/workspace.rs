//! Where this checkout lies, and the directory `.lockstep` in it that holds everything the private services need.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One checkout of the repository.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The directory with the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// `.lockstep` in it: data, logs, remembered ports; never committed.
    pub(crate) directory: PathBuf,
    /// Tells the services of this checkout from those of another: `lockstep_` and 16 hexadecimal digits of its path.
    pub(crate) instance: String,
}

impl Workspace {
    /// The checkout that this program was started from.
    pub(crate) fn find() -> Result<Self> {
        // `cargo run` says where the package lies now; the compiled-in path covers a direct start.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .filter(|package| package.ends_with("xtask"))
            .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = package.parent().context("xtask lies in no workspace")?;
        let root = root.canonicalize().with_context(|| format!("cannot find the workspace {}", root.display()))?;
        let directory = root.join(".lockstep");
        fs::create_dir_all(directory.join("logs"))
            .with_context(|| format!("cannot create {}: make the workspace writable", directory.display()))?;
        let instance = format!("lockstep_{:016x}", fnv1a(root.as_os_str().as_encoded_bytes()));
        Ok(Self { root, directory, instance })
    }

    /// The log file of a service.
    pub(crate) fn log(&self, service: &str) -> PathBuf {
        self.directory.join("logs").join(format!("{}.log", service.to_lowercase()))
    }

    /// A path as a person in the checkout would write it.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// Writes a file so that a reader, or a later run after a crash, sees the old text or the new one and nothing between.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    fs::write(&partial, text)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): the same for the same path with every compiler.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
