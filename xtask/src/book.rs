//! `cargo xtask book`: the pages of `docs` as a book, with every link in it looked at.

mod html;

use std::fs;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::progress::Progress;
use crate::python;
use crate::workspace::Workspace;

/// Where files of this repository can be read that are no pages of the book.
pub(crate) const REPOSITORY: &str = "https://github.com/lockstep-sync/lockstep/blob/main";

/// The book's builder, with its version and the hashes of its files.
const REQUIREMENTS: &str = "docs/book/requirements.txt";

/// Builds the book below `.lockstep/book`. Fails where a link in it leads nowhere.
pub(crate) fn build(workspace: &Workspace) -> Result<ExitCode> {
    let (tools, output) = (workspace.directory.join("book-tools"), workspace.directory.join("book"));
    let environment = python::environment(workspace, REQUIREMENTS, &tools, &Progress::new().task("mdbook"))?;
    if output.exists() {
        fs::remove_dir_all(&output).with_context(|| format!("cannot remove {}", output.display()))?;
    }
    let mut mdbook = Command::new(environment.join("bin/mdbook"));
    mdbook.args(["build", "docs/book"]).current_dir(&workspace.root).stdin(Stdio::null());
    let built = mdbook.output().context("cannot run mdbook")?;
    let said = String::from_utf8_lossy(&built.stderr);
    if !built.status.success() || said.contains("WARN") {
        bail!("mdbook is not content:\n{said}");
    }
    let dead = html::mend(&output, &workspace.root)?;
    dead.iter().for_each(|link| eprintln!("{link}"));
    if !dead.is_empty() {
        eprintln!("book: {} links lead nowhere", dead.len());
        return Ok(ExitCode::FAILURE);
    }
    println!("{}", output.join("index.html").display());
    Ok(ExitCode::SUCCESS)
}
