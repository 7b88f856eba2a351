//! The documents at the top stay short and true: what they point to exists, and what pages below `docs` link to.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::finding::Finding;
use super::sources;
use crate::workspace::Workspace;

const DOCUMENTS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "migrations/README.md"];
const ARCHITECTURE_LINE_LIMIT: usize = 200;

/// First parts of paths in this repository; code between backticks that begins so is taken for a path.
const PLACES: [&str; 10] =
    ["crates", "deploy", "docs", "migrations", "proto", "tests", "xtask", ".cargo", ".ci", ".config"];

/// Missing documents, one that is too long, and everything that they point to in vain.
pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in DOCUMENTS {
        let finding = |line, what: String, remedy| Finding { file: name.to_owned(), line, what, remedy };
        let path = workspace.root.join(name);
        if !path.exists() {
            findings.push(finding(1, "it is missing".into(), "write it"));
            continue;
        }
        let text = fs::read_to_string(path)?;
        let length = text.lines().count();
        if name == "ARCHITECTURE.md" && length > ARCHITECTURE_LINE_LIMIT {
            let what = format!("it has more than {ARCHITECTURE_LINE_LIMIT} lines");
            findings.push(finding(length, what, "keep to the map; explain the rest next to the code"));
        }
        for (line, target) in missing(&text, &workspace.root) {
            findings.push(finding(line, format!("`{target}` does not exist"), "name what exists"));
        }
    }
    for page in sources::files(workspace, &["docs"], &["md"])? {
        let text = fs::read_to_string(&page)?;
        let linked = text.lines().enumerate().flat_map(|(index, line)| links(line).map(move |link| (index + 1, link)));
        let gone = linked.filter(|(_, link)| !page.with_file_name(link).exists());
        findings.extend(gone.map(|(line, link)| Finding {
            file: workspace.shown(&page),
            line,
            what: format!("`{link}` does not exist"),
            remedy: "link to what exists, relative to the page",
        }));
    }
    Ok(findings)
}

/// Lines and targets of links and paths that lead nowhere.
fn missing<'a>(text: &'a str, root: &Path) -> Vec<(usize, &'a str)> {
    let lines = text.lines().enumerate().flat_map(|(index, line)| targets(line).map(move |target| (index + 1, target)));
    lines.filter(|(_, target)| !root.join(target).exists()).collect()
}

/// Files that a line points to, as links or between backticks.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    // Every second part lies between backticks.
    let spans = line.split('`').skip(1).step_by(2).filter(|span| is_path(span));
    links(line).chain(spans)
}

/// Files that a line links to.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.map(|link| link.split('#').next().unwrap_or_default());
    links.filter(|link| !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:"))
}

fn is_path(span: &str) -> bool {
    let plain = span.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    plain && span.split_once('/').is_some_and(|(first, _)| PLACES.contains(&first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_paths_are_found_and_nothing_else() {
        let line = "See [the map](ARCHITECTURE.md#map), [Rust](https://rust-lang.org), [here](#below), `crates/core/`, \
                    `definitions/*.toml`, `cargo xtask up`, `SEQ-1`, `.ci/run` and `a/b`.";
        assert_eq!(targets(line).collect::<Vec<_>>(), ["ARCHITECTURE.md", "crates/core/", ".ci/run"]);
    }

    #[test]
    fn what_leads_nowhere_is_said_with_its_line() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = "Fine: `xtask/src/main.rs`.\nGone: `xtask/src/nothing.rs`, [too](nowhere.md).\n";
        assert_eq!(missing(text, root), [(2, "nowhere.md"), (2, "xtask/src/nothing.rs")]);
    }
}
