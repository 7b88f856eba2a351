//! What the source has of a key: a row, one that is filtered out or cannot be read, or none any more; and whose it is.

use anyhow::{Result, ensure};

use super::{IN_STEP, NEVER_SEEN, NOT_LOOKED_AT, explained, in_clickhouse, says, told};
use crate::programs::{ended, with_changed};
use crate::quarantine::all_else_in_step;
use crate::stage::Stage;

#[tokio::test]
async fn explain_tells_of_a_row_in_step_of_one_deleted_and_of_one_left_out() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "displayName" = 'hunter2' WHERE "projectUserId" = id('ada');
               DELETE FROM "ProjectUser" WHERE "projectUserId" = id('mary')"#,
        )
        .await?;
    stage.equal().await?;
    let ada = stage.id("ada").await?;
    let story = explained(&stage, "users", &ada, IN_STEP).await?;
    let (of, there) = (&story["tenancies"][0], in_clickhouse(&story));
    ensure!(of["source"]["state"] == "exported" && of["place"]["project_id"] == "engines", "{of}");
    ensure!(of["changes"]["count"].as_i64() >= Some(1), "{of}");
    ensure!(of["changes"]["last"][0]["passed_at"].as_str().is_some_and(|at| at.starts_with("20")), "{of}");
    ensure!(of["changes"]["last"][0]["sequence"] == there["rows"][0]["version"], "{of}");
    ensure!(there["rows"][0]["holds"] == "live" && there["fill"]["state"] == "filled", "{there}");
    says(there, &format!("is in step through number {}", there["cursor"]))?;

    let story = explained(&stage, "users", &format!("id={}", stage.id("mary").await?), IN_STEP).await?;
    ensure!(story["tenancies"][0]["source"]["state"] == "absent", "{story}");
    ensure!(in_clickhouse(&story)["rows"][0]["holds"] == "tombstone", "{story}");

    let story = explained(&stage, "team_invitations", &stage.id("password").await?, IN_STEP).await?;
    ensure!(story["tenancies"][0]["source"]["state"] == "filtered_out", "{story}");
    ensure!(in_clickhouse(&story)["rows"][0]["holds"] == "nothing", "{story}");

    // Whose it is, is found: by the row, or by what ClickHouse still has of it.
    for name in ["ada", "mary"] {
        let id = stage.id(name).await?;
        let story = told(&stage, &["--mapping", "users", "--key", &id], IN_STEP).await?;
        let tenancies = story["tenancies"].as_array().map(Vec::len);
        ensure!(tenancies == Some(1) && story["tenancies"][0]["tenancy"] == *stage.id("engines").await?, "{story}");
    }
    let nobodys = told(&stage, &["--mapping", "users", "--key", &stage.id("nobody").await?], NEVER_SEEN).await?;
    says(&nobodys, "Never seen")?;
    let nobodys = explained(&stage, "users", &stage.id("nobody").await?, NEVER_SEEN).await?;
    ensure!(nobodys["verdict"] == "never_seen", "{nobodys}");
    keys_are_read_or_refused(&stage).await?;
    without_clickhouse(&stage, &ada).await?;
    stage.end(programs).await
}

/// It is said, and all that the source knows is told.
async fn without_clickhouse(stage: &Stage, ada: &str) -> Result<()> {
    let nowhere = [("LOCKSTEP_CLICKHOUSE_URL", "http://127.0.0.1:1")];
    let engines = stage.id("engines").await?;
    for tenant in [&["--tenant", &engines][..], &[]] {
        let arguments = [&["explain", "--mapping", "users", "--key", ada], tenant].concat();
        let told = ended(with_changed(stage, "lockstep", &nowhere).args(arguments)).await?;
        let said = String::from_utf8_lossy(&told.stdout);
        ensure!(told.status.code() == Some(NOT_LOOKED_AT), "{said}");
        ensure!(said.contains("ClickHouse could not be looked at: LS-0201"), "{said}");
        ensure!(said.contains("The source has the row, and exports it."), "{said}");
    }
    Ok(())
}

async fn keys_are_read_or_refused(stage: &Stage) -> Result<()> {
    let ada = stage.id("ada").await?;
    let pair = format!("permission_id=\"publish\",user_id={}", ada.to_uppercase());
    let story = explained(stage, "project_permissions", &pair, IN_STEP).await?;
    ensure!(story["key"]["user_id"] == *ada, "{story}");
    ensure!(story["key"]["permission_id"].as_str().is_some_and(|shown| shown.starts_with("sha256:")), "{story}");
    for (mapping, key, code) in
        [("users", "hunter2", "LS-0046"), ("users", "", "LS-0046"), ("user", &ada[..], "LS-0040")]
    {
        let refused = stage.installation.run("lockstep", &["explain", "--mapping", mapping, "--key", key]).await?;
        ensure!(refused.code == Some(78) && refused.stderr.starts_with(code), "{refused:?}");
        ensure!(!refused.stderr.contains("hunter2"), "{refused:?}");
    }
    let nobody = ["explain", "--mapping", "users", "--key", &ada, "--tenant", &ada];
    let refused = stage.installation.run("lockstep", &nobody).await?;
    ensure!(refused.code == Some(78) && refused.stderr.starts_with("LS-0019"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn explain_tells_of_a_row_that_cannot_be_read_with_its_code() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    // A few kilobytes of JSON that are more than a gigabyte as text.
    stage.sql(r#"UPDATE "ProjectUser" SET "clientMetadata" = (SELECT jsonb_agg('1e131071'::jsonb) FROM generate_series(1, 9000)) WHERE "projectUserId" = id('ada')"#).await?;
    all_else_in_step(&stage).await?;
    let story = explained(&stage, "users", &stage.id("ada").await?, NOT_LOOKED_AT).await?;
    let of = &story["tenancies"][0]["source"];
    ensure!(of["state"] == "unreadable" && of["sql_state"] == "54000", "{story}");
    ensure!(in_clickhouse(&story)["quarantine"][0]["code"] == "LS-0410", "{story}");
    says(&story, "Postgres cannot give the row (SQLSTATE 54000)")?;
    stage.sql(r#"UPDATE "ProjectUser" SET "clientMetadata" = NULL WHERE "projectUserId" = id('ada')"#).await?;
    stage.equal().await?;
    explained(&stage, "users", &stage.id("ada").await?, IN_STEP).await?;
    stage.end(programs).await
}

/// Its rows went along: what is left at its former place is a tombstone, and belongs there.
#[tokio::test]
async fn explain_tells_of_the_places_of_a_tenancy_that_moved_and_of_one_that_is_gone() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.sql(r#"UPDATE "Tenancy" SET "branchId" = 'next' WHERE "id" = id('engines')"#).await?;
    stage.equal().await?;
    let ada = stage.id("ada").await?;
    let story = explained(&stage, "users", &ada, IN_STEP).await?;
    let of = &story["tenancies"][0];
    ensure!(of["place"]["branch_id"] == "next" && of["former_places"][0]["branch_id"] == "main", "{story}");
    let rows = &in_clickhouse(&story)["rows"];
    ensure!(rows[0]["holds"] == "live" && rows[0]["former"] == false, "{rows}");
    ensure!(rows[1]["holds"] == "tombstone" && rows[1]["former"] == true, "{rows}");
    stage.sql(r#"DELETE FROM "Tenancy" WHERE "id" = id('engines')"#).await?;
    stage.in_step().await?;
    let story = explained(&stage, "users", &ada, IN_STEP).await?;
    let of = &story["tenancies"][0];
    ensure!(of["gone"] == true && of["gone_since"].is_string() && of["source"]["state"] == "ownerless", "{story}");
    stage.end(programs).await
}
