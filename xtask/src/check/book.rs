//! Every page of `docs` is in a chapter of the book, and what is made from code is what it would be made into now.

use std::fs;

use anyhow::Result;

use super::finding::Finding;
use super::sources;
use crate::generated;
use crate::workspace::Workspace;

/// Pages that no chapter names, and generated files that are out of date.
pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let finding = |file: String, what: &str, remedy| Finding { file, line: 1, what: what.to_owned(), remedy };
    let mut findings = Vec::new();
    for (file, text) in generated::all(workspace)? {
        if fs::read_to_string(workspace.root.join(file)).unwrap_or_default() != text {
            findings.push(finding(file.to_owned(), "it is not what it would be made into now", "cargo xtask generate"));
        }
    }
    let docs = workspace.root.join("docs");
    let summary = fs::read_to_string(workspace.root.join(generated::SUMMARY))?;
    for page in sources::files(workspace, &["docs"], &["md"])? {
        let Ok(name) = page.strip_prefix(&docs) else { continue };
        let named = summary.contains(&format!("]({})", name.display()));
        if !named && !page.ends_with("SUMMARY.md") {
            let remedy = "name it in docs/SUMMARY.md, or in the README.md beside it and run cargo xtask generate";
            findings.push(finding(workspace.shown(&page), "it is in no chapter of the book", remedy));
        }
    }
    Ok(findings)
}
