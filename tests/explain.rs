//! `lockstep explain`: one row's whole story, from the source to every destination, against real programs.
//!
//! The JSON of each story has the documented fields, and nothing that is printed holds a value of a row.

mod on_its_way;
mod source;
mod tenants;
mod wrong;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::json::json;
use crate::stage::Stage;

/// What rows hold, and nothing may say.
const SECRET: &str = "hunter2";

/// Exit codes, by verdict.
const IN_STEP: i32 = 0;
const WRONG: i32 = 1;
const ON_ITS_WAY: i32 = 2;
const NOT_LOOKED_AT: i32 = 3;
const NEVER_SEEN: i32 = 3;

/// The story of a key of `engines`.
async fn explained(stage: &Stage, mapping: &str, key: &str, code: i32) -> Result<Value> {
    let engines = stage.id("engines").await?;
    told(stage, &["--mapping", mapping, "--key", key, "--tenant", &engines], code).await
}

/// A story, as JSON and in sentences: with the same verdict.
async fn told(stage: &Stage, arguments: &[&str], code: i32) -> Result<Value> {
    let value = json(stage, "explain", arguments, code).await?;
    let text = stage.installation.run("lockstep", &[&["explain"], arguments].concat()).await?;
    ensure!(text.code == Some(code), "{text:?}");
    // A database that is away may fail in another way each time.
    let sentence = value["sentence"].as_str().unwrap_or("no sentence").split(": LS-").next().unwrap_or_default();
    let destinations = value["tenancies"].as_array().into_iter().flatten().map(|one| one["destinations"].as_array());
    let is_alone = destinations.map(|all| all.map_or(0, Vec::len)).sum::<usize>() == 1;
    let told = text.stdout.matches(sentence).count();
    ensure!(told == 1 || told > 1 && !is_alone, "{} {value}", text.stdout);
    ensure!(text.stdout.matches("Not everywhere was looked").count() <= 1, "{}", text.stdout);
    ensure!(!stage.installation.said()?.contains(SECRET), "a value was said");
    Ok(value)
}

/// The part of a story that is of a destination of the only tenancy.
fn at<'v>(story: &'v Value, destination: &str) -> &'v Value {
    let all = story["tenancies"][0]["destinations"].as_array();
    all.and_then(|all| all.iter().find(|one| one["destination"] == destination)).unwrap_or(&Value::Null)
}

fn in_clickhouse(story: &Value) -> &Value {
    at(story, "clickhouse")
}

/// The sentence of a verdict holds this.
fn says(part: &Value, what: &str) -> Result<()> {
    ensure!(part["sentence"].as_str().is_some_and(|sentence| sentence.contains(what)), "not {what:?}: {part}");
    Ok(())
}
