//! DEST-1: a password that is wrong and a certificate of another name keep Lockstep out of one tenant's database, until they are
//! right; and no password is said by anything.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::eventually;

use super::own_server::OwnServer;
use super::scene::Scene;
use crate::own_databases::OwnDatabase;
use crate::stage::{DEADLINE, Stage};

async fn scene(server: &OwnServer, parameters: &str) -> Result<Scene> {
    let stage = Stage::small_with_tenants().await?;
    let engines = stage.id("engines").await?;
    let database = server.database().await?;
    let connection = database.connection_string_with(database.password(), parameters);
    // The command does not know the authorities that the worker is given.
    let own = stage.add_database(&engines, &[], database, &connection, &["--unchecked"]).await?;
    Scene::with_workers(stage, own, &[("LOCKSTEP_TLS_CA_FILE", server.authorities())]).await
}

#[tokio::test]
async fn dest_1_a_wrong_password_is_told_and_a_new_one_is_taken_at_once() -> Result<()> {
    let server = OwnServer::start().await?;
    let mut scene = scene(&server, "sslmode=require").await?;
    let (role, right) = (scene.troubled.database.role().to_owned(), scene.troubled.database.password().to_owned());
    scene.troubled.sql(&format!("ALTER ROLE {role} PASSWORD 'another-{right}'")).await?;
    scene.troubled.database.end_sessions().await?;
    scene.until_failing("LS-0204").await?;
    // Whoever looks is told in words, and of no password.
    let tested = scene.stage.destination(&["test", &scene.troubled.id]).await?;
    ensure!(tested.code == Some(1), "{tested:?}");
    let anew = scene.troubled.database.connection_string_with(&format!("another-{right}"), "sslmode=require");
    let changed = ["destination", "change", &scene.troubled.id, "-"];
    let changed = scene.stage.installation.run_with_input("lockstep", &changed, &anew).await?;
    ensure!(changed.code == Some(0), "{changed:?}");
    scene.until_recovered().await?;
    scene.end().await
}

#[tokio::test]
async fn dest_1_a_certificate_of_another_name_is_refused() -> Result<()> {
    let server = OwnServer::start().await?;
    let mut scene = scene(&server, "sslmode=verify-full").await?;
    ensure!(is_encrypted(&scene.troubled).await?, "it was not encrypted before");
    server.shows(1).await?;
    scene.troubled.database.end_sessions().await?;
    scene.until_failing("LS-0204").await?;
    let named = "error LIKE '%certificate%name%'";
    scene.stage.until_registered(&scene.troubled, "the certificate to be named", named).await?;
    server.shows(0).await?;
    scene.until_recovered().await?;
    ensure!(is_encrypted(&scene.troubled).await?);
    scene.end().await
}

async fn is_encrypted(own: &OwnDatabase) -> Result<bool> {
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = '{}' AND s.ssl",
        own.database.role()
    );
    Ok(own.number(&sessions).await? > 0)
}

/// Whatever ends them: programs that hold the key, or may, leave no core.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn tenants_secrets_are_in_no_core_dump() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    for program in &programs {
        let limits = format!("/proc/{}/limits", program.id().context("it has ended")?);
        eventually("no core to be allowed", DEADLINE, async || {
            let limits = std::fs::read_to_string(&limits)?;
            let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
            let core: Vec<_> = core.unwrap_or_default().split_whitespace().collect();
            ensure!(core.starts_with(&["0", "0"]), "{limits}");
            Ok(true)
        })
        .await?;
    }
    stage.end(programs).await
}

/// Every command about a destination, in words and as JSON, with a connection that works, one that does not, and ones that
/// cannot be one: what they say, and what the daemons log meanwhile, holds no password.
#[tokio::test]
async fn tenants_passwords_are_said_by_no_command_and_no_daemon() -> Result<()> {
    let server = OwnServer::start().await?;
    let mut scene = scene(&server, "sslmode=require").await?;
    let (engines, id) = (scene.troubled.tenancy.clone(), scene.troubled.id.clone());
    let password = scene.troubled.database.password().to_owned();
    let json = ["--output", "json"];
    for command in [
        &["destination", "list"][..],
        &["destination", "show", &id],
        &["destination", "test", &id],
        &["status"],
        &["doctor"],
        &["destination", "rotate-key"],
        &["destination", "pause", &id],
        &["destination", "resume", &id],
        &[&["destination", "list"][..], &json].concat(),
        &[&["destination", "show", &id][..], &json].concat(),
        &[&["status"][..], &json].concat(),
    ] {
        scene.stage.installation.run("lockstep", command).await?;
    }
    let good = scene.troubled.database.connection_string();
    let place = good.split_once('@').map(|(_, place)| place.to_owned()).unwrap_or_default();
    for text in [
        good.clone(),
        good.replacen("127.0.0.1", "10.1.2.3", 1),
        good.replacen("127.0.0.1", "no-such-host.invalid", 1),
        good.replacen("postgres://", "mysql://", 1),
        good.replacen("sslmode=prefer", &format!("password={password}"), 1),
        good.replacen("sslmode=prefer", &format!("sslpassword={password}&options=x"), 1),
        format!("postgres://role:{password}"),
        format!("postgres://role:{password}/x@{place}"),
        format!("postgres://{password}"),
        format!("host=127.0.0.1 password={password}"),
        password.clone(),
        format!("postgres://role:x{password}@{place}"),
    ] {
        let add = ["destination", "add", "-", "--tenant", &engines, "--dry-run"];
        let added = scene.stage.installation.run_with_input("lockstep", &add, &text).await?;
        ensure!(added.code != Some(0), "a second destination at one database, or one that cannot be used: {added:?}");
        let change = ["destination", "change", &id, "-"];
        let changed = scene.stage.installation.run_with_input("lockstep", &change, &text).await?;
        ensure!(
            changed.code == Some(i32::from(text != good)) || changed.code == Some(78) || text == good,
            "{changed:?}"
        );
    }
    // As a setting that is wrong, and as an argument, which is refused.
    let argued = ["destination", "add", &good, "--tenant", &engines];
    let argued = scene.stage.installation.run("lockstep", &argued).await?;
    ensure!(argued.code == Some(64) || argued.code == Some(2) || argued.code == Some(78), "{argued:?}");
    scene.troubled.database.proxy().set(lockstep_testkit::proxy::Mode::Cut);
    scene.edit().await?;
    scene.until_failing("LS-0201").await?;
    scene.troubled.database.proxy().set(lockstep_testkit::proxy::Mode::Pass);
    scene.until_recovered().await?;
    scene.end().await
}
