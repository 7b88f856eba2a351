//! Files that are made from others: the book's list of pages, `llms.txt`, and the reference pages.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::check::{headings, links, metrics_page};
use crate::workspace::{Workspace, write_whole};
use crate::{book, cargo};

/// The chapters of the book, in order.
pub(crate) const SUMMARY: &str = "docs/SUMMARY.md";
const METRICS: &str = "docs/reference/metrics.md";
const LLMS: &str = "llms.txt";

/// Tells the test that compares the pages of commands and settings to write them instead.
const WRITE_VARIABLE: &str = "LOCKSTEP_WRITE_DOCS";

/// Each file with what it should hold. Commands and settings are known to the programs alone: `tests/reference.rs` has them.
pub(crate) fn all(workspace: &Workspace) -> Result<Vec<(&'static str, String)>> {
    let text = fs::read_to_string(workspace.root.join(SUMMARY)).with_context(|| format!("cannot read {SUMMARY}"))?;
    let docs = workspace.root.join("docs");
    let summary = summary(&text, &docs)?;
    let llms = llms(&summary, &docs)?;
    Ok(vec![(SUMMARY, summary), (LLMS, llms), (METRICS, metrics_page(workspace)?)])
}

/// Writes all of them.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    fs::create_dir_all(workspace.root.join("docs/reference"))?;
    // First the metrics, which the others list.
    write_whole(&workspace.root.join(METRICS), &metrics_page(workspace)?)?;
    let mut test = cargo::cargo(workspace);
    // As the tests are built, so that nothing is compiled twice.
    test.args(["test", "--workspace", "--test", "system", "--", "reference"]);
    test.env(WRITE_VARIABLE, "1").stdin(Stdio::null()).stdout(std::io::stderr());
    if !test.status().context("cannot run cargo")?.success() {
        bail!("the pages of commands and settings were not written");
    }
    for (file, text) in all(workspace)? {
        write_whole(&workspace.root.join(file), &text)?;
    }
    Ok(())
}

/// A chapter of the book.
struct Chapter<'a> {
    title: &'a str,
    /// The page below `docs`.
    page: &'a str,
    /// It belongs to the one above.
    nested: bool,
}

impl<'a> Chapter<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let item = line.trim_start();
        let (title, rest) = item.trim_start_matches("- ").strip_prefix('[')?.split_once("](")?;
        Some(Self { title, page: rest.strip_suffix(')')?, nested: item.len() < line.len() })
    }
}

/// The summary, with the pages that an index lists (`errors/README.md` for one) below it in the order of the index.
fn summary(text: &str, docs: &Path) -> Result<String> {
    let mut lines = Vec::new();
    let mut index = String::new();
    for line in text.lines() {
        let chapter = Chapter::of(line);
        let listed = |chapter: &Chapter<'_>| chapter.nested && !index.is_empty() && chapter.page.starts_with(&index);
        if chapter.as_ref().is_some_and(listed) {
            continue;
        }
        lines.push(line.to_owned());
        index.clear();
        let directory = chapter.and_then(|chapter| chapter.page.strip_suffix("README.md"));
        if let Some(directory) = directory.filter(|directory| !directory.is_empty()) {
            index = directory.to_owned();
            lines.extend(pages_of(directory, docs)?);
        }
    }
    Ok(lines.join("\n") + "\n")
}

/// Lines for the pages beside an index that it links to.
fn pages_of(directory: &str, docs: &Path) -> Result<Vec<String>> {
    let index = fs::read_to_string(docs.join(directory).join("README.md"))?;
    let mut lines = Vec::new();
    for page in index.lines().flat_map(links).filter(|link| link.ends_with(".md") && !link.contains('/')) {
        let text = fs::read_to_string(docs.join(directory).join(page)).with_context(|| format!("{directory}{page}"))?;
        let line = format!("  - [{}]({directory}{page})", headings(&text).next().map_or(page, |(_, title)| title));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// What <https://llmstxt.org> asks for: the pages with their addresses, and how each begins.
fn llms(summary: &str, docs: &Path) -> Result<String> {
    let mut text = String::from(
        "# Lockstep\n\n> Keeps every tenant's data in ClickHouse, and in databases of the tenants' own, exactly in step with a multi-tenant \
         Postgres, and proves it.\n\n",
    );
    for line in summary.lines().skip(1) {
        if let Some(part) = line.strip_prefix("# ") {
            write!(text, "\n## {part}\n\n")?;
        }
        let Some(Chapter { title, page, nested: false }) = Chapter::of(line) else { continue };
        let begins = first_sentence(&fs::read_to_string(docs.join(page)).with_context(|| format!("docs/{page}"))?);
        writeln!(text, "- [{title}]({}/docs/{page}): {begins}", book::REPOSITORY)?;
    }
    Ok(text)
}

/// The first sentence of a page's first paragraph.
fn first_sentence(page: &str) -> String {
    let lines = page.lines().skip(1).skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    let paragraph = lines.collect::<Vec<_>>().join(" ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |end| end + 1);
    paragraph[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_its_pages_below_it_and_others_keep_theirs() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs");
        let text = "# Summary\n\n- [Runbooks](runbooks/README.md)\n  - [Gone](runbooks/Gone.md)\n- [One](json.md)\n  - [Two](definitions.md)\n";
        let summary = summary(text, &docs).unwrap();
        assert!(summary.contains("  - [LockstepNoLeader](runbooks/LockstepNoLeader.md)\n"), "{summary}");
        assert!(!summary.contains("Gone"), "{summary}");
        assert!(summary.ends_with("- [One](json.md)\n  - [Two](definitions.md)\n"), "{summary}");
    }

    #[test]
    fn a_page_begins_with_its_first_sentence() {
        assert_eq!(first_sentence("# A\n\nOne line\nand another. More.\n\nElse.\n"), "One line and another.");
        assert_eq!(first_sentence("# A\n\nAll of it.\n"), "All of it.");
    }
}
