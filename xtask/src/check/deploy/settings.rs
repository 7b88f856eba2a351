//! What is deployed sets only what the programs read: a variable that nobody reads fails silently.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};

use crate::check::finding::Finding;
use crate::check::sources;
use crate::workspace::Workspace;

const PREFIX: &str = "LOCKSTEP_";

/// Variables in chart, units and compose file that no program reads.
pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut read = BTreeSet::new();
    for path in sources::files(workspace, &["crates"], &["rs"])? {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        read.extend(text.split("env = \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    let mut findings = Vec::new();
    for path in sources::files(workspace, &["deploy"], &["yaml", "tpl", "service", "env"])? {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for (index, line) in text.lines().enumerate() {
            let unread = variables(line).filter(|name| !read.contains(*name));
            findings.extend(unread.map(|name| Finding {
                file: workspace.shown(&path),
                line: index + 1,
                what: format!("no program reads {name}"),
                remedy: "name a setting of crates/core/src/settings",
            }));
        }
    }
    Ok(findings)
}

/// Names of settings in a line.
fn variables(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(PREFIX).map(|(at, _)| {
        let rest = &line[at..];
        rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_wherever_they_stand_in_a_line() {
        let line = "Environment=LOCKSTEP_SOURCE_URL_FILE=%d/source-url LOCKSTEP_LOG: \"x\" lockstep_rows";
        assert_eq!(variables(line).collect::<Vec<_>>(), ["LOCKSTEP_SOURCE_URL_FILE", "LOCKSTEP_LOG"]);
    }
}
