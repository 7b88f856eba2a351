//! `lockstep destination`, command by command, against a source and a tenant's own database; and no password in anything that
//! is printed.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use lockstep_testkit::installation::{Finished, Installation};
use lockstep_testkit::tenant_database::TenantDatabase;
use serde_json::{Value, json};

use crate::json::{compare, json, tenancy};
use crate::programs::{ended, secret_file, with_changed};
use crate::stage::Stage;

/// A Lockstep that may reach tenants' databases, and one of these. Each has the rows of `world.sql`.
async fn with_tenant() -> Result<(Stage, TenantDatabase)> {
    let stage = Stage::of(Installation::create().await?.with_tenant_databases()?).await?;
    stage.migrate(&["--standalone"]).await?;
    stage.sql(include_str!("world.sql")).await?;
    Ok((stage, TenantDatabase::create().await?))
}

/// Runs `lockstep destination`, with something to read on standard input.
async fn run(stage: &Stage, arguments: &[&str], input: &str) -> Result<Finished> {
    stage.installation.run_with_input("lockstep", &[&["destination"], arguments].concat(), input).await
}

/// Adds a destination; its report.
async fn added(stage: &Stage, arguments: &[&str], connection: &str, code: i32) -> Result<Value> {
    let arguments = [&["add", "-", "--output", "json"], arguments].concat();
    let finished = run(stage, &arguments, connection).await?;
    ensure!(finished.code == Some(code), "{} {}", finished.stdout, finished.stderr);
    let report = serde_json::from_str(&finished.stdout).with_context(|| finished.stdout.clone())?;
    compare("destination add", &report)?;
    Ok(report)
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("no text: {value}"))?.to_owned())
}

fn set_mode(file: &str, mode: u32) -> Result<()> {
    Ok(std::fs::set_permissions(file, PermissionsExt::from_mode(mode))?)
}

/// Ends it all; nothing that was printed has the password.
async fn done(stage: Stage, database: TenantDatabase) -> Result<()> {
    let said = stage.installation.said()?;
    ensure!(!said.contains(database.password()), "a password in {said}");
    database.remove().await?;
    stage.end([]).await
}

#[tokio::test]
async fn destinations_are_added_shown_paused_and_removed_by_commands() -> Result<()> {
    let (stage, database) = with_tenant().await?;
    let (engines, connection) = (tenancy(&stage, "engines").await?, database.connection_string());
    ensure!(json(&stage, "destination list", &[], 0).await?["destinations"] == json!([]));
    // What will be created is shown before anything is.
    let planned = added(&stage, &["--tenant", &engines, "--dry-run"], &connection, 0).await?;
    ensure!(planned["id"].is_null() && planned["tables"].as_array().map(Vec::len) == Some(12), "{planned}");
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.tenant_destination").await?, 0);
    let report = added(&stage, &["--tenant", &engines, "--mapping", "users"], &connection, 0).await?;
    ensure!(report["clean"] == true && report["tables"][0]["table"] == "public.users", "{report}");
    ensure!(report["tables"][0]["columns"][0]["type"] == "uuid" && report["user"] == database.role(), "{report}");
    let id = text(&report["id"])?;
    // What is stored is not what was given.
    let password = database.password();
    let readable = format!(
        "SELECT count(*) FROM lockstep.tenant_destination WHERE position('{password}' IN encode(connection, 'escape')) > 0 OR tenant_destination::text LIKE '%{password}%'"
    );
    assert_eq!(stage.number(&readable).await?, 0);
    let listed = json(&stage, "destination list", &["--tenant", &engines], 0).await?;
    let entry = &listed["destinations"][0];
    ensure!(
        entry["id"] == id.as_str() && entry["state"] == "filling" && entry["mappings"] == json!(["users"]),
        "{entry}"
    );
    let shown = json(&stage, "destination show", &[&id], 0).await?;
    ensure!(shown["mapping_states"][0]["state"] == "filling", "{shown}");
    let tested = json(&stage, "destination test", &[&id], 0).await?;
    ensure!(tested["clean"] == true && tested["findings"].as_array().is_some_and(|all| !all.is_empty()), "{tested}");
    let paused = json(&stage, "pause", &["destination", &id.to_uppercase(), "--reason", "away"], 0).await?;
    assert_eq!(paused["name"], id.as_str(), "by the id as it is stored");
    let shown = json(&stage, "destination show", &[&id], 0).await?;
    ensure!(shown["state"] == "paused" && shown["paused"][0]["reason"] == "away", "{shown}");
    // As nothing runs there are no queues, which the documented form has.
    let status = stage.installation.run("lockstep", &["status", "--output", "json"]).await?;
    let status = serde_json::from_str::<Value>(&status.stdout)?["tenants"].clone();
    ensure!(status["total"] == 1 && status["paused"] == 1 && status["worst"][0]["id"] == id.as_str(), "{status}");
    ensure!(run(&stage, &["resume", &id], "").await?.code == Some(0));
    json(&stage, "doctor", &[], 1).await?;
    // Without a terminal nobody can be asked.
    let asked = run(&stage, &["remove", &id], "drop\n").await?;
    ensure!(asked.code == Some(78) && asked.stderr.starts_with("LS-0229"), "{asked:?}");
    let removed = json(&stage, "destination remove", &[&id, "--keep-tables"], 0).await?;
    ensure!(removed["tables_dropped"] == false, "{removed}");
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.tenant_destination").await?, 0);
    for words in [["show", &id], ["test", &id]] {
        let gone = run(&stage, &words, "").await?;
        ensure!(gone.code == Some(78) && gone.stderr.starts_with("LS-0041"), "{gone:?}");
    }
    done(stage, database).await
}

#[tokio::test]
async fn destinations_with_a_bad_connection_string_are_refused_without_a_value_of_it() -> Result<()> {
    let (stage, database) = with_tenant().await?;
    let engines = tenancy(&stage, "engines").await?;
    let tenant = ["add", "--tenant", &engines];
    let (good, password) = (database.connection_string(), database.password());
    for (bad, code) in [
        (format!("host=db password={password}"), "LS-0223"),
        (format!("postgres://a:{password}@one,two/x"), "LS-0223"),
        (format!("postgres://a:{password}@/x?host=/run/{password}"), "LS-0223"),
        (format!("{good}&options=-c%20search_path={password}"), "LS-0223"),
        (format!("{good}&passfile=/{password}"), "LS-0223"),
        (" \n".to_owned(), "LS-0228"),
    ] {
        let refused = run(&stage, &[&tenant[..], &["-"]].concat(), &bad).await?;
        ensure!(refused.code == Some(78) && refused.stderr.starts_with(code), "{refused:?}");
    }
    // Nor is it taken from where everybody can read it.
    let misplaced: [&[&str]; 3] = [&[&good], &["--connection-env", &good], &["--connection-file", &good]];
    for arguments in misplaced {
        let refused = run(&stage, &[&tenant[..], arguments].concat(), "").await?;
        ensure!(refused.code == Some(78) && refused.stderr.starts_with("LS-0228"), "{refused:?}");
    }
    ensure!(run(&stage, &tenant, &good).await?.code == Some(78), "nobody has said where it comes from");
    // A database that is not there is found, and said without the password; Lockstep's own source is no tenant's database.
    let wrong = database.connection_string_with("hunter2", "sslmode=prefer").replace(database.name(), "nowhere");
    let report = added(&stage, &["--tenant", &engines], &wrong, 1).await?;
    ensure!(report["id"].is_null() && report["clean"] == false && !report.to_string().contains("hunter2"), "{report}");
    let own = added(&stage, &["--tenant", &engines], stage.installation.database().url(), 1).await;
    ensure!(own.is_err() || own.is_ok_and(|report| report["clean"] == false), "the source itself was taken");
    // From a file and from the environment it is taken; and no database twice.
    let file = secret_file(&std::env::temp_dir(), "connection", &good)?;
    let from_file = run(&stage, &[&tenant[..], &["--connection-file", &file]].concat(), "").await?;
    std::fs::remove_file(&file)?;
    ensure!(from_file.code == Some(0) && from_file.stdout.contains("Added: destination"), "{from_file:?}");
    let mut twice = with_changed(&stage, "lockstep", &[("TENANTS_DATABASE", &good)]);
    let twice =
        ended(twice.args(["destination", "add", "--tenant", &engines, "--connection-env", "TENANTS_DATABASE"])).await?;
    let said = String::from_utf8_lossy(&twice.stderr).into_owned();
    ensure!(twice.status.code() == Some(78) && said.starts_with("LS-0226") && !said.contains(password), "{said}");
    done(stage, database).await
}

#[tokio::test]
async fn destinations_keep_their_strings_under_another_key() -> Result<()> {
    let (stage, database) = with_tenant().await?;
    let engines = tenancy(&stage, "engines").await?;
    added(&stage, &["--tenant", &engines], &database.connection_string(), 0).await?;
    let old = stage.installation.environment().into_iter().find(|(name, _)| *name == "LOCKSTEP_SECRET_KEY_FILE");
    let old = std::fs::read_to_string(old.context("a key file")?.1)?;
    let new = "new:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let file = |name: &str, text: &str| -> Result<String> {
        let file = secret_file(&std::env::temp_dir(), name, text)?;
        set_mode(&file, 0o600)?;
        Ok(file)
    };
    let (both, alone) = (file("both", &format!("{new}\n{old}"))?, file("alone", new)?);
    let with_keys = async |file: &str, arguments: &[&str]| {
        ended(with_changed(&stage, "lockstep", &[("LOCKSTEP_SECRET_KEY_FILE", file)]).args(arguments)).await
    };
    // The new key alone opens nothing, and doctor says so.
    let lost = with_keys(&alone, &["destination", "rotate-key", "--output", "json"]).await?;
    let lost_report: Value = serde_json::from_slice(&lost.stdout)?;
    compare("destination rotate-key", &lost_report)?;
    ensure!(lost.status.code() == Some(1) && text(&lost_report["failed"][0]["error"])?.starts_with("LS-0220"));
    let doctor = with_keys(&alone, &["doctor"]).await?;
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    ensure!(said.contains("keys that are not in the file: test"), "{said}");
    let rotated = with_keys(&both, &["destination", "rotate-key", "--output", "json"]).await?;
    let rotated: Value = serde_json::from_slice(&rotated.stdout)?;
    assert_eq!(rotated, json!({"key_id": "new", "resealed": 1, "unchanged": 0, "failed": []}));
    let again = with_keys(&alone, &["destination", "rotate-key", "--output", "json"]).await?;
    let again: Value = serde_json::from_slice(&again.stdout)?;
    ensure!(again["resealed"] == 0 && again["unchanged"] == 1, "{again}");
    // A file that others can read is no key file.
    set_mode(&both, 0o644)?;
    let exposed = with_keys(&both, &["destination", "list"]).await?;
    let said = String::from_utf8_lossy(&exposed.stderr).into_owned();
    ensure!(exposed.status.code() == Some(78) && said.contains("has mode 0644") && said.contains("LS-0001"), "{said}");
    for file in [both, alone] {
        std::fs::remove_file(file)?;
    }
    done(stage, database).await
}

#[tokio::test]
async fn destinations_are_filled_waited_for_changed_and_dropped() -> Result<()> {
    let (stage, database) = with_tenant().await?;
    let engines = tenancy(&stage, "engines").await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let report = added(&stage, &["--tenant", &engines, "--mapping", "users"], &database.connection_string(), 0).await?;
    let id = text(&report["id"])?;
    let waited = json(&stage, "wait", &["--destination", &id], 0).await?;
    ensure!(waited["outcome"] == "in_step" && waited["left_out"] == json!([]), "{waited}");
    let there = database.connect().await?;
    let users = async || -> Result<i64> { Ok(there.query_one("SELECT count(*) FROM public.users", &[]).await?.get(0)) };
    let whole = format!("SELECT count(*) FROM \"ProjectUser\" WHERE \"tenancyId\" = '{engines}'");
    assert_eq!(users().await?, stage.number(&whole).await?);
    let shown = json(&stage, "destination show", &[&id], 0).await?;
    ensure!(shown["state"] == "in_step" && shown["mapping_states"][0]["state"] == "streaming", "{shown}");
    // What was lost there is there again after a refill.
    there.batch_execute("DELETE FROM public.users").await?;
    let refilled =
        stage.installation.succeed("lockstep", &["resync", "--destination", &id, "--output", "json"]).await?;
    let refilled: Value = serde_json::from_str(&refilled.stdout)?;
    compare("resync --destination ID", &refilled)?;
    ensure!(refilled["mappings"] == 1 && refilled["unfinished"].is_null(), "{refilled}");
    assert_eq!(users().await?, stage.number(&whole).await?);
    let changed = json(&stage, "destination change", &[&id, "--mapping", "users", "--mapping", "teams"], 0).await?;
    assert_eq!(changed["filled_again"], json!(["teams"]), "{changed}");
    json(&stage, "wait", &["--destination", &id], 0).await?;
    // One that is paused is left out, unless it is named.
    json(&stage, "pause", &["destination", &id], 0).await?;
    stage
        .sql(&format!("UPDATE \"ProjectUser\" SET \"displayName\" = 'renamed' WHERE \"tenancyId\" = '{engines}'"))
        .await?;
    let waited = json(&stage, "wait", &["--all"], 0).await?;
    ensure!(waited["left_out"] == json!([{"id": id, "why": "paused"}]), "{waited}");
    let waited = json(&stage, "wait", &["--destination", &id, "--timeout", "1"], 2).await?;
    ensure!(waited["lag"]["destinations"][0]["id"] == id.as_str(), "{waited}");
    json(&stage, "resume", &["destination", &id], 0).await?;
    json(&stage, "wait", &["--tenant", &engines], 0).await?;
    let removed = json(&stage, "destination remove", &[&id, "--drop-tables"], 0).await?;
    ensure!(removed["tables_dropped"] == true && removed["removed_rows"]["users"].as_i64() > Some(0), "{removed}");
    let left = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(there.query_one(left, &[]).await?.get::<_, i64>(0), 0);
    drop(there);
    for program in programs {
        program.stop().await?;
    }
    done(stage, database).await
}
