//! The rights that Lockstep's users need: those that are listed are enough, and one that is missing is named.

use anyhow::{Context, Result, ensure};
use lockstep_destinations::ClickHouse;
use lockstep_mappings::clickhouse::rights::rights;
use lockstep_testkit::databases::PrivateClickHouse;
use serde_json::Value;

use crate::custom_mapping::Definitions;
use crate::programs::{ended, with_changed};
use crate::stage::Stage;

/// The file that makes a user who has been granted all that is listed, but for these words.
fn user(clickhouse: &ClickHouse, name: &str, without: &[&str]) -> String {
    let grants =
        rights(clickhouse.databases()).into_iter().map(|right| right.grant(name).replace(&format!(" TO `{name}`"), ""));
    let grants = grants.filter(|grant| !without.iter().any(|table| grant.ends_with(table)));
    let grants = grants.map(|grant| without.iter().fold(grant, |grant, word| grant.replace(word, "")));
    let grants: String = grants.map(|grant| format!("<query>{grant}</query>")).collect();
    format!(
        "<clickhouse><users><{name}><password></password><profile>default</profile><quota>default</quota><grants>{grants}</grants></{name}></users></clickhouse>"
    )
}

#[tokio::test]
async fn rights_that_are_listed_are_enough_and_those_that_are_missing_are_named() -> Result<()> {
    let stage = Stage::small().await?;
    let Some(mut server) = PrivateClickHouse::start(&[]).await? else {
        eprintln!("There is no ClickHouse to start here: rights are not exercised.");
        return stage.end([]).await;
    };
    let everybody = server.client(&stage.installation.raw_database(), &stage.installation.view_database())?;
    let files = [user(&everybody, "lockstep", &[]), user(&everybody, "lacking", &[" OPTIMIZE,", "system.parts"])];
    server.restart(&files).await?;
    let as_user = |user| {
        [
            ("LOCKSTEP_CLICKHOUSE_URL", server.url()),
            ("LOCKSTEP_CLICKHOUSE_USER", user),
            ("LOCKSTEP_CLICKHOUSE_PASSWORD", ""),
        ]
    };
    let to = Definitions::new(&[])?;
    let directory = to.path("").display().to_string();
    for command in [&["init", "--to", &directory][..], &["doctor"]] {
        let done =
            ended(with_changed(&stage, "lockstep", &as_user("lacking")).args(command).args(["--output", "json"]))
                .await?;
        let report: Value = serde_json::from_slice(&done.stdout).context("a report")?;
        ensure!(done.status.code() == Some(1), "{report:#}");
        let checks = if command[0] == "init" { &report["services"] } else { &report["checks"] };
        let remedies = checks.as_array().into_iter().flatten().filter_map(|check| check["remedy"].as_str());
        let said: Vec<_> = remedies.filter(|remedy| remedy.starts_with("GRANT")).collect();
        let lacked = [
            format!("GRANT OPTIMIZE ON `{}`.* TO `lacking`", stage.installation.raw_database()),
            "GRANT SELECT ON system.parts TO `lacking`".to_owned(),
        ];
        assert_eq!(said, lacked, "{report:#}");
    }

    let there = as_user("lockstep");
    let daemons = [stage.start_with("lockstep-sequencer", &there)?, stage.start_with("lockstep-worker", &there)?];
    let tenancy: String = stage.client.query_one("SELECT id('engines')::text", &[]).await?.get(0);
    for command in [
        &["init", "--to", &directory, "--force"][..],
        &["migrate"],
        &["wait", "--all"],
        &["resync", "--tenant", &tenancy],
        &["wait", "--all"],
        &["mapping", "list"],
        &["support-bundle", "--to", &to.path("bundle.tar").display().to_string()],
    ] {
        let done = ended(with_changed(&stage, "lockstep", &there).args(command)).await?;
        ensure!(
            done.status.success(),
            "{command:?}: {}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
    }
    let proven = ended(&mut with_changed(&stage, "lockstep-verifier", &there)).await?;
    ensure!(proven.status.success(), "{}", String::from_utf8_lossy(&proven.stdout));
    for daemon in daemons {
        daemon.stop().await?;
    }
    server.kill().await?;
    stage.end([]).await
}
