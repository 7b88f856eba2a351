//! What the book tells people to type works: the blocks `sh,tested` of a page run as one script, and what a block `text,printed` shows
//! is printed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::checkout;
use lockstep_testkit::installation::Installation;
use tokio::process::Command;
use uuid::Uuid;

use crate::stage::Stage;

/// A page's commands fill tables and wait for them; the longest, a demo by itself on two cores, takes 40 s.
const LIMIT: Duration = Duration::from_secs(150);

/// Stops what the page has left running. `cargo xtask demo` is the program that it becomes once services and programs are there.
const PRELUDE: &str = r#"
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait || true' EXIT
cargo() { [ "$1 $2" = "xtask demo" ] && shift 2 && lockstep-demo "$@"; }
"#;

/// The texts of all blocks of a kind, in order.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let fence = format!("```{kind}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next()).map(str::to_owned).collect()
}

/// Runs a page in a directory of its own, with the programs and services of a stage.
async fn run(page: &str, stage: &Stage) -> Result<()> {
    let text = std::fs::read_to_string(checkout().join(page)).with_context(|| format!("reading {page}"))?;
    let commands = blocks(&text, "sh,tested");
    ensure!(!commands.is_empty(), "{page} has no block that is tested");
    let directory = std::env::temp_dir().join(format!("lockstep-book-{}", Uuid::new_v4().simple()));
    std::fs::create_dir(&directory)?;
    let programs = stage.installation.program("lockstep");
    let programs = programs.parent().unwrap_or(Path::new("."));
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("{PRELUDE}{}", commands.join("\n"))]).current_dir(&directory);
    bash.envs(stage.installation.environment()).env("PATH", path).env("LOCKSTEP_BIN_DIR", programs);
    bash.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, bash.output()).await.with_context(|| format!("{page} did not end"))??;
    let removed = std::fs::remove_dir_all(&directory);
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned()).concat();
    ensure!(output.status.success(), "{page} ended with {}:\n{said}", output.status);
    for line in blocks(&text, "text,printed").iter().flat_map(|block| block.lines()) {
        ensure!(said.contains(line.trim()), "{page} says that this is printed: {line}\n{said}");
    }
    Ok(removed?)
}

#[tokio::test]
async fn own_database_of_the_book_is_proven_equal() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    run("docs/start/own-database.md", &stage).await?;
    stage.end([]).await
}

#[tokio::test]
async fn quickstart_of_the_book_runs_to_its_end() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    run("docs/start/quickstart.md", &stage).await?;
    stage.end([]).await
}
