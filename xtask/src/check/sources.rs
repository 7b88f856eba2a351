//! What every Rust file keeps to, beyond what clippy can see.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::finding::Finding;
use super::test_code;
use crate::workspace::Workspace;

/// Where Rust files lie.
const DIRECTORIES: [&str; 3] = ["crates", "tests", "xtask"];
const LINE_LIMIT: usize = 400;

/// Written in two parts, so that this file does not contain what it looks for.
const LEFTOVERS: [&str; 5] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("db", "g!("),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
];

/// Everything that a file of ours should not hold.
pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut sources = Vec::new();
    for path in files(workspace, &DIRECTORIES, &["rs"])? {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        sources.push((path, text));
    }
    let for_tests: BTreeSet<_> = sources.iter().flat_map(|(path, text)| test_files(path, text)).collect();
    let findings = sources.iter().flat_map(|(path, text)| {
        let shown = workspace.shown(path);
        let in_tests = is_test(&shown) || for_tests.iter().any(|part| path.starts_with(part) || path == part);
        examine(&shown, text, in_tests)
    });
    Ok(findings.collect())
}

/// Files of ours in these directories whose names end so, in order.
pub(super) fn files(workspace: &Workspace, directories: &[&str], extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for directory in directories {
        collect(&workspace.root.join(directory), extensions, &mut files)?;
    }
    files.sort();
    Ok(files)
}

fn collect(directory: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
            collect(&path, extensions, files)?;
        } else if extensions.iter().any(|extension| path.extension().is_some_and(|found| found == *extension)) {
            files.push(path);
        }
    }
    Ok(())
}

/// Files and directories of modules that are declared for tests only.
fn test_files(path: &Path, text: &str) -> Vec<PathBuf> {
    let stem = path.file_stem().unwrap_or_default();
    let owns_directory = ["mod", "lib", "main"].iter().any(|name| stem == *name);
    let directory = if owns_directory { path.with_file_name("") } else { path.with_extension("") };
    let place = |name: &str| [directory.join(name), directory.join(format!("{name}.rs"))];
    test_code::modules(text).into_iter().flat_map(place).collect()
}

/// Whether the whole file is a test, or serves tests only.
fn is_test(file: &str) -> bool {
    file.starts_with("tests/") || file.contains("/tests/")
}

fn examine(file: &str, text: &str, in_tests: bool) -> Vec<Finding> {
    let finding = |line, what: String, remedy| Finding { file: file.to_owned(), line, what, remedy };
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(finding(1, "it does not open with `//!`".into(), "say in one line what the file is for"));
    }
    let length = text.lines().count();
    if length > LINE_LIMIT {
        findings.push(finding(length, format!("it has more than {LINE_LIMIT} lines"), "split it by what it does"));
    }
    for (index, (line, marked)) in text.lines().zip(test_code::marked(text)).enumerate() {
        let test = marked || in_tests;
        let comment = line.trim_start().starts_with("//");
        if let Some(leftover) = LEFTOVERS.iter().find(|leftover| line.contains(**leftover)) {
            findings.push(finding(index + 1, format!("`{leftover}` is left over"), "finish it or take it out"));
        }
        if file.starts_with("crates/") && !test && !comment && line.contains(".unwrap()") {
            let remedy = "return the error, or `expect` with the invariant";
            findings.push(finding(index + 1, "`.unwrap()` outside of tests".into(), remedy));
        }
        if test && !comment && sleeps(line) {
            let remedy = "wait for a condition, with a deadline and a message";
            findings.push(finding(index + 1, "a test sleeps".into(), remedy));
        }
    }
    findings
}

/// Whether a function named `sleep` is called; one in a string is SQL's, and `pg_sleep` is another.
fn sleeps(line: &str) -> bool {
    line.match_indices("sleep(").map(|(index, _)| &line[..index]).any(|before| {
        let another = before.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        let in_string = before.matches('"').count() % 2 == 1;
        !another && !in_string
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(file: &str, text: &str, in_tests: bool) -> Vec<(usize, String)> {
        examine(file, text, in_tests).into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn a_clean_file_passes() {
        let text = "//! Clean.\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { Some(1).unwrap(); }\n}\n";
        assert_eq!(whats("crates/core/src/a.rs", text, false), []);
    }

    #[test]
    fn what_is_wrong_is_found_where_it_is() {
        let text = format!("use a;\nfn a() {{ b().unwrap() }}\n// {} later\n", LEFTOVERS[3]);
        let expected = [
            (1, "it does not open with `//!`".to_owned()),
            (2, "`.unwrap()` outside of tests".to_owned()),
            (3, format!("`{}` is left over", LEFTOVERS[3])),
        ];
        assert_eq!(whats("crates/core/src/a.rs", &text, false), expected);
        assert_eq!(whats("crates/core/src/tests.rs", "//! A.\nfn a() { b().unwrap() }\n", true), []);
    }

    #[test]
    fn a_file_that_is_too_long_is_found() {
        let text = format!("//! Long.\n{}", "fn a() {}\n".repeat(LINE_LIMIT));
        assert_eq!(whats("tests/a.rs", &text, true), [(401, "it has more than 400 lines".to_owned())]);
    }

    #[test]
    fn tests_do_not_sleep() {
        // Put together here, so that this file holds no call of its own.
        let call = |name: &str| format!("//! A.\nfn a() {{ {name}(SHORT).await; }}\n");
        let found = [(2, "a test sleeps".to_owned())];
        assert_eq!(whats("tests/a.rs", &call(concat!("tokio::time::sle", "ep")), true), found);
        assert_eq!(whats("tests/a.rs", &call("client.query(\"SELECT pg_sleep"), true), []);
        assert_eq!(whats("tests/a.rs", &call("read(\"SELECT sleep"), true), []);
        assert_eq!(whats("crates/core/src/a.rs", &call(concat!("sle", "ep")), false), []);
    }

    #[test]
    fn a_module_declared_for_tests_is_a_test() {
        let text = "//! A.\n#[cfg(test)]\nmod oracle;\n";
        let expected = ["crates/x/src/plan/oracle", "crates/x/src/plan/oracle.rs"].map(PathBuf::from);
        assert_eq!(test_files(Path::new("crates/x/src/plan.rs"), text), expected);
        assert_eq!(test_files(Path::new("crates/x/src/plan/mod.rs"), text), expected);
    }
}
