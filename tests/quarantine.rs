//! A row that ClickHouse refuses: everything else arrives, the operator sees it with its error, and it arrives when it is
//! mended, or ClickHouse is.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::installation::Finished;
use serde_json::Value;

use crate::stage::Stage;

pub(crate) const REFUSE: &str =
    "ALTER TABLE {raw}.users ADD CONSTRAINT no_hunter CHECK NOT like(ifNull(display_name, ''), '%hunter2%')";
pub(crate) const HUNTERS: &str = r#"UPDATE "ProjectUser" SET "displayName" = 'hunter2' WHERE "projectUserId" IN (SELECT min("projectUserId"::text)::uuid FROM "ProjectUser")"#;

pub(crate) async fn quarantine(stage: &Stage, arguments: &[&str]) -> Result<Finished> {
    stage.installation.succeed("lockstep", &[&["quarantine"], arguments].concat()).await
}

/// The entries, as `lockstep quarantine list` tells them.
pub(crate) async fn listed(stage: &Stage) -> Result<Vec<Value>> {
    let told = quarantine(stage, &["list", "--output", "json"]).await?.stdout;
    let told: Value = serde_json::from_str(&told).with_context(|| format!("no JSON: {told}"))?;
    Ok(told["entries"].as_array().context("entries")?.clone())
}

/// Waits until nothing is on its way, while something is in quarantine.
pub(crate) async fn all_else_in_step(stage: &Stage) -> Result<()> {
    let waited = stage.installation.run("lockstep", &["wait", "--all", "--timeout", "60"]).await?;
    ensure!(waited.code == Some(1) && waited.stderr.contains("1 rows were refused"), "{waited:?}");
    Ok(())
}

#[tokio::test]
async fn quarantine_keeps_a_refused_row_until_it_is_mended() -> Result<()> {
    let stage = Stage::small().await?;
    stage.in_clickhouse(REFUSE).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let users = stage.seen("SELECT count() FROM {views}.users").await?;
    stage.sql(HUNTERS).await?;
    stage.sql(r#"UPDATE "Team" SET "displayName" = 'renamed'"#).await?;
    all_else_in_step(&stage).await?;
    let renamed = stage.number(r#"SELECT count(*) FROM "Team" t JOIN "Tenancy" y ON y."id" = t."tenancyId""#).await?;
    let shown = stage.seen("SELECT count() FROM {views}.teams WHERE display_name = 'renamed'").await?;
    assert_eq!(shown, renamed.to_string());
    assert_eq!(stage.seen("SELECT count() FROM {views}.users").await?, users, "its former version is still there");
    // The operator sees which row it is, and why.
    let entries = listed(&stage).await?;
    let [entry] = &entries[..] else { anyhow::bail!("{entries:?}") };
    assert_eq!((&entry["mapping"], &entry["code"]), (&"users".into(), &"LS-0203".into()));
    // What there is not is refused, and not an empty list.
    for (flag, nothing, code) in
        [("--mapping", "nope", "LS-0040"), ("--destination", "0b7d3f5e-0000-4000-8000-000000000007", "LS-0041")]
    {
        let refused = stage.installation.run("lockstep", &["quarantine", "list", flag, nothing]).await?;
        ensure!(refused.code == Some(78) && refused.stderr.contains(code), "{refused:?}");
    }
    let told = quarantine(&stage, &["list"]).await?.stdout;
    let id = r#"SELECT "projectUserId"::text FROM "ProjectUser" WHERE "displayName" = 'hunter2'"#;
    let id: String = stage.client.query_one(id, &[]).await?.get(0);
    ensure!(entry["key"]["id"] == id.as_str() && told.contains(&id), "{told}");
    ensure!(told.contains("VIOLATED_CONSTRAINT") && !told.contains("hunter2"), "{told}");
    let status = stage.installation.succeed("lockstep", &["status", "--output", "json"]).await?.stdout;
    assert_eq!(serde_json::from_str::<Value>(&status)?["quarantine"], 1);
    // The verifier does not look away.
    assert_eq!(stage.verifier(&["--mapping", "users"]).await?.code, Some(1));
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'mended' WHERE "displayName" = 'hunter2'"#).await?;
    stage.until("the entry to go", "SELECT count(*) FROM lockstep.quarantine", 0).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn quarantine_is_retried_or_dropped_by_the_operator() -> Result<()> {
    let stage = Stage::small().await?;
    stage.in_clickhouse(REFUSE).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.sql(HUNTERS).await?;
    all_else_in_step(&stage).await?;
    // As long as ClickHouse is as it is, it is refused anew, under a new number.
    let refused_as = listed(&stage).await?[0]["sequence"].as_i64().context("a number")?;
    quarantine(&stage, &["retry", "--mapping", "users"]).await?;
    let anew = format!("SELECT count(*) FROM lockstep.quarantine WHERE sequence > {refused_as}");
    stage.until("it to be refused anew", &anew, 1).await?;
    stage.until("the old entry to go", "SELECT count(*) FROM lockstep.quarantine", 1).await?;
    stage.in_clickhouse("ALTER TABLE {raw}.users DROP CONSTRAINT no_hunter").await?;
    let told = quarantine(&stage, &["retry", "--all"]).await?.stdout;
    ensure!(told.starts_with("1 rows are shipped again"), "{told}");
    stage.until("the entry to go", "SELECT count(*) FROM lockstep.quarantine", 0).await?;
    stage.equal().await?;
    // Forgotten, it is missing all the same, and the verifier says so.
    stage.in_clickhouse(REFUSE).await?;
    stage.sql(&HUNTERS.replace("min(", "max(")).await?;
    all_else_in_step(&stage).await?;
    let told = quarantine(&stage, &["drop", "--all"]).await?.stdout;
    ensure!(told.starts_with("1 rows are forgotten") && told.contains("verifier"), "{told}");
    assert_eq!(listed(&stage).await?, Vec::<Value>::new());
    assert_eq!(stage.verifier(&["--mapping", "users"]).await?.code, Some(1));
    // What is asked for is asked for clearly.
    for (arguments, said) in [(&["retry"][..], "--all"), (&["drop", "--mapping", "no_such"], "LS-0040")] {
        let refused = stage.installation.run("lockstep", &[&["quarantine"], arguments].concat()).await?;
        ensure!(refused.code == Some(78) && refused.stderr.contains(said), "{refused:?}");
    }
    stage.end(programs).await
}
