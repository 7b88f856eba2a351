//! What is proven is written down, shown through which number, and certified; what differs is mended and proven again.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::Value;
use uuid::Uuid;

use crate::json::json;
use crate::stage::Stage;

const VERIFIER: &str = "lockstep-verifier";

/// What is proven of `engines`.
async fn verified(stage: &Stage, code: i32) -> Result<Value> {
    let engines = stage.id("engines").await?;
    json(stage, "verified", &["--tenant", &engines], code).await
}

/// Through which number `users` is proven in ClickHouse.
fn users_through(verified: &Value) -> Result<i64> {
    let proven = verified["proven"].as_array().context("a list")?;
    let users = proven.iter().find(|one| one["mapping"] == "users" && one["destination"] == "clickhouse");
    users.and_then(|users| users["through"].as_i64()).context("users are proven")
}

async fn verify(stage: &Stage, arguments: &[&str], code: i32) -> Result<Value> {
    let arguments = [&["--output", "json", "--settle", "0"], arguments].concat();
    let finished = stage.installation.run(VERIFIER, &arguments).await?;
    ensure!(finished.code == Some(code), "{arguments:?}: {finished:?}");
    serde_json::from_str(&finished.stdout).with_context(|| finished.stdout.clone())
}

/// A pair of keys as files: the private one, the public one.
fn keys() -> Result<[String; 2]> {
    let der = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).ok().context("a key")?;
    let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).ok().context("a key")?;
    let head = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let public = [&head[..], pair.public_key().as_ref()].concat();
    let write = |what: &str, der: &[u8]| -> Result<String> {
        let file = std::env::temp_dir().join(format!("lockstep-{}.pem", Uuid::new_v4()));
        std::fs::write(&file, format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", STANDARD.encode(der)))?;
        Ok(file.to_string_lossy().into_owned())
    };
    Ok([write("PRIVATE KEY", der.as_ref())?, write("PUBLIC KEY", &public)?])
}

#[tokio::test]
async fn ver_1_what_is_proven_is_told_through_which_number_and_certified() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let nothing = verified(&stage, 3).await?;
    ensure!(nothing["unproven"].as_array().is_some_and(|all| all.len() == 12), "{nothing}");
    verify(&stage, &[], 0).await?;
    let first = verified(&stage, 0).await?;
    ensure!(first["unproven"].as_array().is_some_and(Vec::is_empty), "{first}");

    // A later run of one tenancy alone is proof of it, and of nobody else.
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'Renamed' WHERE "projectUserId" = id('ada')"#).await?;
    stage.equal().await?;
    let engines = stage.id("engines").await?;
    verify(&stage, &["--tenant", &engines], 0).await?;
    let later = verified(&stage, 0).await?;
    ensure!(users_through(&later)? > users_through(&first)?, "{first} {later}");

    let [private, public] = keys()?;
    let sign = ["verified", "--tenant", &engines, "--certificate", "--signing-key", &private];
    let certificate = stage.installation.succeed("lockstep", &sign).await?.stdout;
    let file = format!("{private}.json");
    let check = ["verified", "--check", &file, "--public-key", &public];
    std::fs::write(&file, &certificate)?;
    let checked = stage.installation.succeed("lockstep", &check).await?;
    let statement: Value = serde_json::from_str(&checked.stdout)?;
    ensure!(
        users_through(&statement)? == users_through(&later)? && statement["tenancy"] == engines.as_str(),
        "{statement}"
    );
    std::fs::write(&file, certificate.replace("content", "claimed"))?;
    let changed = stage.installation.run("lockstep", &check).await?;
    ensure!(changed.code == Some(1) && changed.stderr.contains("LS-0048"), "{changed:?}");
    let swapped = ["verified", "--tenant", &engines, "--certificate", "--signing-key", &public];
    let swapped = stage.installation.run("lockstep", &swapped).await?;
    ensure!(swapped.code == Some(78) && swapped.stderr.contains("LS-0047"), "{swapped:?}");
    stage.end(programs).await
}

/// All rows came by fills, and no change has a number: what is found equal is proven all the same, and what is filled again is not.
#[tokio::test]
async fn ver_1_a_proof_of_what_has_not_changed_is_a_proof() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(include_str!("world.sql")).await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.change").await?, 0);
    ensure!(verified(&stage, 3).await?["proven"].as_array().is_some_and(Vec::is_empty), "nobody has looked yet");

    verify(&stage, &[], 0).await?;
    let proven = verified(&stage, 0).await?;
    ensure!(proven["unproven"].as_array().is_some_and(Vec::is_empty) && users_through(&proven)? == 0, "{proven}");

    stage.installation.succeed("lockstep", &["resync", "--mapping", "users"]).await?;
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.change").await?, 0);
    let filled = verified(&stage, 3).await?;
    assert_eq!(filled["unproven"], serde_json::json!(["users"]), "{filled}");
    verify(&stage, &[], 0).await?;
    ensure!(users_through(&verified(&stage, 0).await?)? == 0, "what was filled again was looked at again");

    // A change does not take away what was proven before it.
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'Renamed' WHERE "projectUserId" = id('ada')"#).await?;
    stage.equal().await?;
    ensure!(users_through(&verified(&stage, 0).await?)? == 0, "it is still proven");
    stage.end(programs).await
}

/// Whoever lived there meanwhile may have left rows: that place was proven of another time.
#[tokio::test]
async fn ver_1_nothing_is_proven_from_before_a_tenancy_came_back_to_its_place() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    verify(&stage, &[], 0).await?;
    verified(&stage, 0).await?;
    for branch in ["next", "main"] {
        stage.sql(&format!(r#"UPDATE "Tenancy" SET "branchId" = '{branch}' WHERE "id" = id('engines')"#)).await?;
        stage.equal().await?;
        let nothing = verified(&stage, 3).await?;
        ensure!(nothing["unproven"].as_array().is_some_and(|all| all.len() == 12), "{branch}: {nothing}");
    }
    verify(&stage, &[], 0).await?;
    verified(&stage, 0).await?;
    stage.end(programs).await
}

#[tokio::test]
async fn ver_1_what_differs_is_mended_through_the_inbox_and_proven_again() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    verify(&stage, &[], 0).await?;
    let before = users_through(&verified(&stage, 0).await?)?;
    let (ada, mary) = (stage.id("ada").await?, stage.id("mary").await?);
    for (change, of) in [
        ("'hunter2' AS display_name", &ada),
        ("1 AS sync_is_deleted", &mary),
        ("'orphan' AS display_name, generateUUIDv4() AS id, 1 AS sync_sequence_id", &ada),
    ] {
        let planted = format!(
            "INSERT INTO {{raw}}.users SELECT * REPLACE ({change}) FROM (SELECT * FROM {{raw}}.users FINAL WHERE id = '{of}')"
        );
        stage.in_clickhouse(&planted).await?;
    }
    verify(&stage, &[], 1).await?;
    let open = verified(&stage, 1).await?;
    let classes: Vec<_> = open["findings"].as_array().into_iter().flatten().map(|one| one["class"].clone()).collect();
    ensure!(classes.contains(&"corrupt".into()) && classes.contains(&"lost".into()), "{open}");
    ensure!(users_through(&open)? == before, "what was proven before is forgotten: {open}");

    let planned = verify(&stage, &["--repair", "plan"], 1).await?;
    ensure!(planned["repair"]["rows"]["users"] == 3 && planned["repair"]["is_done"] == false, "{planned}");
    let few = stage.installation.run(VERIFIER, &["--repair", "apply", "--max-repairs", "2"]).await?;
    ensure!(few.code == Some(1) && few.stdout.contains("LS-0313") && few.stdout.contains("corrupt"), "{few:?}");
    verify(&stage, &[], 1).await?;

    let mended = verify(&stage, &["--repair", "apply"], 0).await?;
    ensure!(mended["repair"]["has_arrived"] == true && mended["verdict"] == "equal", "{mended}");
    const NOTED: &str = "SELECT count(*) FROM lockstep.action WHERE what = 'verifier --repair' AND arguments->'rows'->>'users' = '3' AND outcome IS NOT NULL";
    assert_eq!(stage.number(NOTED).await?, 1, "who mended it is not written down");
    stage.equal().await?;
    let proven = verified(&stage, 0).await?;
    ensure!(users_through(&proven)? > before && proven["findings"].as_array().is_some_and(Vec::is_empty), "{proven}");
    ensure!(!stage.installation.said()?.contains("hunter2"), "a value was said");
    stage.end(programs).await
}

/// What a row holds is not compared there.
#[tokio::test]
async fn ver_1_by_versions_nothing_is_proven_and_nothing_that_was_found_is_over() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let users = async || -> Result<[Value; 2]> {
        let listed = json(&stage, "mapping list", &[], 0).await?;
        let users = listed["mappings"].as_array().into_iter().flatten().find(|one| one["name"] == "users");
        Ok(["last_verdict", "equal_at"].map(|of| users.map_or(Value::Null, |users| users[of].clone())))
    };
    verify(&stage, &["--level", "versions"], 0).await?;
    assert_eq!(users().await?, ["equal".into(), Value::Null]);
    let planted = "INSERT INTO {raw}.users SELECT * REPLACE ('hunter2' AS display_name) FROM {raw}.users FINAL LIMIT 1";
    stage.in_clickhouse(planted).await?;
    for (level, code) in [("content", 1), ("versions", 0)] {
        verify(&stage, &["--level", level], code).await?;
        assert_eq!(users().await?, ["different".into(), Value::Null], "{level}");
    }
    stage.end(programs).await
}

#[tokio::test]
async fn ver_1_the_self_test_finds_every_defect_that_it_plants_and_mends_it() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let canary = r#"INSERT INTO "Project" ("id", "displayName", "description", "isProductionMode", "updatedAt") VALUES ('canary', '', '', FALSE, now());
        INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES (id('canary'), 'canary', 'main', 'TRUE', now());
        INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
        SELECT id('canary'), gen_random_uuid(), 'canary', 'main', 'Team ' || n, now() FROM generate_series(1, 5) n"#;
    stage.sql(canary).await?;
    stage.equal().await?;
    let tenant = stage.id("canary").await?;
    let tested = stage.installation.run(VERIFIER, &["self-test", "--tenant", &tenant, "--output", "json"]).await?;
    ensure!(tested.code == Some(0), "{tested:?}");
    let report: Value = serde_json::from_str(&tested.stdout)?;
    ensure!(report["planted"].as_object().is_some_and(|planted| planted.len() == 6), "{report}");
    stage.equal().await?;
    let shared = stage.id("engines").await?;
    let unfit = ["self-test", "--tenant", &shared, "--mapping", "team_permissions"];
    let unfit = stage.installation.run(VERIFIER, &unfit).await?;
    ensure!(unfit.code == Some(78) && unfit.stderr.contains("LS-0314"), "{unfit:?}");
    stage.end(programs).await
}
