//! The kustomize base is the chart, rendered: for those without Helm.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::tools::{self, Tools};
use crate::workspace::{Workspace, write_whole};

pub(super) const VALUES: &str = "deploy/kustomize/values.yaml";
const BASE: &str = "deploy/kustomize/base/lockstep.yaml";
const HEAD: &str =
    "# Rendered from deploy/helm/lockstep with deploy/kustomize/values.yaml by `cargo xtask check deploy --write`.\n";

/// Whether the base is what the chart renders to now, and kustomize takes it.
pub(super) fn passes(workspace: &Workspace, tools: &Tools<'_>, rendered: &Path, write: bool) -> Result<bool> {
    let file = rendered.join("kustomize.yaml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let wanted = format!("{HEAD}{text}");
    let base = workspace.root.join(BASE);
    if write {
        write_whole(&base, &wanted)?;
    }
    let found = fs::read_to_string(&base).unwrap_or_default();
    if let Some((line, is, should_be)) = first_difference(&found, &wanted) {
        eprintln!(
            "{BASE}:{line}: it is {is:?}, and the chart renders {should_be:?}: run `cargo xtask check deploy --write`"
        );
        return Ok(false);
    }
    let mut kubectl = tools.python("kubectl");
    kubectl.args(["kustomize", "deploy/kustomize/base"]);
    tools::passes(kubectl)
}

/// The first line, counted from 1, in which two texts differ, as both have it.
fn first_difference<'a>(found: &'a str, wanted: &'a str) -> Option<(usize, &'a str, &'a str)> {
    let (mut is, mut should_be) = (found.lines(), wanted.lines());
    (1..)
        .map_while(|line| match (is.next(), should_be.next()) {
            (None, None) => None,
            (is, should_be) => Some((line, is.unwrap_or_default(), should_be.unwrap_or_default(), is == should_be)),
        })
        .find_map(|(line, is, should_be, same)| (!same).then_some((line, is, should_be)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_that_has_drifted_is_named_by_its_first_line() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\nc\n", "a\nx\nc\n"), Some((2, "b", "x")));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some((2, "", "b")));
        assert_eq!(first_difference("a\nb\n", "a\n"), Some((2, "b", "")));
    }
}
