//! Settings: the same names everywhere; what is wrong is told as one list, without secrets, before anything starts.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use clap::Command;
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Installation;

use crate::programs::{ended, secret_file, with_changed, with_settings};
use crate::stage::{DEADLINE, Stage};

const SOURCE: &str = "LOCKSTEP_SOURCE_URL is missing";
const AMQP: &str = "LOCKSTEP_AMQP_URL is missing";
const CLICKHOUSE: &str = "LOCKSTEP_CLICKHOUSE_URL is missing";

/// Each program with its arguments, and what it cannot do without.
const PROGRAMS: [(&str, &[&str], &[&str]); 13] = [
    ("lockstep-sequencer", &[], &[SOURCE, AMQP, CLICKHOUSE]),
    ("lockstep-worker", &[], &[SOURCE, AMQP, CLICKHOUSE]),
    ("lockstep-verifier", &[], &[SOURCE, CLICKHOUSE]),
    ("lockstep", &["init"], &[SOURCE, AMQP, CLICKHOUSE]),
    ("lockstep", &["migrate"], &[SOURCE, CLICKHOUSE]),
    ("lockstep", &["status"], &[SOURCE, AMQP, CLICKHOUSE]),
    ("lockstep", &["wait", "--all"], &[SOURCE, CLICKHOUSE]),
    ("lockstep", &["paused"], &[SOURCE]),
    ("lockstep", &["resync"], &[SOURCE, CLICKHOUSE]),
    ("lockstep", &["rewind"], &[SOURCE, CLICKHOUSE]),
    ("lockstep", &["doctor"], &[SOURCE, AMQP, CLICKHOUSE]),
    ("lockstep", &["console"], &[SOURCE, AMQP, CLICKHOUSE]),
    ("lockstep", &["detach"], &[SOURCE]),
];

#[tokio::test]
async fn configuration_that_is_missing_is_told_in_one_list() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    for (program, arguments, missing) in PROGRAMS {
        let refused = ended(with_settings(&stage, program, &[]).args(arguments)).await?;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(78), "{program}: {said}");
        assert!(said.starts_with("LS-0001") && refused.stdout.is_empty(), "{program}: {said}");
        for setting in [SOURCE, AMQP, CLICKHOUSE] {
            assert_eq!(said.contains(setting), missing.contains(&setting), "{program}: {setting}: {said}");
        }
    }
    stage.end([]).await
}

#[tokio::test]
async fn configuration_that_is_wrong_is_told_in_one_list_without_secrets() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    let wrong = [
        ("LOCKSTEP_SOURCE_URL", "mysql://me:hunter2@host/db"),
        ("LOCKSTEP_SOURCE_READ_URL", "mysql://me:hunter2@replica/db"),
        ("LOCKSTEP_AMQP_URL", "amqp://me:hunter2@host"),
        ("LOCKSTEP_AMQP_URL_FILE", "/nonexistent/amqp"),
        ("LOCKSTEP_CLICKHOUSE_URL", "clickhouse://me:hunter2@host"),
        ("LOCKSTEP_CLICKHOUSE_PASSWORD_FILE", "/nonexistent/password"),
        ("LOCKSTEP_CLICKHOUSE_RAW_DATABASE", "one; DROP"),
        ("LOCKSTEP_QUEUE_PREFIX", "no spaces"),
        ("LOCKSTEP_MAPPINGS_DIR", "/nonexistent/definitions"),
        ("LOCKSTEP_LOG", "lockstep=loud=louder"),
        ("LOCKSTEP_LOG_FORMAT", "xml"),
        ("LOCKSTEP_LISTEN", "everywhere"),
    ];
    for (program, arguments, _) in PROGRAMS {
        let refused = ended(with_settings(&stage, program, &wrong).args(arguments)).await?;
        let said = format!("{}{}", String::from_utf8_lossy(&refused.stderr), String::from_utf8_lossy(&refused.stdout));
        assert_eq!(refused.status.code(), Some(78), "{program}: {said}");
        for (setting, _) in wrong {
            let named = said.lines().any(|line| line.trim_start().starts_with(&format!("- {setting}")));
            assert!(named || setting == "LOCKSTEP_AMQP_URL_FILE", "{program} does not name {setting}:\n{said}");
        }
        assert!(!said.contains("hunter2"), "{program} prints a secret:\n{said}");
    }
    // A flag that is none is a wrong setting too.
    let refused = ended(with_changed(&stage, "lockstep-worker", &[]).arg("--no-such-flag")).await?;
    assert_eq!(refused.status.code(), Some(78));
    stage.end([]).await
}

/// What parsers would take for something else is told by `config check`, of a file with its name, and nothing of what it holds.
#[tokio::test]
async fn configuration_that_would_be_taken_for_something_else_is_told() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    let directory = std::env::temp_dir();
    let empty = secret_file(&directory, "empty", "")?;
    let lines = secret_file(&directory, "lines", "amqp://me:hunter2@host:5672/%2f\nhunter2")?;
    let wrong = [
        ("LOCKSTEP_SOURCE_URL_FILE", empty.as_str()),
        ("LOCKSTEP_SOURCE_READ_URL", "postgres://me:hunter2@db:+5/main"),
        ("LOCKSTEP_AMQP_URL_FILE", lines.as_str()),
        ("LOCKSTEP_CLICKHOUSE_URL", "http://host:+8123"),
        ("LOCKSTEP_TLS_CA_FILE", lines.as_str()),
        ("LOCKSTEP_BUILT_IN_MAPPINGS", "nope"),
        ("LOCKSTEP_EVENTS_WEBHOOKS", "pager=https://h/?to=a,hunter2=b"),
    ];
    let mut command = with_settings(&stage, "lockstep", &wrong);
    let checked = ended(command.args(["config", "check", "--output", "json"])).await?;
    let said = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(78), "{said}");
    for told in [
        &format!("LOCKSTEP_SOURCE_URL_FILE: {empty} is empty"),
        "LOCKSTEP_SOURCE_READ_URL: LS-0010: ",
        &format!("LOCKSTEP_AMQP_URL_FILE: {lines} has more than one line"),
        "LOCKSTEP_CLICKHOUSE_URL: its port",
        &format!("LOCKSTEP_TLS_CA_FILE: cannot read {lines}"),
        "LOCKSTEP_BUILT_IN_MAPPINGS: no built-in mapping is called nope",
        "LOCKSTEP_EVENTS_WEBHOOKS: each must be NAME=URL",
    ] {
        ensure!(said.contains(told), "{told:?} is missing: {said}");
    }
    ensure!(!said.contains("hunter2"), "{said}");
    std::fs::remove_file(empty)?;
    std::fs::remove_file(lines)?;
    stage.end([]).await
}

/// Every setting is set, and none is needed on the command line.
#[tokio::test]
async fn configuration_of_the_environment_is_in_no_usage_line() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    for (arguments, usage) in [
        (&["wait", "--nonsense"][..], "Usage: lockstep wait"),
        (&["wait"], "Usage: lockstep wait"),
        (&["quarantine", "retry"], "Usage: lockstep quarantine retry"),
        (&["explain"], "Usage: lockstep explain"),
        (&["destination", "add"], "Usage: lockstep destination add"),
    ] {
        let refused = ended(with_changed(&stage, "lockstep", &[]).args(arguments)).await?;
        let said = String::from_utf8_lossy(&refused.stderr);
        let named = said.lines().find(|line| line.starts_with("Usage: ")).unwrap_or_default();
        ensure!(refused.status.code() == Some(78) && named.starts_with(usage), "{arguments:?}: {said}");
        ensure!(
            !["--source-url", "--amqp-url", "--clickhouse", "--queue"].iter().any(|flag| said.contains(flag)),
            "{said}"
        );
    }
    stage.end([]).await
}

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// As files of compose and charts pass them.
#[tokio::test]
async fn configuration_that_is_empty_is_as_if_it_was_not_set() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    let mut variables = BTreeSet::new();
    lockstep_lab::pages::programs().iter().for_each(|program| add_variables(program, &mut variables));
    ensure!(
        variables.contains("LOCKSTEP_CONFIG") && variables.contains("LOCKSTEP_CONSOLE_PASSWORD_FILE"),
        "{variables:?}"
    );
    for value in ["", " "] {
        let empty: Vec<_> = variables.iter().map(|name| (name.as_str(), value)).collect();
        for (program, arguments, missing) in PROGRAMS {
            let refused = ended(with_settings(&stage, program, &empty).args(arguments)).await?;
            let said = String::from_utf8_lossy(&refused.stderr);
            let problems: Vec<_> = said.lines().filter_map(|line| line.trim_start().strip_prefix("- ")).collect();
            let is_missing = |problem: &&str| missing.iter().any(|missing| problem.starts_with(missing));
            assert_eq!(refused.status.code(), Some(78), "{program}: {said}");
            ensure!(
                problems.len() == missing.len() && problems.iter().all(is_missing),
                "{program} {arguments:?}: {said}"
            );
        }
        let link = ["console", "link", "--tenant", NOBODY, "--base-url", "https://console.example.com"];
        let unsigned = ended(with_settings(&stage, "lockstep", &empty).args(link)).await?;
        let said = String::from_utf8_lossy(&unsigned.stderr);
        ensure!(said.contains("LOCKSTEP_CONSOLE_LINK_SECRET_FILE") && !said.contains("a value is required"), "{said}");
        let shown = ended(with_settings(&stage, "lockstep", &empty).args(["config", "show", "--json"])).await?;
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout)?;
        let settings = shown["settings"].as_array().context("no settings")?;
        ensure!(settings.iter().all(|setting| setting["from"] == "default"), "{shown}");
    }
    stage.end([]).await
}

fn add_variables(command: &Command, to: &mut BTreeSet<String>) {
    to.extend(command.get_arguments().filter_map(|flag| Some(flag.get_env()?.to_str()?.to_owned())));
    command.get_subcommands().for_each(|command| add_variables(command, to));
}

#[tokio::test]
async fn configuration_comes_from_flags_and_secrets_from_files() -> Result<()> {
    let stage = Stage::small().await?;
    let own = stage.installation.environment();
    let value = |name| own.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone()).context("a setting");
    let directory = std::env::temp_dir();
    let source = secret_file(&directory, "source", &value("LOCKSTEP_SOURCE_URL")?)?;
    let amqp = secret_file(&directory, "amqp", &value("LOCKSTEP_AMQP_URL")?)?;
    let password = secret_file(&directory, "password", &value("LOCKSTEP_CLICKHOUSE_PASSWORD")?)?;
    let files = [
        ("LOCKSTEP_SOURCE_URL_FILE", source.as_str()),
        ("LOCKSTEP_AMQP_URL_FILE", &amqp),
        ("LOCKSTEP_CLICKHOUSE_PASSWORD_FILE", &password),
    ];
    let mut flags = Vec::new();
    for (flag, name) in [
        ("--clickhouse-url", "LOCKSTEP_CLICKHOUSE_URL"),
        ("--clickhouse-user", "LOCKSTEP_CLICKHOUSE_USER"),
        ("--clickhouse-raw-database", "LOCKSTEP_CLICKHOUSE_RAW_DATABASE"),
        ("--clickhouse-view-database", "LOCKSTEP_CLICKHOUSE_VIEW_DATABASE"),
        ("--queue-prefix", "LOCKSTEP_QUEUE_PREFIX"),
    ] {
        flags.extend([flag.to_owned(), value(name)?]);
    }
    let mut daemons = Vec::new();
    for program in ["lockstep-sequencer", "lockstep-worker"] {
        let mut command = with_settings(&stage, program, &files);
        command.args(&flags);
        daemons.push(stage.installation.spawn(command, program)?);
    }
    for (program, arguments) in [("lockstep", &["wait", "--all"][..]), ("lockstep-verifier", &[])] {
        let done = ended(with_settings(&stage, program, &files).args(arguments).args(&flags)).await?;
        ensure!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    }
    for daemon in daemons {
        daemon.stop().await?;
    }
    for file in [source, amqp, password] {
        std::fs::remove_file(file)?;
    }
    stage.end([]).await
}

#[tokio::test]
async fn configuration_listen_serves_health_and_metrics() -> Result<()> {
    let stage = Stage::small().await?;
    let daemons = [stage.sequencer()?, stage.worker()?];
    for daemon in &daemons {
        eventually("the daemon to be ready", DEADLINE, async || Ok(daemon.get("/readyz").await?.0 == 200)).await?;
        assert_eq!(daemon.get("/livez").await?, (200, "ok\n".to_owned()));
    }
    stage.equal().await?;
    for daemon in daemons {
        let (status, metrics) = daemon.get("/metrics").await?;
        let own = metrics.lines().filter(|line| line.starts_with("lockstep_")).count();
        ensure!(status == 200 && own > 5, "{own} metrics:\n{metrics}");
        daemon.stop().await?;
    }
    // What does not answer is named, and the daemon lives.
    let away = [("LOCKSTEP_AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f")];
    let daemon = stage.start_with("lockstep-worker", &away)?;
    eventually("the daemon to name what is away", DEADLINE, async || {
        let (status, said) = daemon.get("/readyz").await?;
        Ok(status == 503 && said.contains("queue"))
    })
    .await?;
    assert_eq!(daemon.get("/livez").await?.0, 200);
    drop(daemon);
    stage.end([]).await
}

/// Whatever is logged, and however much of it: no passwords, and nothing of a tenant's values.
#[tokio::test]
async fn configuration_logs_hold_neither_secrets_nor_values() -> Result<()> {
    let stage = Stage::small().await?;
    let url = stage.installation.database().url().to_owned();
    let with_password = url.replacen("postgres@", "postgres:hunter2@", 1);
    let source = if with_password == url { url } else { with_password };
    let changed =
        [("LOCKSTEP_SOURCE_URL", source.as_str()), ("LOCKSTEP_LOG", "debug"), ("LOCKSTEP_LOG_FORMAT", "json")];
    let daemons = [stage.start_with("lockstep-sequencer", &changed)?, stage.start_with("lockstep-worker", &changed)?];
    stage.equal().await?;
    stage
        .sql(r#"UPDATE "ProjectUser" SET "displayName" = 'Countess Lovelace'; DELETE FROM "ProjectUserRefreshToken""#)
        .await?;
    // A connection that breaks is told with its reason.
    let theirs = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lockstep %'";
    stage.number(&format!("SELECT count(pg_terminate_backend(pid)) {theirs}")).await?;
    stage.equal().await?;
    for daemon in daemons {
        let logged = daemon.logged()?;
        let lines: Vec<_> = logged.lines().collect();
        ensure!(lines.len() > 3, "hardly anything was logged:\n{logged}");
        for line in lines {
            let object: serde_json::Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
            ensure!(object["level"].is_string() && object["timestamp"].is_string(), "no level or no time: {line}");
            for told in ["hunter2", "guest:guest", "secret-", "Lovelace", "example.com", "analytical"] {
                ensure!(!line.contains(told), "{told:?} was logged: {line}");
            }
        }
        daemon.stop().await?;
    }
    stage.end([]).await
}
