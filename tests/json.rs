//! The JSON of every command is what `docs/json.md` says: all of its fields are there, and no other.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::{SOURCE_SCHEMA, connect};
use lockstep_testkit::installation::Installation;
use serde_json::Value;

use crate::custom_mapping::Definitions;
use crate::pause::says;
use crate::programs::{ended, secret_file, with_changed};
use crate::stage::Stage;

const PAGE: &str = include_str!("../docs/json.md");

/// Objects whose fields are names of mappings, columns or destinations, or depend on the kind of an event.
const BY_NAME: [&str; 8] = [
    ".removed",
    ".removed_rows",
    ".about",
    ".events[].about",
    ".entries[].key",
    ".key",
    ".instances[].state.shipped.lag",
    ".instances[].state.shipped.rows",
];

/// The object under the heading that names a command.
fn documented(command: &str) -> Result<Value> {
    let heading = PAGE.lines().find(|line| line.starts_with("## ") && line.contains(&format!("`lockstep {command}`")));
    let section = PAGE.split(heading.with_context(|| format!("docs/json.md says nothing of {command}"))?).nth(1);
    let object = section.and_then(|section| section.split("```").nth(1)).context("an example")?;
    serde_json::from_str(object.trim_start_matches("json")).with_context(|| format!("the example of {command}"))
}

/// The paths of all fields below a value, and those of fields that are null or empty.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>, closed: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if !BY_NAME.contains(&path) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                found.insert(path.clone());
                paths(value, &path, found, closed);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().for_each(|item| paths(item, &format!("{path}[]"), found, closed));
        }
        Value::Null | Value::Array(_) => drop(closed.insert(path.to_owned())),
        _ => {}
    }
}

/// Compares the fields of an object with those of the documented one.
pub(crate) fn compare(command: &str, value: &Value) -> Result<()> {
    let (mut here, mut closed) = (BTreeSet::new(), BTreeSet::new());
    paths(value, "", &mut here, &mut closed);
    let (mut said, mut unused) = (BTreeSet::new(), BTreeSet::new());
    paths(&documented(command)?, "", &mut said, &mut unused);
    let missing = said.difference(&here).filter(|path| !closed.iter().any(|closed| path.starts_with(closed.as_str())));
    // A check that found nothing has no remedy.
    let optional = [".checks[].remedy", ".services[].remedy"];
    let missing: Vec<_> = missing.filter(|path| !optional.contains(&path.as_str())).collect();
    let unsaid: Vec<_> = here.difference(&said).collect();
    ensure!(
        missing.is_empty() && unsaid.is_empty(),
        "{command}: missing {missing:?}, not documented {unsaid:?}: {value}"
    );
    Ok(())
}

/// Runs a command; its object, which has to be all of its output, and have the documented fields.
pub(crate) async fn json(stage: &Stage, command: &str, arguments: &[&str], code: i32) -> Result<Value> {
    let words: Vec<_> = command.split(' ').collect();
    let finished = stage.installation.run("lockstep", &[&words, arguments, &["--output", "json"]].concat()).await?;
    assert_eq!(finished.code, Some(code), "{command}: {} {}", finished.stdout, finished.stderr);
    let value = serde_json::from_str(&finished.stdout).with_context(|| format!("{command}: {}", finished.stdout))?;
    compare(command, &value)?;
    Ok(value)
}

pub(crate) async fn tenancy(stage: &Stage, name: &str) -> Result<String> {
    Ok(stage.client.query_one("SELECT id($1)::text", &[&name]).await?.get(0))
}

#[tokio::test]
async fn json_of_migrate() -> Result<()> {
    let stage = Stage::small().await?;
    stage.in_clickhouse("ALTER TABLE {raw}.users DROP COLUMN is_anonymous").await?;
    stage.sql("UPDATE lockstep.definition SET exported = 'before' WHERE mapping_name = 'users'").await?;
    for (arguments, dry_run) in [(&["--dry-run"][..], true), (&[], false)] {
        let said = json(&stage, "migrate", arguments, 0).await?;
        assert_eq!(said["dry_run"], dry_run);
        assert_eq!(said["tables"][0]["action"], "columns_added", "{said}");
        assert_eq!(said["tables"][0]["differences"][0], "column is_anonymous is missing, must be UInt8");
    }
    let again = json(&stage, "migrate", &[], 0).await?;
    assert!(["tables", "source", "clickhouse"].iter().all(|part| again[*part] == Value::Array(Vec::new())), "{again}");
    stage.end([]).await
}

#[tokio::test]
async fn json_of_status_wait_pause_settings_and_doctor() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let engines = tenancy(&stage, "engines").await?;
    let waited = json(&stage, "wait", &["--all"], 0).await?;
    ensure!(waited["outcome"] == "in_step" && waited["sequence"].as_i64() > Some(0), "{waited}");
    ensure!(
        waited["lag"]
            == serde_json::json!({"passed": null, "behind": [], "filling": [], "not_set_up": [], "destinations": [], "unnoted": false}),
        "{waited}"
    );
    json(&stage, "wait", &["--tenant", &engines], 0).await?;
    assert_eq!(json(&stage, "paused", &[], 0).await?["paused"], Value::Array(Vec::new()));
    let report = json(&stage, "doctor", &[], 0).await?;
    ensure!(report["clean"] == true && report["checks"][0]["outcome"] == "ok", "{report}");

    let pause = ["mapping", "users", "--reason", "too wide"];
    let done = json(&stage, "pause", &pause, 0).await?;
    assert_eq!(done, serde_json::json!({"kind": "mapping", "name": "users", "paused": true, "changed": true}));
    assert_eq!(json(&stage, "pause", &pause, 0).await?["changed"], false);
    let paused = json(&stage, "paused", &[], 0).await?;
    ensure!(paused["paused"][0]["reason"] == "too wide" && paused["paused"][0]["name"] == "users", "{paused}");
    says(&programs[1], "some_paused=true", 1).await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'renamed'"#).await?;
    let waited = json(&stage, "wait", &["--all", "--timeout", "2"], 2).await?;
    ensure!(waited["outcome"] == "in_flight" && waited["lag"]["passed"].is_number(), "{waited}");
    let waited = json(&stage, "wait", &["--tenant", &engines, "--timeout", "2"], 2).await?;
    assert_eq!(waited["lag"]["behind"], serde_json::json!(["users"]));
    let status = json(&stage, "status", &[], 0).await?;
    ensure!(status["paused"] == paused["paused"] && status["mappings"][0]["tenancies_behind"] == 2, "{status}");
    let done = json(&stage, "resume", &["mapping", "users"], 0).await?;
    assert_eq!(done, serde_json::json!({"kind": "mapping", "name": "users", "paused": false, "changed": true}));

    let page = json(&stage, "tenants", &["--limit", "1"], 0).await?;
    let next = page["next"].as_str().context("there is a second page")?;
    let second = json(&stage, "tenants", &["--limit", "1", "--after", next], 0).await?;
    ensure!(second["tenants"][0]["tenancy"] != page["tenants"][0]["tenancy"], "{second}");
    let told = json(&stage, "status --tenant", &[&engines], 0).await?;
    ensure!(told["tenancy"] == *engines && told["mappings"].as_array().is_some_and(|all| all.len() == 12), "{told}");

    json(&stage, "settings", &[], 0).await?;
    let changed = json(&stage, "settings", &["set", "late_write_limit", "4 seconds"], 0).await?;
    assert_eq!(changed["settings"][1]["value"], "00:00:04", "{changed}");
    stage.equal().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn json_of_resync_rewind_and_quarantine() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let engines = tenancy(&stage, "engines").await?;
    let exported = json(&stage, "resync", &["--mapping", "teams"], 0).await?;
    ensure!(exported["mappings"] == 1 && exported["tenancies"].is_null() && exported["stale_rows"] == 0, "{exported}");
    let exported = json(&stage, "resync", &["--tenant", &engines], 0).await?;
    ensure!(exported["mappings"] == 12 && exported["tenancies"] == 1 && exported["floor"].is_number(), "{exported}");
    let found = json(&stage, "rewind", &[], 0).await?;
    ensure!(found["ahead"] == Value::Array(Vec::new()) && found["export"].is_null(), "{found}");

    let refused = format!(
        "INSERT INTO lockstep.quarantine (destination, mapping_name, tenancy_id, sequence, code, error, uuid_1) VALUES ('clickhouse', 'users', '{engines}', 1, 'LS-0203', 'refused for a test', gen_random_uuid())"
    );
    stage.sql(&refused).await?;
    let listed = json(&stage, "quarantine list", &["--mapping", "users"], 0).await?;
    ensure!(listed["entries"][0]["code"] == "LS-0203" && listed["entries"][0]["key"]["id"].is_string(), "{listed}");
    let waited = json(&stage, "wait", &["--all"], 1).await?;
    ensure!(waited["outcome"] == "quarantined" && waited["quarantined_rows"] == 1, "{waited}");
    assert_eq!(json(&stage, "quarantine drop", &["--all"], 0).await?["rows"], 1);
    assert_eq!(json(&stage, "quarantine retry", &["--all"], 0).await?["rows"], 0);

    let [sequencer, worker] = programs;
    worker.signal("STOP").await?;
    let unfinished = json(&stage, "resync", &["--timeout", "2"], 2).await?;
    ensure!(unfinished["stale_rows"].is_null() && unfinished["unfinished"].is_string(), "{unfinished}");
    worker.signal("CONT").await?;
    let ahead = "INSERT INTO {raw}._stack_sync_metadata (tenancy_id, mapping_name, last_synced_sequence_id) SELECT tenancy_id, mapping_name, last_synced_sequence_id + 1000 FROM {raw}._stack_sync_metadata FINAL WHERE mapping_name = 'users' LIMIT 1";
    json(&stage, "resync", &[], 0).await?;
    stage.in_clickhouse(ahead).await?;
    let found = json(&stage, "rewind", &["--dry-run"], 0).await?;
    ensure!(found["ahead"][0]["mapping"] == "users" && found["export"].is_null(), "{found}");
    let mended = json(&stage, "rewind", &[], 0).await?;
    ensure!(mended["export"]["mappings"] == 12 && mended["numbers_from"].is_number(), "{mended}");
    stage.end([sequencer, worker]).await
}

#[tokio::test]
async fn json_of_access() -> Result<()> {
    let stage = Stage::small().await?;
    let engines = tenancy(&stage, "engines").await?;
    let granted = json(&stage, "access grant", &["--tenant", &engines], 0).await?;
    ensure!(granted["tenancy"] == *engines && granted["password"].is_string(), "another user than was asked for");
    json(&stage, "access list", &[], 0).await?;
    json(&stage, "access check", &[], 0).await?;
    let revoked = json(&stage, "access revoke", &["--tenant", &engines], 0).await?;
    ensure!(revoked["in_files"] == Value::Array(Vec::new()), "{revoked}");
    stage.end([]).await
}

#[tokio::test]
async fn json_of_mapping() -> Result<()> {
    let wrong = "name = \"wrong\"\ntable = 7\n";
    let definitions = Definitions::new(&[])?;
    let stage = definitions.stage().await?;
    stage.sql(SOURCE_SCHEMA).await?;
    stage.sql(r#"ALTER TABLE "Team" ADD "outline" polygon"#).await?;
    let file = definitions.path("team.toml").display().to_string();
    let written = json(&stage, "mapping init", &["--table", "Team", "--to", &file], 0).await?;
    ensure!(written["file"] == *file && written["left_out"][0]["column"] == "outline", "{written}");
    assert_eq!(written["definition"], std::fs::read_to_string(&file)?);
    assert_eq!(json(&stage, "mapping check", &[], 0).await?["mappings"], 13);
    std::fs::write(definitions.path("wrong.toml"), wrong)?;
    let checked = json(&stage, "mapping check", &[], 1).await?;
    ensure!(checked["clean"] == false && checked["findings"][0]["line"] == 2, "{checked}");
    let shown = json(&stage, "mapping show --sql", &["team"], 0).await?;
    ensure!(shown["file"] == *file && shown["statements"][0]["title"].is_string(), "{shown}");
    let shown = json(&stage, "mapping show", &["team"], 0).await?;
    assert_eq!(shown["definition"], std::fs::read_to_string(&file)?);
    let id = shown["columns"].as_array().and_then(|columns| columns.iter().find(|column| column["name"] == "team_id"));
    ensure!(id.is_some_and(|id| id["source_type"] == "uuid" && id["clickhouse_type"] == "UUID"), "{shown}");
    ensure!(shown["triggers"][0]["problem"] == "it is not there", "{shown}");
    stage.end([]).await
}

#[tokio::test]
async fn json_of_erase() -> Result<()> {
    let stage = Stage::small().await?;
    stage.installation.succeed("lockstep", &["settings", "set", "late_write_limit", "4 seconds"]).await?;
    stage.sql("UPDATE lockstep.setting SET previous = NULL").await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let engines = tenancy(&stage, "engines").await?;
    stage.sql(r#"DELETE FROM "Tenancy" WHERE "id" = id('engines')"#).await?;
    let too_soon = json(&stage, "erase", &["--tenant", &engines, "--timeout", "0"], 2).await;
    ensure!(too_soon.is_err_and(|error| format!("{error:#}").contains("missing")), "there is a receipt already");
    let erased = json(&stage, "erase", &["--tenant", &engines], 0).await?;
    ensure!(erased["outcome"] == "erased" && erased["removed"]["users"].as_u64() >= Some(3), "{erased}");
    assert_eq!(json(&stage, "erase", &["--tenant", &engines], 0).await?["outcome"], "erased_before");
    stage.end(programs).await
}

/// Tenancies that are in step cost `status` and `wait --all` nothing: a role that may read no table of tenancies
/// can run both.
#[tokio::test]
async fn status_and_wait_read_no_table_of_tenancies() -> Result<()> {
    let stage = Stage::small().await?;
    let role = format!("role_of_{}", stage.installation.database().name());
    let rights = format!(
        r#"CREATE ROLE "{role}" LOGIN; GRANT USAGE ON SCHEMA lockstep TO "{role}";
        GRANT SELECT ON ALL TABLES IN SCHEMA lockstep TO "{role}"; GRANT INSERT, DELETE ON lockstep.fence TO "{role}";
        REVOKE ALL ON lockstep.tenancy_location FROM "{role}""#
    );
    stage.sql(&rights).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let url = stage.installation.database().url().replacen("postgres://postgres@", &format!("postgres://{role}@"), 1);
    let client = connect(&url).await?;
    for denied in [r#"SELECT FROM "Tenancy""#, "SELECT FROM lockstep.tenancy_location"] {
        ensure!(client.execute(denied, &[]).await.is_err(), "the role may read what it should not: {denied}");
    }
    for arguments in [&["status"][..], &["wait", "--all"]] {
        let done = ended(with_changed(&stage, "lockstep", &[("LOCKSTEP_SOURCE_URL", &url)]).args(arguments)).await?;
        ensure!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    stage.sql(&format!(r#"DROP OWNED BY "{role}"; DROP ROLE "{role}""#)).await?;
    stage.end(programs).await
}

#[tokio::test]
async fn json_of_console_link() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    let secret = secret_file(&std::env::temp_dir(), "links", "0123456789abcdef0123456789abcdef")?;
    let tenant = "7f2c6e8a-0000-4000-8000-000000000001";
    let arguments = ["--tenant", tenant, "--link-secret-file", &secret, "--minutes", "5"];
    let link = json(&stage, "console link", &arguments, 0).await?;
    assert_eq!(link["valid_s"], 300);
    ensure!(link["url"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:9465/t/")), "{link}");
    std::fs::remove_file(secret)?;
    stage.end([]).await
}

#[tokio::test]
async fn json_of_console_hash_password() -> Result<()> {
    const PASSWORD: &str = "correct horse battery staple";
    let stage = Stage::of(Installation::create().await?).await?;
    let hash = async |password: &str| {
        let arguments = ["console", "hash-password", "--output", "json"];
        stage.installation.run_with_input("lockstep", &arguments, password).await
    };
    let made = hash(PASSWORD).await?;
    ensure!(made.code == Some(0), "{}", made.stderr);
    let value: Value = serde_json::from_str(&made.stdout)?;
    compare("console hash-password", &value)?;
    ensure!(value["hash"].as_str().is_some_and(|hash| hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")), "{value}");
    let short = hash("hunter2").await?;
    ensure!(
        short.code == Some(78) && short.stderr.contains("LS-0062") && !short.stderr.contains("hunter2"),
        "{short:?}"
    );
    stage.end([]).await
}

/// Lists are one item a line, errors are one object, and a reader that goes away is no failure.
#[tokio::test]
async fn lines_and_errors_and_readers_that_go_away() -> Result<()> {
    let stage = Stage::small().await?;
    let run = async |arguments: &[&str]| stage.installation.run("lockstep", arguments).await;
    let lines = run(&["tenants", "--output", "jsonl"]).await?;
    let tenants: Vec<Value> = lines.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(tenants.len() > 1 && tenants.iter().all(|one| one["tenancy"].is_string()), "{}", lines.stdout);
    for (state, arguments) in
        [("paused", &["pause", "tenancy"][..]), ("behind", &[]), ("quarantined", &[]), ("erasing", &[])]
    {
        let id = tenants[0]["tenancy"].as_str().context("an id")?;
        if !arguments.is_empty() {
            stage.installation.succeed("lockstep", &[arguments, &[id]].concat()).await?;
        }
        let only = run(&["tenants", &format!("--{state}"), "--json"]).await?;
        let only: Value = serde_json::from_str(&only.stdout).with_context(|| only.stderr.clone())?;
        let expected = usize::from(state == "paused");
        ensure!(
            only["tenants"].as_array().is_some_and(|all| state == "behind" || all.len() == expected),
            "{state}: {only}"
        );
    }
    let failed = run(&["explain", "--mapping", "nothing", "--key", "1", "--output", "json"]).await?;
    let error: Value = serde_json::from_str(&failed.stderr).with_context(|| failed.stderr.clone())?;
    ensure!(failed.code == Some(78) && failed.stdout.is_empty() && error["code"] == "LS-0040", "{error}");
    let failed = run(&["status", "--nonsense", "--output=json"]).await?;
    let error: Value = serde_json::from_str(&failed.stderr).with_context(|| failed.stderr.clone())?;
    ensure!(failed.code == Some(78) && error["code"] == "LS-0001", "{error}");
    let plain = run(&["tenants", "--color", "always"]).await?;
    ensure!(plain.stdout.contains("\u{1b}[") && plain.stdout.contains("paused"), "{}", plain.stdout);
    ensure!(!run(&["tenants"]).await?.stdout.contains('\u{1b}'), "colours where there is no terminal");
    stage.end([]).await
}
