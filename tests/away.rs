//! A service that is away, or lets nobody in: every command that needs it says where it was looked for, and what mends that.

use anyhow::{Result, ensure};

use crate::programs::{ended, with_changed};
use crate::stage::Stage;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

/// Commands that ask Postgres first; `TENANT` stands for a tenancy.
const OF_SOURCE: [&str; 26] = [
    "status",
    "status --tenant TENANT",
    "top --once",
    "tenants",
    "wait --all",
    "explain --mapping users --key TENANT",
    "verified --tenant TENANT",
    "paused",
    "pause mapping users --reason test",
    "resume mapping users",
    "resync --mapping users",
    "rewind --dry-run",
    "quarantine list",
    "events list",
    "erase --tenant TENANT",
    "access list",
    "destination list",
    "settings",
    "doctor",
    "detach --dry-run",
    "mapping list",
    "mapping check",
    "migrate",
    "migrate --check",
    "migrate --dry-run",
    "migrate --standalone",
];

/// Those that ask ClickHouse.
const OF_CLICKHOUSE: [&str; 8] = [
    "status --tenant TENANT",
    "explain --mapping users --key TENANT",
    "top --once",
    "doctor",
    "access list",
    "migrate",
    "migrate --check",
    "resync --mapping users",
];

/// Those that ask RabbitMQ.
const OF_QUEUE: [&str; 3] = ["status", "top --once", "doctor"];

#[tokio::test]
async fn a_service_that_is_away_is_named_with_its_address_and_what_mends_it() -> Result<()> {
    let stage = Stage::small().await?;
    let source = format!("postgres://me:hunter2@{NOWHERE}/app");
    let queue = format!("amqp://me:hunter2@{NOWHERE}/%2f");
    let clickhouse = format!("http://{NOWHERE}");
    names(&stage, "lockstep", &OF_SOURCE, "LOCKSTEP_SOURCE_URL", &source).await?;
    names(&stage, "lockstep-verifier", &[""], "LOCKSTEP_SOURCE_URL", &source).await?;
    names(&stage, "lockstep", &OF_CLICKHOUSE, "LOCKSTEP_CLICKHOUSE_URL", &clickhouse).await?;
    names(&stage, "lockstep-verifier", &[""], "LOCKSTEP_CLICKHOUSE_URL", &clickhouse).await?;
    names(&stage, "lockstep", &OF_QUEUE, "LOCKSTEP_AMQP_URL", &queue).await?;
    stage.end([]).await
}

#[tokio::test]
async fn a_service_that_lets_nobody_in_is_named_with_the_settings_to_correct() -> Result<()> {
    let stage = Stage::small().await?;
    let (server, _) = stage.installation.database().url().rsplit_once('/').unwrap_or_default();
    let elsewhere = format!("{server}/there_is_no_such_database");
    names(&stage, "lockstep", &OF_SOURCE, "LOCKSTEP_SOURCE_URL", &elsewhere).await?;
    for command in ["migrate --check", "status --tenant TENANT"] {
        let said = said(&stage, "lockstep", command, ("LOCKSTEP_CLICKHOUSE_USER", "nobody")).await?;
        ensure!(said.contains("LOCKSTEP_CLICKHOUSE_USER"), "{command}: {said}");
    }
    stage.end([]).await
}

/// That each command, with this address of a service, names the address and the setting, and no secret, and fails.
async fn names(stage: &Stage, program: &str, commands: &[&str], setting: &str, url: &str) -> Result<()> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let shown = format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default());
    for command in commands {
        let said = said(stage, program, command, (setting, url)).await?;
        ensure!(said.contains(&shown), "`{program} {command}` names no address:\n{said}");
        ensure!(said.contains(setting), "`{program} {command}` names no setting:\n{said}");
        ensure!(!said.contains("hunter2"), "`{program} {command}` prints a secret:\n{said}");
    }
    Ok(())
}

async fn said(stage: &Stage, program: &str, command: &str, changed: (&str, &str)) -> Result<String> {
    let tenant = stage.id("engines").await?;
    let arguments = command.split_whitespace().map(|word| if word == "TENANT" { &tenant } else { word });
    let told = ended(with_changed(stage, program, &[changed]).args(arguments)).await?;
    let said = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    ensure!(told.status.code().is_some_and(|code| code != 0), "`{program} {command}` does not fail:\n{said}");
    Ok(said)
}
