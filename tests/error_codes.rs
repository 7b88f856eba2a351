//! Every error code that a program can print has its page in `docs/errors`, and every page a code that is printed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What is in a directory.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a directory of this repository");
    entries.map(|entry| entry.expect("an entry of it").path()).collect()
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(file).expect("a text of this repository")
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for path in entries(directory) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `LS-` and four digits, wherever they stand in the text.
fn codes(text: &str) -> impl Iterator<Item = String> {
    text.match_indices("LS-").filter_map(|(at, _)| {
        let digits = text.get(at + 3..at + 7)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("LS-{digits}"))
    })
}

#[test]
fn every_error_code_has_its_page_and_every_page_its_code() {
    let mut files = Vec::new();
    for package in entries(&root().join("crates")) {
        sources(&package.join("src"), &mut files);
    }
    let printed: BTreeSet<_> = files.iter().flat_map(|file| codes(&text(file)).collect::<Vec<_>>()).collect();
    let docs = root().join("docs/errors");
    let pages: BTreeSet<_> = entries(&docs)
        .iter()
        .filter_map(|page| page.file_stem()?.to_str().map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    assert_eq!(printed, pages);
    let index: BTreeSet<_> = codes(&text(&docs.join("README.md"))).collect();
    assert_eq!(index, pages, "docs/errors/README.md lists other codes");
}
