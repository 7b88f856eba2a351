//! Which of the installed PostgreSQL versions is used.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::programs::{is_program, on_path};

/// Directories with PostgreSQL's programs, the newest version first.
pub(super) fn candidates() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by(|(left, _), (right, _)| right.cmp(left));
    let on_path = on_path("initdb").and_then(|program| Some(program.canonicalize().ok()?.parent()?.to_owned()));
    let directories = versions.into_iter().map(|(_, directory)| directory).chain(on_path);
    directories
        .filter(|directory| ["initdb", "postgres"].iter().all(|name| is_program(&directory.join(name))))
        .collect()
}

/// The programs to use: those of the version that made the data, if there are data.
pub(super) fn binaries(version: Option<&str>) -> Result<PathBuf> {
    let candidates = candidates();
    let Some(version) = version else {
        return candidates.into_iter().next().context("PostgreSQL is not installed: install the package postgresql");
    };
    let fits = |directory: &PathBuf| {
        let output = Command::new(directory.join("postgres")).arg("--version").output();
        output.is_ok_and(|output| major(&String::from_utf8_lossy(&output.stdout)) == Some(version))
    };
    candidates.into_iter().find(fits).with_context(|| {
        format!(
            "the data were made by PostgreSQL {version}, which is not installed any more: install it, or begin anew \
             with `cargo xtask down --purge`"
        )
    })
}

/// "15" of "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)".
fn major(version: &str) -> Option<&str> {
    version
        .split_whitespace()
        .nth(2)?
        .split(|character: char| !character.is_ascii_digit())
        .next()
        .filter(|digits| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_prints() {
        assert_eq!(major("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), Some("15"));
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some("18"));
        assert_eq!(major("zsh: not found"), None);
    }
}
