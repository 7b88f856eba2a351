//! What a Debian package holds, and what it has to hold.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::PROGRAMS;
use crate::workspace::Workspace;

const UNITS: &str = "deploy/systemd";
/// How a unit's file ends.
const UNIT: [&str; 2] = [".service", ".timer"];

/// What `dpkg-deb --contents` lists.
pub(super) fn of(package: &Path) -> Result<String> {
    let mut list = Command::new("dpkg-deb");
    list.arg("--contents").arg(package).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = list.output().context("cannot run dpkg-deb")?;
    if !output.status.success() {
        bail!("`dpkg-deb --contents {}` failed ({})", package.display(), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What has to be in the package: each program with its pages, each unit, and every man page that was made.
pub(super) fn wanted(workspace: &Workspace, made: &Path) -> Result<BTreeSet<String>> {
    let of_programs = PROGRAMS.iter().flat_map(|program| of_program(program));
    let units =
        names(&workspace.root.join(UNITS))?.into_iter().filter(|name| UNIT.iter().any(|end| name.ends_with(end)));
    let units = units.map(|unit| format!("usr/lib/systemd/system/{unit}"));
    let pages = names(&made.join("man"))?.into_iter().map(|page| man(&page));
    Ok(of_programs.chain(units).chain(pages).collect())
}

fn of_program(program: &str) -> [String; 6] {
    [
        format!("usr/bin/{program}"),
        man(&format!("{program}.1")),
        format!("usr/share/bash-completion/completions/{program}"),
        format!("usr/share/zsh/vendor-completions/_{program}"),
        format!("usr/share/fish/vendor_completions.d/{program}.fish"),
        format!("usr/share/doc/lockstep/sbom/{program}.cdx.json"),
    ]
}

/// Man pages are compressed when they are packed.
fn man(page: &str) -> String {
    format!("usr/share/man/man1/{page}.gz")
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Returns those that the listing has no file of.
pub(super) fn missing(listing: &str, wanted: &BTreeSet<String>) -> Vec<String> {
    let files: BTreeSet<_> = listing
        .lines()
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    wanted.iter().filter(|file| !files.contains(format!("./{file}").as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_package_lacks_is_named() {
        let listing = "\
drwxr-xr-x 0/0               0 2026-01-01 00:00 ./usr/bin/
drwxr-xr-x 0/0               0 2026-01-01 00:00 ./usr/share/doc/lockstep
-rwxr-xr-x 0/0          123456 2026-01-01 00:00 ./usr/bin/lockstep
-rw-r--r-- 0/0            1234 2026-01-01 00:00 ./usr/share/man/man1/lockstep.1.gz
";
        let wanted = |files: &[&str]| files.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert!(missing(listing, &wanted(&["usr/bin/lockstep", "usr/share/man/man1/lockstep.1.gz"])).is_empty());
        let lacks =
            missing(listing, &wanted(&["usr/bin/lockstep", "usr/bin/lockstep-worker", "usr/share/doc/lockstep"]));
        assert_eq!(lacks, ["usr/bin/lockstep-worker", "usr/share/doc/lockstep"]);
    }

    #[test]
    fn a_package_has_to_hold_every_unit_and_every_program_with_its_pages() {
        let made = std::env::temp_dir().join(format!("lockstep-dist-{}", std::process::id()));
        fs::create_dir_all(made.join("man")).unwrap();
        fs::write(made.join("man/lockstep-wait.1"), "").unwrap();
        let wanted = wanted(&Workspace::find().unwrap(), &made).unwrap();
        fs::remove_dir_all(&made).unwrap();
        for file in [
            "usr/bin/lockstep-verifier",
            "usr/lib/systemd/system/lockstep-worker@.service",
            "usr/lib/systemd/system/lockstep-verifier.timer",
            "usr/share/man/man1/lockstep-worker.1.gz",
            "usr/share/man/man1/lockstep-wait.1.gz",
            "usr/share/zsh/vendor-completions/_lockstep-sequencer",
            "usr/share/doc/lockstep/sbom/lockstep.cdx.json",
        ] {
            assert!(wanted.contains(file), "{file} is not looked for");
        }
        assert!(!wanted.iter().any(|file| file.ends_with("lockstep.env")), "{wanted:?}");
    }
}
