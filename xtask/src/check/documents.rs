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
        for (line, link) in linked {
            if !leads_somewhere(&page, link)? {
                findings.push(Finding {
                    file: workspace.shown(&page),
                    line,
                    what: format!("`{link}` does not exist"),
                    remedy: "link to what exists, relative to the page",
                });
            }
        }
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
    links(line).filter_map(|link| link.split('#').next().filter(|file| !file.is_empty())).chain(spans)
}

/// Whether a link of a page leads to a file, and to a heading of it where it names one.
fn leads_somewhere(page: &Path, link: &str) -> Result<bool> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let file = if file.is_empty() { page.to_owned() } else { page.with_file_name(file) };
    if heading.is_empty() || !file.exists() {
        return Ok(file.exists());
    }
    Ok(headings(&fs::read_to_string(file)?).any(|(_, found)| anchor(found) == heading))
}

/// The headings of a page with their depths, without lines in blocks of code.
pub(crate) fn headings(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block = false;
    text.lines().filter_map(move |line| {
        in_block ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        let depth = line.len() - title.len();
        (!in_block && depth > 0 && title.starts_with(' ')).then(|| (depth, title.trim()))
    })
}

/// What a heading is linked by, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|kept| kept.is_alphanumeric() || matches!(kept, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|kept| if kept == ' ' { '-' } else { kept }).collect()
}

/// Files and headings that a line links to.
pub(crate) fn links(line: &str) -> impl Iterator<Item = &str> {
    let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
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
    fn a_heading_is_linked_by_its_anchor() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/json.md");
        for (link, leads) in
            [("#lockstep-access-grant", true), ("errors/README.md#error-codes", true), ("#nothing", false)]
        {
            assert_eq!(leads_somewhere(&page, link).unwrap(), leads, "{link}");
        }
        assert_eq!(anchor("`lockstep pause`, `lockstep resume`"), "lockstep-pause-lockstep-resume");
    }

    #[test]
    fn what_leads_nowhere_is_said_with_its_line() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = "Fine: `xtask/src/main.rs`.\nGone: `xtask/src/nothing.rs`, [too](nowhere.md).\n";
        assert_eq!(missing(text, root), [(2, "nowhere.md"), (2, "xtask/src/nothing.rs")]);
    }
}
