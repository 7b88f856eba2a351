//! Every error code that a program can print has its page in `docs/errors`, and every page a code that is printed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
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
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut files);
    }
    let printed: BTreeSet<_> =
        files.iter().flat_map(|file| codes(&std::fs::read_to_string(file).unwrap()).collect::<Vec<_>>()).collect();
    let pages: BTreeSet<_> = std::fs::read_dir(root().join("docs/errors"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().unwrap().strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    assert_eq!(printed, pages);
    let index: BTreeSet<_> = codes(&std::fs::read_to_string(root().join("docs/errors/README.md")).unwrap()).collect();
    assert_eq!(index, pages, "docs/errors/README.md lists other codes");
}
