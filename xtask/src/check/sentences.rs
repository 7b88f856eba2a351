//! No sentence is cut over two items: each comment says all of it, since it is read alone in a hover or in rustdoc.

use std::fs;

use anyhow::{Context, Result};

use super::finding::Finding;
use super::sources;
use crate::workspace::Workspace;

const DIRECTORIES: [&str; 5] = ["crates", "migrations", "proto", "tests", "xtask"];
const EXTENSIONS: [&str; 4] = ["rs", "sql", "proto", "toml"];
const MARKS: [&str; 5] = ["///", "//!", "//", "--", "#"];
const ELLIPSES: [&str; 2] = ["…", "..."];

/// Every comment that stops in, or goes on from, the middle of a sentence.
pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in sources::files(workspace, &DIRECTORIES, &EXTENSIONS)? {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        findings.extend(cut(&text).map(|line| Finding {
            file: workspace.shown(&path),
            line,
            what: "a comment is cut by an ellipsis".to_owned(),
            remedy: "say the whole of it in each of the two places",
        }));
    }
    Ok(findings)
}

/// Lines, counted from 1, whose comment begins or ends with an ellipsis.
fn cut(text: &str) -> impl Iterator<Item = usize> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let comment = MARKS.iter().find_map(|mark| line.trim_start().strip_prefix(mark))?.trim();
        let is_cut = ELLIPSES.iter().any(|ellipsis| comment.starts_with(ellipsis) || comment.ends_with(ellipsis));
        is_cut.then_some(index + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_that_begins_or_ends_in_the_middle_of_a_sentence_is_found() {
        // Put together here, so that this file holds no such comment of its own.
        let text =
            ["/// Waits this long %", "const A: u8 = 1;", "    // % or longer.", "-- Whole % and fine.", "# And %"];
        let text = text.join("\n").replace('%', "…");
        assert_eq!(cut(&text).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(cut("let a = [1, ..b]; // ok\nprintln!(\"{a} …\");\n").count(), 0);
    }
}
