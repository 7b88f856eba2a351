//! A database that has nothing of the platform: its tenants are rows of a table of its own, and no built-in mapping is loaded.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use lockstep_mappings::SourceTable;
use lockstep_mappings::postgres::{KEEPER, tenancies_kept_from};
use lockstep_testkit::installation::Installation;
use serde_json::Value;
use tokio::process::Command;

use crate::custom_mapping::Definitions;
use crate::programs::{ended, with_changed, with_settings};
use crate::stage::Stage;

/// A shop: its tenants are accounts, in a schema of their own; more tables refer to people than to accounts.
const SHOP: &str = "
CREATE SCHEMA shop;
CREATE TABLE shop.accounts (id uuid PRIMARY KEY, name text NOT NULL, plan text);
CREATE TABLE shop.person (id uuid PRIMARY KEY, account uuid NOT NULL REFERENCES shop.accounts ON DELETE CASCADE, name text NOT NULL);
CREATE TABLE shop.bill (id uuid PRIMARY KEY, paid_by uuid REFERENCES shop.person ON DELETE SET NULL,
    account uuid NOT NULL REFERENCES shop.accounts ON DELETE CASCADE, cents bigint NOT NULL);
CREATE TABLE shop.note (id uuid PRIMARY KEY, person uuid REFERENCES shop.person ON DELETE CASCADE, account uuid NOT NULL REFERENCES shop.accounts ON DELETE CASCADE);
CREATE TABLE shop.letter (id bigserial PRIMARY KEY, account uuid NOT NULL);
CREATE TABLE shop.measurement (id bigint, account uuid NOT NULL, at date) PARTITION BY RANGE (at);
CREATE TABLE shop.visit (person uuid REFERENCES shop.person ON DELETE CASCADE, at timestamptz PRIMARY KEY);
INSERT INTO shop.accounts SELECT md5('account ' || n)::uuid, 'account ' || n, 'free' FROM generate_series(1, 3) n;
INSERT INTO shop.person SELECT md5('person ' || n)::uuid, md5('account ' || n % 3 + 1)::uuid, 'person ' || n FROM generate_series(1, 30) n;
INSERT INTO shop.bill SELECT md5('bill ' || n)::uuid, md5('person ' || n % 30 + 1)::uuid, md5('account ' || n % 3 + 1)::uuid, n FROM generate_series(1, 300) n;
";

/// What every tenant sees, and what it ought to see, as text that sorts alike.
async fn is_equal(stage: &Stage) -> Result<()> {
    for (view, columns, table) in [
        ("accounts", "project_id, id, name", "SELECT id::text, id::text, name FROM shop.accounts"),
        ("person", "project_id, id, name", "SELECT account::text, id::text, name FROM shop.person"),
        ("bill", "project_id, id, cents", "SELECT account::text, id::text, cents::text FROM shop.bill"),
    ] {
        let seen = stage.seen(&format!("SELECT {columns} FROM {{views}}.{view} FORMAT TSV")).await?;
        let seen: BTreeSet<_> = seen.lines().map(str::to_owned).collect();
        let rows = stage.client.query(table, &[]).await?;
        let expected = rows.iter().map(|row| [0, 1, 2].map(|place| row.get::<_, String>(place)).join("\t"));
        assert_eq!(seen, expected.collect::<BTreeSet<_>>(), "{view}");
    }
    Ok(())
}

#[tokio::test]
async fn another_database_goes_from_init_to_rows_that_are_proven() -> Result<()> {
    let stage = Stage::of(Installation::create().await?.without_built_in_mappings()).await?;
    stage.sql(SHOP).await?;
    let to = Definitions::new(&[])?;
    let directory = to.path("").display().to_string();
    // What says which built-in mappings there are is what `init` finds.
    let mut own: Vec<_> = stage.installation.environment();
    own.retain(|(name, _)| *name != "LOCKSTEP_BUILT_IN_MAPPINGS");
    let own: Vec<_> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut init = with_settings(&stage, "lockstep", &own);
    let output = ended(init.args(["init", "--to", &directory, "--output", "json"])).await?;
    let report: Value = serde_json::from_slice(&output.stdout).context("what init says")?;
    ensure!(output.status.success() && report["ready"] == true, "{report:#}");
    assert_eq!(report["tenants"]["table"], "shop.accounts");
    assert_eq!(report["built_in_mappings"], "none");
    let names: Vec<_> = report["suggested"].as_array().into_iter().flatten().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["accounts", "bill", "letter", "note", "person"], "{report:#}");
    let unmapped: Vec<_> =
        report["unmapped"].as_array().into_iter().flatten().map(|one| one["table"].clone()).collect();
    assert_eq!(unmapped, ["shop.measurement", "shop.visit"], "{report:#}");
    ensure!(report["next"][0].as_str().is_some_and(|next| next.starts_with("psql ")), "{report:#}");
    ensure!(stage.number("SELECT count(*) FROM pg_class WHERE relname = 'Tenancy'").await? == 0, "it was changed");

    let config = to.path("lockstep.toml").display().to_string();
    let lockstep = || with_settings(&stage, "lockstep", &[("LOCKSTEP_CONFIG", &config)]);
    let refused = ended(lockstep().arg("migrate")).await?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(
        refused.status.code() == Some(78) && said.contains("lockstep init") && said.contains("tenancy.sql"),
        "{said}"
    );
    stage.sql(&std::fs::read_to_string(to.path("tenancy.sql"))?).await?;
    for arguments in [&["mapping", "check"][..], &["migrate"]] {
        let done = ended(lockstep().args(arguments)).await?;
        ensure!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let start =
        |program| stage.installation.spawn(with_settings(&stage, program, &[("LOCKSTEP_CONFIG", &config)]), program);
    let programs = [start("lockstep-sequencer")?, start("lockstep-worker")?];
    let in_step = async || {
        let waited = ended(lockstep().args(["wait", "--all", "--timeout", "60"])).await?;
        ensure!(waited.status.success(), "{}", String::from_utf8_lossy(&waited.stderr));
        is_equal(&stage).await
    };
    in_step().await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.bill").await?, "300");

    // Tenants come, are renamed and go, as the application pleases.
    stage.sql("INSERT INTO shop.accounts VALUES (md5('new')::uuid, 'new', NULL);
        INSERT INTO shop.bill VALUES (md5('new bill')::uuid, NULL, md5('new')::uuid, 7); UPDATE shop.accounts SET plan = 'paid'").await?;
    in_step().await?;
    stage.sql("DELETE FROM shop.accounts WHERE name = 'account 2'").await?;
    in_step().await?;
    assert_eq!(stage.number("SELECT count(*) FROM \"Tenancy\"").await?, 3);
    let mut verifier = with_settings(&stage, "lockstep-verifier", &[("LOCKSTEP_CONFIG", &config)]);
    let proven = ended(&mut verifier).await?;
    ensure!(proven.status.success(), "{}", String::from_utf8_lossy(&proven.stdout));
    stage.sql("TRUNCATE shop.accounts CASCADE").await?;
    in_step().await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.bill").await?, "0");
    assert_eq!(stage.number("SELECT count(*) FROM \"Tenancy\"").await?, 0);
    stage.end(programs).await
}

/// Two tenants may change places where the key is deferred, and a restore may bring tenancies before tenants.
#[tokio::test]
async fn another_database_loses_no_statement_to_the_table_of_tenancies() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    stage
        .sql(
            "CREATE TABLE account (id uuid PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, name text);
        INSERT INTO account SELECT md5(n::text)::uuid, n::text FROM generate_series(1, 3) n",
        )
        .await?;
    let account = SourceTable { schema: "public".to_owned(), name: "account".to_owned() };
    stage.sql(&tenancies_kept_from(&account, "id")).await?;
    const UNLIKE: &str = "SELECT count(*) FROM account a FULL JOIN \"Tenancy\" t ON t.\"id\" = a.id WHERE a.id IS NULL OR t.\"id\" IS NULL";
    for statements in [
        "UPDATE account SET id = CASE name WHEN '1' THEN md5('2') ELSE md5('1') END::uuid WHERE name IN ('1', '2')",
        "INSERT INTO account VALUES (md5('3')::uuid, 'another 3'); DELETE FROM account WHERE name = '3'",
        "INSERT INTO \"Tenancy\" (\"id\", \"projectId\") VALUES (md5('4')::uuid, 'restored'); INSERT INTO account VALUES (md5('4')::uuid, '4')",
        "DELETE FROM account WHERE name = '4'",
        "TRUNCATE account",
    ] {
        stage.sql(statements).await?;
        assert_eq!(stage.number(UNLIKE).await?, 0, "{statements}");
    }
    stage.end([]).await
}

/// What `lockstep init` says into a directory of its own, and its exit code.
async fn init(stage: &Stage, to: &Definitions, more: &[&str]) -> Result<(Option<i32>, Value)> {
    let directory = to.path("").display().to_string();
    let arguments = [&["init", "--to", &directory, "--output", "json"], more].concat();
    let output = ended(with_changed(stage, "lockstep", &[]).args(arguments)).await?;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.code(), serde_json::from_slice(&output.stdout).with_context(said)?))
}

/// What is called as the platform's table is, and is none, is said.
#[tokio::test]
async fn another_database_with_a_tenancy_of_another_form_is_not_ready() -> Result<()> {
    for (tenancy, place) in
        [("CREATE TABLE \"Tenancy\" (x int)", "findings"), ("CREATE TYPE \"Tenancy\" AS ENUM ('x')", "services")]
    {
        let stage = Stage::of(Installation::create().await?).await?;
        stage.sql(tenancy).await?;
        stage.sql("CREATE TABLE account (id uuid PRIMARY KEY); CREATE TABLE bill (id uuid PRIMARY KEY, account uuid REFERENCES account)").await?;
        let to = Definitions::new(&[])?;
        let (code, report) = init(&stage, &to, &[]).await?;
        ensure!(code == Some(1) && report["ready"] == false, "{report:#}");
        ensure!(report[place].to_string().contains("Tenancy") && !to.path("tenancy.sql").exists(), "{report:#}");
        stage.end([]).await?;
    }
    Ok(())
}

/// Names of the application's do not stand in the way, and where something does, nothing is half there.
#[tokio::test]
async fn another_database_gets_all_of_its_tenancies_or_nothing() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    stage
        .sql(
            "CREATE TABLE account (id uuid PRIMARY KEY); INSERT INTO account VALUES (md5('one')::uuid);
        CREATE FUNCTION keep_tenancies() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER keep_tenancies AFTER INSERT ON account FOR EACH ROW EXECUTE FUNCTION keep_tenancies()",
        )
        .await?;
    let account = SourceTable { schema: "public".to_owned(), name: "account".to_owned() };
    let in_the_way = format!(
        "CREATE TRIGGER {KEEPER}_of_none AFTER INSERT ON account FOR EACH ROW EXECUTE FUNCTION keep_tenancies()"
    );
    stage.sql(&in_the_way).await?;
    let to = Definitions::new(&[])?;
    let file = to.path("tenancy.sql");
    std::fs::write(&file, tenancies_kept_from(&account, "id"))?;
    // Without ON_ERROR_STOP, every statement is tried.
    let psql =
        async || ended(Command::new("psql").arg("--file").arg(&file).arg(stage.installation.database().url())).await;
    ensure!(String::from_utf8_lossy(&psql().await?.stderr).contains("already exists"), "nothing was in the way");
    const THERE: &str = "SELECT (SELECT count(*) FROM pg_class WHERE relname = 'Tenancy') + (SELECT count(*) FROM pg_proc WHERE proname = $$KEEPER$$)";
    let there = THERE.replace("KEEPER", KEEPER);
    assert_eq!(stage.number(&there).await?, 0);
    stage.sql(&format!("DROP TRIGGER {KEEPER}_of_none ON account")).await?;
    psql().await?;
    assert_eq!(stage.number(&there).await?, 2);
    assert_eq!(stage.number("SELECT count(*) FROM \"Tenancy\"").await?, 1);
    stage.end([]).await
}

/// Tenants that are known by numbers are said to be, and what is said to be done about it makes it work.
#[tokio::test]
async fn another_database_whose_tenants_have_numbers_is_told_what_to_do() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    stage
        .sql(
            "CREATE TABLE account (id bigint PRIMARY KEY);
        CREATE TABLE bill (id uuid PRIMARY KEY, account_id bigint NOT NULL REFERENCES account);
        CREATE TABLE visit (id uuid PRIMARY KEY, account_id bigint NOT NULL); INSERT INTO account VALUES (7)",
        )
        .await?;
    let to = Definitions::new(&[])?;
    let (code, report) = init(&stage, &to, &[]).await?;
    ensure!(code == Some(1) && report["ready"] == false && report["suggested"] == serde_json::json!([]), "{report:#}");
    let tenants = report["services"].as_array().into_iter().flatten().find(|check| check["check"] == "tenants");
    let tenants = tenants.context("what is wrong with the tenants")?;
    for (field, part) in
        [("detail", "public.account looks"), ("detail", "id is of type bigint"), ("remedy", "gen_random_uuid()")]
    {
        ensure!(tenants[field].as_str().is_some_and(|said| said.contains(part)), "{tenants:#}");
    }
    let unmapped: Vec<_> = report["unmapped"].as_array().into_iter().flatten().collect();
    for (table, part) in [
        ("public.account", "id is of type int8"),
        ("public.bill", "account_id is of type int8"),
        ("public.visit", "account_id is of type int8"),
    ] {
        let is_told =
            |one: &&&Value| one["table"] == table && one["reason"].as_str().is_some_and(|said| said.contains(part));
        ensure!(unmapped.iter().any(|one| is_told(&one)), "{table}: {unmapped:#?}");
    }
    ensure!(!to.path("tenancy.sql").exists(), "nobody knows the tenants");

    stage
        .sql(
            "ALTER TABLE account ADD COLUMN tenant uuid UNIQUE NOT NULL DEFAULT gen_random_uuid();
        ALTER TABLE bill ADD COLUMN tenant uuid NOT NULL REFERENCES account (tenant)",
        )
        .await?;
    let (code, report) = init(&stage, &to, &["--force"]).await?;
    ensure!(code == Some(0) && report["tenants"]["table"] == "public.account", "{report:#}");
    stage.sql(&std::fs::read_to_string(to.path("tenancy.sql"))?).await?;
    assert_eq!(stage.number("SELECT count(*) FROM account a JOIN \"Tenancy\" t ON t.\"id\" = a.tenant").await?, 1);
    let bill = std::fs::read_to_string(to.path("mappings/bill.toml"))?;
    ensure!(bill.contains("tenant = { column = \"tenant\" }"), "{bill}");
    stage.end([]).await
}

/// Two tables that may be the tenants' are not chosen between by their names.
#[tokio::test]
async fn another_database_with_two_tables_of_tenants_asks_which() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    stage
        .sql(
            "CREATE TABLE account (id uuid PRIMARY KEY); CREATE TABLE workspace (id uuid PRIMARY KEY);
        CREATE TABLE bill (id uuid PRIMARY KEY, account uuid NOT NULL REFERENCES account, workspace uuid NOT NULL REFERENCES workspace)",
        )
        .await?;
    let to = Definitions::new(&[])?;
    let (code, report) = init(&stage, &to, &[]).await?;
    let services = report["services"].to_string();
    ensure!(code == Some(1) && services.contains("each of public.account, public.workspace"), "{report:#}");
    ensure!(services.contains("--tenants-table") && !to.path("tenancy.sql").exists(), "{report:#}");
    let (code, report) = init(&stage, &to, &["--tenants-table", "workspace"]).await?;
    ensure!(code == Some(0) && report["tenants"]["table"] == "public.workspace", "{report:#}");

    // The same once more finds all as it is; other tenants are told apart from those, and nothing is replaced without --force.
    let (code, report) = init(&stage, &to, &["--tenants-table", "workspace"]).await?;
    ensure!(code == Some(0) && report["conflicts"] == serde_json::json!([]), "{report:#}");
    let written = || ["tenancy.sql", "mappings/bill.toml"].map(|file| std::fs::read_to_string(to.path(file)).unwrap());
    let of_workspace = written();
    let (code, report) = init(&stage, &to, &["--tenants-table", "account"]).await?;
    ensure!(code == Some(1) && report["ready"] == false && report["next"] == serde_json::json!([]), "{report:#}");
    let conflicts = report["conflicts"].to_string();
    for told in ["tenancy.sql", "of public.account", "bill.toml", "of public.bill by workspace, not by account"] {
        ensure!(conflicts.contains(told), "{told} is not in {conflicts}");
    }
    assert_eq!(written(), of_workspace);
    // What only the former tenants have stays, since nothing can be written in its place, and is said.
    let (code, report) = init(&stage, &to, &["--tenants-table", "account", "--force"]).await?;
    let conflicts = report["conflicts"].as_array().context("conflicts")?;
    ensure!(code == Some(1) && conflicts.len() == 1, "{report:#}");
    for (field, part) in [
        ("file", "workspace.toml"),
        ("problem", "by id, which is of no row of public.account"),
        ("remedy", "remove it"),
    ] {
        ensure!(conflicts[0][field].as_str().is_some_and(|said| said.contains(part)), "{report:#}");
    }
    std::fs::remove_file(to.path("mappings/workspace.toml"))?;
    let (code, report) = init(&stage, &to, &["--tenants-table", "account"]).await?;
    ensure!(code == Some(0) && report["conflicts"] == serde_json::json!([]), "{report:#}");
    let [tenancy, bill] = written();
    ensure!(tenancy.contains("account") && bill.contains("tenant = { column = \"account\" }"), "{tenancy}\n{bill}");

    // Once the table of tenancies is there, it is of one table.
    stage.sql(&tenancy).await?;
    let (code, report) = init(&stage, &to, &["--tenants-table", "workspace"]).await?;
    ensure!(
        code == Some(1) && report["services"].to_string().contains("kept from public.account already"),
        "{report:#}"
    );
    // And nothing is said to be written anew for tenants that were refused.
    ensure!(
        report["conflicts"] == serde_json::json!([]) && report["next"].to_string().contains("lockstep init"),
        "{report:#}"
    );
    stage.end([]).await
}
