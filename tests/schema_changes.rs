//! Definitions that change: columns come and go, types and keys become others, while programs of before still run and readers
//! go on reading.

mod built_beside;
mod columns;
mod readers;

pub(crate) use columns::WITHOUT_NOTE;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::custom_mapping::Definitions;
use crate::stage::{DEADLINE, Stage};
use lockstep_testkit::databases::eventually;

/// What `lockstep migrate` says about tables: each with what is done, and how many rows it holds.
async fn planned(stage: &Stage, arguments: &[&str]) -> Result<Vec<(String, String, u64)>> {
    let arguments = [&["migrate", "--dry-run", "--output", "json"], arguments].concat();
    let said = stage.installation.succeed("lockstep", &arguments).await?.stdout;
    let said: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
    ensure!(said["dry_run"] == true, "{said}");
    let raw = format!("{}.", stage.installation.raw_database());
    let of = |change: &Value| {
        let text = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
        (text("table").replace(&raw, ""), text("action"), change["rows"].as_u64().unwrap_or_default())
    };
    Ok(said["tables"].as_array().context("no tables")?.iter().map(of).collect())
}

/// Waits until the fill of a mapping has ended.
async fn filled(stage: &Stage, mapping: &str) -> Result<()> {
    let sql = format!("SELECT count(*) FROM lockstep.fill WHERE mapping_name = '{mapping}' AND finished_at IS NULL");
    eventually(&format!("{mapping} to be filled"), DEADLINE, async || Ok(stage.number(&sql).await? == 0)).await
}

/// What was read is written within four seconds or never, as if it had always been so: a table that was built beside another
/// takes its place six seconds after that began, at the earliest.
async fn with_short_late_writes(stage: &Stage) -> Result<()> {
    stage.sql("UPDATE lockstep.setting SET value = '4 seconds' WHERE name = 'late_write_limit'").await?;
    stage.sql("UPDATE lockstep.setting SET previous = NULL").await
}

/// Replaces a definition that programs have read when they started.
pub(crate) fn redefine(definitions: &Definitions, before: &str, changes: &[(&str, &str)]) -> Result<String> {
    let mut text = before.to_owned();
    for (from, to) in changes {
        ensure!(text.contains(from), "{from:?} is not in the definition");
        text = text.replace(from, to);
    }
    definitions.write("invoices.toml", &text)?;
    Ok(text)
}
