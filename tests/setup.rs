//! From three URLs to rows that arrive: `init`, `config`, `migrate --check`, completions; and a support bundle without secrets.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use lockstep_testkit::installation::Installation;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::custom_mapping::Definitions;
use crate::json::compare;
use crate::programs::{ended, secret_file, with_changed, with_settings};
use crate::stage::Stage;

/// It stands in every secret, and in every text of somebody's.
const MARK: &str = "hunter2";

/// Tables of an application: one with a foreign key, one with a column of a usual name, and two that no definition fits.
const ORDERS: &str = r#"
CREATE TABLE "Order" ("owner" uuid NOT NULL REFERENCES "Tenancy" ("id"), "id" uuid NOT NULL, "total" integer NOT NULL, "outline" polygon,
    PRIMARY KEY ("owner", "id"));
CREATE TABLE "Basket" ("tenancyId" uuid NOT NULL, "id" uuid NOT NULL, "note" text, PRIMARY KEY ("tenancyId", "id"));
CREATE TABLE "Loose" ("tenancyId" uuid NOT NULL, "note" text);
CREATE TABLE "Country" ("code" text PRIMARY KEY);
INSERT INTO "Order" VALUES (id('engines'), id('first'), 7, '((0,0),(1,1),(1,0))'), (id('compilers'), id('second'), 8, NULL);
"#;

/// A source as an application has it, before anything of Lockstep's.
async fn of_application() -> Result<Stage> {
    let stage = Stage::before_capture().await?;
    stage.sql(include_str!("world.sql")).await?;
    stage.sql(ORDERS).await?;
    Ok(stage)
}

/// The source's URL with a password in it, which the tests' server does not ask for.
fn marked(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (user, place) = rest.rsplit_once('@').unwrap_or(("postgres", rest));
    let user = user.split(':').next().unwrap_or(user);
    format!("{scheme}://{user}:{MARK}@{place}")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command that prints JSON; its object, with all documented fields.
async fn object(command: &mut Command, what: &str, arguments: &[&str], code: i32) -> Result<Value> {
    let output = ended(command.args(what.split(' ')).args(arguments).args(["--output", "json"])).await?;
    ensure!(output.status.code() == Some(code), "{what}: {:?}: {}", output.status, said(&output));
    let value = serde_json::from_slice(&output.stdout).with_context(|| said(&output))?;
    compare(what, &value)?;
    Ok(value)
}

fn mode(path: &PathBuf) -> Result<u32> {
    Ok(std::fs::metadata(path).with_context(|| path.display().to_string())?.permissions().mode() & 0o777)
}

/// Three URLs, and what `init` says next: rows of a table that nobody has defined arrive.
#[tokio::test]
async fn setup_begins_with_init_and_ends_with_rows() -> Result<()> {
    let stage = of_application().await?;
    let to = Definitions::new(&[])?;
    let directory = to.path("").display().to_string();
    let source = marked(stage.installation.database().url());
    let mut init = with_changed(&stage, "lockstep", &[("LOCKSTEP_SOURCE_URL", source.as_str())]);
    let report = object(&mut init, "init", &["--to", &directory], 0).await?;
    ensure!(report["ready"] == true && report["services"].as_array().is_some_and(|all| all.len() == 3), "{report}");
    let tables = |field: &str| -> Vec<_> {
        report[field].as_array().into_iter().flatten().map(|one| one["table"].as_str().unwrap_or_default()).collect()
    };
    let suggested = tables("suggested");
    ensure!(suggested.contains(&"public.Order") && suggested.contains(&"public.Basket"), "{report}");
    ensure!(tables("unmapped").contains(&"public.Loose") && tables("unmapped").contains(&"public.Country"), "{report}");
    let order = std::fs::read_to_string(to.path("mappings/order.toml"))?;
    ensure!(order.contains("tenant = { column = \"owner\" }") && order.contains("outline"), "{order}");

    let file = std::fs::read_to_string(to.path("lockstep.toml"))?;
    ensure!(!file.contains(MARK) && !report.to_string().contains(MARK), "a password is told:\n{file}\n{report}");
    ensure!(file.contains("source_url_file = \"secrets/source_url\""), "{file}");
    ensure!(std::fs::read_to_string(to.path("secrets/source_url"))?.trim() == source, "another URL");
    assert_eq!([mode(&to.path("secrets"))?, mode(&to.path("secrets/source_url"))?], [0o700, 0o600]);
    ensure!(stage.number("SELECT count(*) FROM pg_namespace WHERE nspname = 'lockstep'").await? == 0, "it was changed");

    // From here on nothing but the file says where anything is.
    let config = to.path("lockstep.toml").display().to_string();
    let lockstep = || with_settings(&stage, "lockstep", &[("LOCKSTEP_CONFIG", &config)]);
    let checked = object(&mut lockstep(), "mapping check", &[], 0).await?;
    assert_eq!(checked["mappings"], 12 + suggested.len());
    let to_do = ended(lockstep().args(["migrate", "--check"])).await?;
    ensure!(to_do.status.code() == Some(1) && said(&to_do).contains("to do in Postgres"), "{}", said(&to_do));
    ensure!(stage.number("SELECT count(*) FROM pg_namespace WHERE nspname = 'lockstep'").await? == 0, "it was changed");
    let migrated = ended(lockstep().arg("migrate")).await?;
    ensure!(migrated.status.success(), "{}", said(&migrated));
    let done = ended(lockstep().args(["migrate", "--check"])).await?;
    ensure!(done.status.success() && said(&done).contains("Nothing to do"), "{}", said(&done));

    let start =
        |program| stage.installation.spawn(with_settings(&stage, program, &[("LOCKSTEP_CONFIG", &config)]), program);
    let programs = [start("lockstep-sequencer")?, start("lockstep-worker")?];
    let waited = ended(lockstep().args(["wait", "--all", "--timeout", "60"])).await?;
    ensure!(waited.status.success(), "{}", said(&waited));
    assert_eq!(stage.seen("SELECT sum(total) FROM {views}.order").await?, "15");

    // Run again it replaces nothing, whatever else somebody has written there, and says which file holds something else.
    std::fs::write(to.path("lockstep.toml"), format!("# mine\n{file}listen = \"127.0.0.1:0\"\n"))?;
    let other = format!("{source}?application_name=other");
    for (source, prefix, code, told) in [
        (&source, "", 0, &[][..]),
        (&other, "other", 1, &["secrets/source_url", "another value", "lockstep.toml", "queue_prefix"]),
    ] {
        let changed = [("LOCKSTEP_SOURCE_URL", source.as_str()), ("LOCKSTEP_QUEUE_PREFIX", prefix)];
        let changed = &changed[..if prefix.is_empty() { 1 } else { 2 }];
        let again = object(&mut with_changed(&stage, "lockstep", changed), "init", &["--to", &directory], code).await?;
        ensure!(again["written"] == json!([]) && again["suggested"] == json!([]), "{again}");
        let conflicts = again["conflicts"].to_string();
        ensure!(told.is_empty() == (conflicts == "[]") && !conflicts.contains(MARK), "{again}");
        ensure!(told.iter().all(|told| conflicts.contains(told)), "{conflicts}");
    }
    assert_eq!(std::fs::read_to_string(to.path("secrets/source_url"))?.trim(), source);
    stage.end(programs).await
}

/// A column or a table that is not there is said with those that are, and nothing is written.
#[tokio::test]
async fn setup_with_what_is_not_there_says_what_there_is() -> Result<()> {
    let stage = of_application().await?;
    let to = Definitions::new(&[])?;
    let directory = to.path("").display().to_string();
    for (given, told) in [
        (["--tenant-column", "nope"], ["LS-0044: no table has a column \"nope\"", "tenancyId (in "]),
        (
            ["--tenants-table", "nope"],
            ["LS-0043: \"nope\" cannot be the table of the tenants", "it may be public.Tenancy"],
        ),
    ] {
        let mut command = with_changed(&stage, "lockstep", &[]);
        let refused = ended(command.args(["init", "--to", &directory]).args(given)).await?;
        ensure!(refused.status.code() == Some(78), "{given:?}: {}", said(&refused));
        ensure!(told.iter().all(|told| said(&refused).contains(told)), "{given:?}: {}", said(&refused));
        ensure!(!to.path("lockstep.toml").exists() && !to.path("mappings").exists(), "{given:?} has written something");
    }
    stage.end([]).await
}

#[tokio::test]
async fn setup_with_a_service_that_is_away_says_so_and_writes_what_it_can() -> Result<()> {
    let stage = of_application().await?;
    let to = Definitions::new(&[])?;
    let directory = to.path("").display().to_string();
    let away = [("LOCKSTEP_AMQP_URL", "amqp://guest:hunter2@127.0.0.1:9/%2f")];
    let mut init = with_changed(&stage, "lockstep", &away);
    let report = object(&mut init, "init", &["--to", &directory], 1).await?;
    ensure!(report["ready"] == false && !report.to_string().contains(MARK), "{report}");
    ensure!(to.path("lockstep.toml").exists() && to.path("mappings/order.toml").exists(), "{report}");
    let told = ended(with_changed(&stage, "lockstep", &away).args(["init", "--to", &directory])).await?;
    let next = "\nNo database was changed yet; when what is wanting above is mended, run:";
    ensure!(said(&told).contains(next) && !said(&told).contains("\n0 table"), "{}", said(&told));
    // Without the source nothing is known, and nothing is written.
    let nowhere = Definitions::new(&[])?;
    let directory = nowhere.path("").display().to_string();
    let away = [("LOCKSTEP_SOURCE_URL", "postgres://me:hunter2@127.0.0.1:9/none")];
    let mut init = with_changed(&stage, "lockstep", &away);
    let report = object(&mut init, "init", &["--to", &directory], 1).await?;
    ensure!(report["written"] == json!([]) && !nowhere.path("lockstep.toml").exists(), "{report}");
    ensure!(!report.to_string().contains(MARK), "{report}");
    stage.end([]).await
}

#[tokio::test]
async fn setup_config_shows_where_each_value_comes_from_and_no_secret() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    let secret = secret_file(
        &std::env::temp_dir(),
        "source",
        "postgres://me:hunter2@db.internal:5432/main?application_name=hunter2",
    )?;
    let text =
        format!("source_url_file = \"{secret}\"\nqueue_prefix = \"from-file\"\nclickhouse_user = \"from-file\"\n");
    let files = Definitions::new(&[("lockstep.toml", &text)])?;
    let config = files.path("lockstep.toml").display().to_string();
    let environment = [
        ("LOCKSTEP_CONFIG", config.as_str()),
        ("LOCKSTEP_CLICKHOUSE_USER", "from-environment"),
        ("LOCKSTEP_AMQP_URL", "amqp://me:hunter2@broker:5672/%2f"),
        ("LOCKSTEP_CLICKHOUSE_URL", "http://clickhouse:8123"),
        ("LOCKSTEP_CLICKHOUSE_PASSWORD", MARK),
        ("LOCKSTEP_LOG", ""),
        ("LOCKSTEP_LISTN", MARK),
        ("LOCKSTEP_QUEUE_PREFX", " "),
    ];
    let lockstep = || {
        let mut command = with_settings(&stage, "lockstep", &environment);
        command.args(["--clickhouse-view-database", "from_flag"]);
        command
    };
    let shown = object(&mut lockstep(), "config show", &[], 0).await?;
    let settings: BTreeMap<_, _> = shown["settings"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| (one["name"].as_str().unwrap_or_default(), one))
        .collect();
    for (name, value, from, at) in [
        ("queue_prefix", json!("from-file"), "file", json!(format!("{config}:2"))),
        ("source_url_file", json!(secret), "file", json!(format!("{config}:1"))),
        ("clickhouse_user", json!("from-environment"), "environment", json!("LOCKSTEP_CLICKHOUSE_USER")),
        ("clickhouse_view_database", json!("from_flag"), "flag", json!("--clickhouse-view-database")),
        ("clickhouse_raw_database", json!("analytics_internal"), "default", Value::Null),
        ("log", json!("info,lapin=off"), "default", Value::Null),
        ("amqp_url", json!("amqp://broker:5672/%2f"), "environment", json!("LOCKSTEP_AMQP_URL")),
        ("clickhouse_password", json!("set"), "environment", json!("LOCKSTEP_CLICKHOUSE_PASSWORD")),
        ("listen", Value::Null, "default", Value::Null),
    ] {
        let one = settings.get(name).with_context(|| format!("{name} is not shown: {shown}"))?;
        assert_eq!([&one["value"], &one["from"], &one["at"]], [&value, &json!(from), &at], "{name}");
    }
    let table = ended(lockstep().args(["config", "show"])).await?;
    for output in [shown.to_string(), said(&table)] {
        ensure!(
            output.contains("from_flag") && output.contains("LOCKSTEP_LISTEN?") && !output.contains(MARK),
            "{output}"
        );
    }
    let checked = object(&mut lockstep(), "config check", &[], 0).await?;
    ensure!(checked["clean"] == true, "{checked}");
    let misspelt = "no setting is called LOCKSTEP_LISTN; did you mean LOCKSTEP_LISTEN?";
    ensure!([&shown, &checked].iter().all(|report| report["warnings"] == json!([misspelt])), "{shown} {checked}");
    std::fs::remove_file(secret)?;
    stage.end([]).await
}

#[tokio::test]
async fn setup_config_check_tells_all_that_is_wrong_with_a_file_and_programs_refuse_it() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    let text = "queue_prefx = \"x\"\nsource_url = \"postgres://me:hunter2@db/main\"\nlog = [1]\n";
    let files = Definitions::new(&[("wrong.toml", text)])?;
    let wrong = files.path("wrong.toml").display().to_string();
    let mut command = with_settings(&stage, "lockstep", &[("LOCKSTEP_CONFIG", &wrong)]);
    let checked = object(&mut command, "config check", &[], 78).await?;
    let problems = checked["problems"].to_string();
    for told in [
        "wrong.toml:1: ",
        "did you mean queue_prefix?",
        "wrong.toml:2: source_url: a URL with a password",
        "wrong.toml:3: log",
        "LOCKSTEP_AMQP_URL is missing",
    ] {
        ensure!(problems.contains(told), "{told:?} is missing: {problems}");
    }
    ensure!(!problems.contains(MARK), "{problems}");
    // Programs refuse what it finds.
    let refused = ended(&mut with_settings(&stage, "lockstep-worker", &[("LOCKSTEP_CONFIG", &wrong)])).await?;
    ensure!(refused.status.code() == Some(78) && said(&refused).contains("queue_prefx"), "{}", said(&refused));
    stage.end([]).await
}

/// What only those can tell who use a setting: the libraries that connect, and the definitions.
#[tokio::test]
async fn setup_config_check_refuses_what_programs_refuse_when_they_start() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    let files = Definitions::new(&[("broken.toml", "name = 7\n")])?;
    let directory = files.path("").display().to_string();
    let wrong = [
        ("LOCKSTEP_SOURCE_URL", "postgres://me:hunter2@one:5432,two:65536/main"),
        ("LOCKSTEP_SOURCE_READ_URL", "postgres://me:hunter2@/main?host=/run/postgresql&port=0"),
        ("LOCKSTEP_AMQP_URL", "amqp://me:hunter2@broker:0/%2f"),
        ("LOCKSTEP_CLICKHOUSE_URL", "http://me:hunter2@clickhouse:8123"),
        ("LOCKSTEP_BUILT_IN_MAPPINGS", "users,nope"),
        ("LOCKSTEP_MAPPINGS_DIR", directory.as_str()),
    ];
    let checked = object(&mut with_settings(&stage, "lockstep", &wrong), "config check", &[], 78).await?;
    let problems: Vec<_> = checked["problems"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for told in [
        "LOCKSTEP_SOURCE_URL: LS-0010: ",
        "LOCKSTEP_SOURCE_READ_URL: LS-0010: ",
        "LS-0103: LOCKSTEP_AMQP_URL",
        "LOCKSTEP_CLICKHOUSE_URL must not hold a user or password: set LOCKSTEP_CLICKHOUSE_USER",
        "no built-in mapping is called nope",
        "broken.toml:1: ",
    ] {
        let times = problems.iter().filter(|problem| problem.contains(told)).count();
        ensure!(times == 1, "{told:?} is told {times} times: {problems:#?}");
    }
    ensure!(!checked.to_string().contains(MARK), "{problems:#?}");
    stage.end([]).await
}

/// Whoever reads what would be run sees the statements of the source tables too, and can run them.
#[tokio::test]
async fn setup_of_a_database_of_our_own_can_be_read_before_it_is_run() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    let statements = stage.installation.succeed("lockstep", &["migrate", "--standalone", "--dry-run"]).await?.stdout;
    const TABLES: &str = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    ensure!(stage.number(TABLES).await? == 0, "it was changed");
    stage.sql(&statements).await?;
    let made = stage.number(TABLES).await?;
    ensure!(made > 12 && statements.contains("CREATE TABLE \"Tenancy\""), "{made} tables of\n{statements}");
    stage.end([]).await
}

/// Secrets and words of somebody's stand in everything that a bundle looks at, and in none of its bytes.
#[tokio::test]
async fn setup_support_bundle_holds_neither_secrets_nor_values() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let engines = stage.id("engines").await?;
    let own = stage.add_destination(&engines, &["users"]).await?;
    let password = own.database.password().to_owned();
    stage.installation.succeed("lockstep", &["pause", "mapping", "users", "--reason", MARK]).await?;
    stage
        .sql(&format!(
            "UPDATE lockstep.tenant_destination SET host = '{MARK}.example.com', database_name = '{MARK}', user_name = '{MARK}', key_id = '{MARK}',
                failures = 3, failing_since = now() - interval '2 h', retry_at = now() + interval '1 h', error_code = 'LS-0201', error = 'LS-0201: {MARK}';
            INSERT INTO lockstep.task (program, name, did, failed_at, error) VALUES ('worker', 'sweep', 0, now(), 'LS-0012: {MARK}');
            INSERT INTO lockstep.instance (id, role, version, state) VALUES
                (gen_random_uuid(), 'worker', '0', '{{\"ready\": false, \"why\": \"{MARK}\", \"leads\": null}}');
            INSERT INTO lockstep.action (what, arguments) VALUES ('erase', '{{\"words\": \"{MARK}\"}}');
            INSERT INTO lockstep.quarantine (destination, mapping_name, tenancy_id, sequence, code, error, uuid_1)
            VALUES ('clickhouse', 'users', '{engines}', 1, 'LS-0203', '{MARK}', gen_random_uuid());
            UPDATE \"ProjectUser\" SET \"displayName\" = '{MARK}'"
        ))
        .await?;
    // Tables without a row take no place.
    let cursor = "INSERT INTO {raw}._stack_sync_metadata (tenancy_id, mapping_name, last_synced_sequence_id) VALUES (generateUUIDv4(), 'users', 1)";
    stage.in_clickhouse(cursor).await?;
    let directory = Definitions::new(&[])?;
    let file = directory.path("bundle.tar");
    let to = file.display().to_string();
    let source = marked(stage.installation.database().url());
    let lockstep = |source: &str| with_changed(&stage, "lockstep", &[("LOCKSTEP_SOURCE_URL", source)]);
    let made = object(&mut lockstep(&source), "support-bundle", &["--to", &to], 0).await?;
    let parts = made["parts"].as_array().context("parts")?;
    assert_eq!(mode(&file)?, 0o600);
    let bytes = std::fs::read(&file)?;
    let text = String::from_utf8_lossy(&bytes);
    for part in parts.iter().filter_map(Value::as_str) {
        ensure!(text.contains(&format!("lockstep-support/{part}")), "{part} is not in it");
    }
    for secret in [MARK, &password, "guest:guest", "analytical"] {
        let at = text.find(secret);
        ensure!(at.is_none(), "{secret} is told: {}", at.map_or_else(String::new, |at| around(&text, at)));
    }
    // It tells something all the same, and no part has failed.
    for told in [
        "LS-0201",
        "LS-0203",
        "LS-0012",
        "\"n_live_tup\"",
        "\"bytes_on_disk\"",
        "\"last_sequence\"",
        "\"queue_prefix\"",
        own.id.as_str(),
    ] {
        ensure!(text.contains(told), "{told} is not told");
    }
    let failed = text.find("\"failed\"");
    ensure!(failed.is_none(), "a part has failed: {}", failed.map_or_else(String::new, |at| around(&text, at)));

    // What is there is not replaced, and a service that is away is told.
    let refused = ended(lockstep(&source).args(["support-bundle", "--to", &to])).await?;
    ensure!(refused.status.code() == Some(78) && said(&refused).contains("LS-0045"), "{}", said(&refused));
    let other = directory.path("away.tar").display().to_string();
    let away = "postgres://me:hunter2@127.0.0.1:9/none";
    object(&mut lockstep(away), "support-bundle", &["--to", &other], 0).await?;
    let bytes = std::fs::read(&other)?;
    let text = String::from_utf8_lossy(&bytes);
    ensure!(text.contains("\"failed\": \"LS-0012") && text.contains("bytes_on_disk") && !text.contains(MARK), "{text}");
    stage.end_with([], [own]).await
}

fn around(text: &str, at: usize) -> String {
    text.chars().skip(text[..at].chars().count().saturating_sub(200)).take(400).collect()
}

/// A reader that goes away, as `head` does, is no failure; completions are a script.
#[tokio::test]
async fn setup_completions_are_printed_and_a_reader_may_go_away() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    for (shell, told) in
        [("bash", "complete -F _lockstep"), ("zsh", "#compdef lockstep"), ("fish", "complete -c lockstep")]
    {
        let script = ended(with_settings(&stage, "lockstep", &[]).args(["completions", shell])).await?;
        let text = said(&script);
        ensure!(script.status.success() && text.contains(told) && text.contains("support-bundle"), "{shell}: {text}");
    }
    for arguments in [&["completions", "bash"][..], &["exit-codes"], &["config", "show", "--output", "jsonl"]] {
        let mut command = with_settings(&stage, "lockstep", &[]);
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        drop(child.stdout.take());
        let output = tokio::time::timeout(crate::stage::DEADLINE, child.wait_with_output()).await??;
        ensure!(output.status.code() == Some(0) && output.stderr.is_empty(), "{arguments:?}: {}", said(&output));
    }
    stage.end([]).await
}
