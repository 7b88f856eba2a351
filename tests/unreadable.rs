//! FAIR-1, VER-1: a row that Postgres cannot give, because an expression overflows or its text is too long. Everything else
//! arrives, the operator sees which row it is, the verifier compares all others, and the row arrives when it is mended.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::{PrivatePostgres, SOURCE_SCHEMA, TestDatabase};
use lockstep_testkit::installation::{Installation, Program};
use serde_json::Value;

use crate::custom_mapping::Definitions;
use crate::quarantine::{all_else_in_step, listed, quarantine};
use crate::stage::Stage;

/// A mapping that adds two numbers, whose sum may be too large.
const ADDING: &str = r#"
name = "invoices"                       # also the table in ClickHouse
table = "Invoice"
tenant = { column = "tenancyId" }
key = ["id"]
where = "{status} <> 'DRAFT'"           # optional

[[columns]]
name = "id"
type = "uuid"
column = "id"

[[columns]]
name = "total_cents"
type = "int64"                          # ? behind a type: can be null; []: an array
sql = "{netCents} + {taxCents}"         # {column} is a column of the row
when_null = "0"
alias = "amount"                        # optional: a second name in the view, for saved queries
"#;

const INVOICE: &str = r#"CREATE TABLE "Invoice" ("tenancyId" uuid NOT NULL, "id" uuid NOT NULL, "netCents" bigint NOT NULL,
    "taxCents" bigint NOT NULL, "status" text NOT NULL, PRIMARY KEY ("tenancyId", "id"))"#;
/// One transaction, two tenants: the sum of one's invoice is out of range.
const OVERFLOW: &str = r#"INSERT INTO "Invoice" VALUES
    (id('engines'), id('first'), 1, 1, 'OPEN'), (id('engines'), id('huge'), 9223372036854775807, 1, 'OPEN'),
    (id('engines'), id('last'), 2, 2, 'OPEN'), (id('compilers'), id('other'), 100, 19, 'OPEN'),
    (id('compilers'), id('draft'), 9223372036854775807, 1, 'DRAFT')"#;
pub(crate) const MEND: &str =
    r#"UPDATE "Invoice" SET "netCents" = 5, "status" = 'OPEN' WHERE "netCents" = 9223372036854775807"#;
const TOTALS: &str = "SELECT arrayStringConcat(groupArray(total), ' ') FROM (SELECT toString(total_cents) AS total FROM {views}.invoices ORDER BY total_cents)";

/// A small world with that table, and the mapping that it shows; not migrated yet.
async fn with_readme_mapping() -> Result<(Stage, Definitions)> {
    with_mapping(ADDING).await
}

async fn with_mapping(definition: &str) -> Result<(Stage, Definitions)> {
    let definitions = Definitions::new(&[("invoices.toml", definition)])?;
    let stage = definitions.stage().await?;
    for sql in [SOURCE_SCHEMA, include_str!("world.sql"), INVOICE] {
        stage.sql(sql).await?;
    }
    Ok((stage, definitions))
}

/// A world whose invoices can all be read, and have arrived.
pub(crate) struct InvoicesInStep {
    pub(crate) stage: Stage,
    pub(crate) programs: [Program; 2],
    pub(crate) definitions: Definitions,
}

pub(crate) async fn invoices_in_step() -> Result<InvoicesInStep> {
    let (stage, definitions) = with_readme_mapping().await?;
    stage.sql(&OVERFLOW.replace("9223372036854775807", "7")).await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    Ok(InvoicesInStep { stage, programs, definitions })
}

/// The one entry of the quarantine, which says no value.
async fn the_entry(stage: &Stage, mapping: &str, code: &str, said: &str) -> Result<Value> {
    let entries = listed(stage).await?;
    let [entry] = &entries[..] else { anyhow::bail!("{entries:?}") };
    assert_eq!((&entry["mapping"], &entry["code"]), (&mapping.into(), &code.into()));
    let error = entry["error"].as_str().context("an error")?;
    ensure!(error.starts_with(code) && error.contains(said), "{error}");
    Ok(entry.clone())
}

/// The verifier finds one row that cannot be read, and all others equal.
async fn one_cannot_be_verified(stage: &Stage, mapping: &str, key: &Value) -> Result<()> {
    let told = stage.verifier(&["--output", "json"]).await?;
    assert_eq!(told.code, Some(3), "{told:?}");
    let report: Value = serde_json::from_str(&told.stdout).with_context(|| format!("no JSON: {told:?}"))?;
    assert_eq!(report["verdict"], "unfinished");
    for compared in report["mappings"].as_array().context("mappings")? {
        let at_fault = u64::from(compared["name"] == mapping);
        let differing =
            ["missing", "unexpected", "different", "in_flight", "unjudged"].map(|kind| compared[kind].as_u64());
        assert_eq!((differing, compared["unreadable"].as_u64()), ([Some(0); 5], Some(at_fault)), "{compared}");
        assert_eq!((compared["equal"] == true, &compared["equal_rows"]), (at_fault == 0, &compared["source_rows"]));
        if at_fault == 1 {
            let finding = &compared["findings"][0];
            assert_eq!((&finding["kind"], &finding["key"]), (&"unreadable".into(), key));
            assert!(finding["tenancy_id"].is_string(), "{finding}");
        }
    }
    Ok(())
}

/// What all of these end with: nothing is left behind.
pub(crate) async fn mended(stage: &Stage, mend: &str) -> Result<()> {
    stage.sql(mend).await?;
    stage.until("the entry to go", "SELECT count(*) FROM lockstep.quarantine", 0).await?;
    stage.equal().await?;
    stage.verified().await
}

#[tokio::test]
async fn unreadable_row_of_the_stream_is_set_aside_and_others_go_through() -> Result<()> {
    let (stage, _definitions) = with_readme_mapping().await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    stage.sql(OVERFLOW).await?;
    all_else_in_step(&stage).await?;
    assert_eq!(stage.seen(TOTALS).await?, "2 4 119");
    let entry = the_entry(&stage, "invoices", "LS-0410", "SQLSTATE 22003").await?;
    let huge: String = stage.client.query_one("SELECT id('huge')::text", &[]).await?.get(0);
    assert_eq!(entry["key"]["id"], huge.as_str());
    one_cannot_be_verified(&stage, "invoices", &entry["key"]).await?;
    let text = stage.verifier(&[]).await?.stdout;
    ensure!(text.contains("LS-0310") && text.contains(&format!("not readable in Postgres: id={huge}")), "{text}");
    mended(&stage, MEND).await?;
    assert_eq!(stage.seen(TOTALS).await?, "2 4 6 6 119");
    stage.end(programs).await
}

#[tokio::test]
async fn unreadable_row_of_the_base_is_set_aside_and_the_fill_ends() -> Result<()> {
    let (stage, _definitions) = with_readme_mapping().await?;
    stage.sql(OVERFLOW).await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    all_else_in_step(&stage).await?;
    stage.until("all fills to end", "SELECT count(*) FROM lockstep.fill WHERE finished_at IS NULL", 0).await?;
    assert_eq!(stage.seen(TOTALS).await?, "2 4 119");
    let entry = the_entry(&stage, "invoices", "LS-0410", "SQLSTATE 22003").await?;
    one_cannot_be_verified(&stage, "invoices", &entry["key"]).await?;
    mended(&stage, MEND).await?;
    assert_eq!(stage.seen(TOTALS).await?, "2 4 6 6 119");
    stage.end(programs).await
}

/// The condition of the mapping overflows, for a row of the base: it may fail nobody who looks for rows.
#[tokio::test]
async fn unreadable_is_a_row_whose_filter_overflows_too() -> Result<()> {
    let definition = r#"
        name = "invoices"
        table = "Invoice"
        tenant = { column = "tenancyId" }
        key = ["id"]
        where = "{netCents} + {taxCents} > 2"
        columns = [{ name = "id", type = "uuid", column = "id" }, { name = "total_cents", type = "int64", column = "taxCents" }]
    "#;
    let (stage, _definitions) = with_mapping(definition).await?;
    stage
        .sql(
            &OVERFLOW.replace("(id('compilers'), id('draft'), 9223372036854775807", "(id('compilers'), id('draft'), 0"),
        )
        .await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    all_else_in_step(&stage).await?;
    stage.until("all fills to end", "SELECT count(*) FROM lockstep.fill WHERE finished_at IS NULL", 0).await?;
    assert_eq!(stage.seen(TOTALS).await?, "2 19");
    let entry = the_entry(&stage, "invoices", "LS-0410", "SQLSTATE 22003").await?;
    one_cannot_be_verified(&stage, "invoices", &entry["key"]).await?;
    mended(&stage, MEND).await?;
    assert_eq!(stage.seen(TOTALS).await?, "1 2 19");
    stage.end(programs).await
}

/// Twenty tenants with forty invoices each; four of them have two that overflow.
#[tokio::test]
async fn unreadable_rows_of_several_tenants_are_set_aside_and_no_other() -> Result<()> {
    let (stage, _definitions) = with_readme_mapping().await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    stage
        .sql(
            r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
                SELECT id('tenant ' || t), 'engines', 'branch ' || t, 'TRUE', now() FROM generate_series(1, 20) t;
            INSERT INTO "Invoice" SELECT id('tenant ' || t), id('invoice ' || i), CASE WHEN t % 5 = 0 AND i IN (1, 33) THEN 9223372036854775807 ELSE i END, 1, 'OPEN'
                FROM generate_series(1, 20) t, generate_series(1, 40) i"#,
        )
        .await?;
    let waited = stage.installation.run("lockstep", &["wait", "--all", "--timeout", "60"]).await?;
    ensure!(waited.code == Some(1) && waited.stderr.contains("8 rows were refused"), "{waited:?}");
    assert_eq!(stage.seen("SELECT count() FROM {views}.invoices").await?, "792");
    assert_eq!(listed(&stage).await?.len(), 8);
    let told = stage.verifier(&["--output", "json", "--mapping", "invoices"]).await?;
    let report: Value = serde_json::from_str(&told.stdout)?;
    assert_eq!((&report["mappings"][0]["unreadable"], &report["mappings"][0]["equal_rows"]), (&8.into(), &792.into()));
    mended(&stage, MEND).await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.invoices").await?, "800");
    stage.end(programs).await
}

/// What a tenancy left behind at its former place shows the row of who lives there now, which overflows.
#[tokio::test]
async fn unreadable_row_at_a_former_place_is_set_aside() -> Result<()> {
    let InvoicesInStep { stage, programs, definitions: _definitions } = invoices_in_step().await?;
    stage
        .sql(
            r#"UPDATE "Tenancy" SET "branchId" = 'elsewhere' WHERE "id" = id('engines');
            INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
                VALUES (id('successor'), 'engines', 'main', 'TRUE', now());
            INSERT INTO "Invoice" VALUES (id('successor'), id('last'), 9223372036854775807, 1, 'OPEN'), (id('successor'), id('next'), 3, 3, 'OPEN')"#,
        )
        .await?;
    // Its own change of that key, and the successor's.
    let waited = stage.installation.run("lockstep", &["wait", "--all", "--timeout", "60"]).await?;
    ensure!(waited.code == Some(1) && waited.stderr.contains("2 rows were refused"), "{waited:?}");
    let at = |branch| {
        format!(
            "SELECT arrayStringConcat(arraySort(groupArray(toString(total_cents))), ' ') FROM {{views}}.invoices WHERE project_id = 'engines' AND branch_id = '{branch}'"
        )
    };
    assert_eq!(stage.seen(&at("elsewhere")).await?, "2 8");
    stage.sql(MEND).await?;
    quarantine(&stage, &["retry", "--all"]).await?;
    stage.until("the entries to go", "SELECT count(*) FROM lockstep.quarantine", 0).await?;
    stage.equal().await?;
    assert_eq!((stage.seen(&at("elsewhere")).await?, stage.seen(&at("main")).await?), ("2 4 8".into(), "6 6".into()));
    stage.verified().await?;
    stage.end(programs).await
}

/// The same with a text that is too long, for a mapping that exports it.
#[tokio::test]
async fn a_value_beyond_its_limit_at_a_former_place_is_set_aside() -> Result<()> {
    let definition = r#"
        name = "invoices"
        table = "Invoice"
        tenant = { column = "tenancyId" }
        key = ["id"]
        columns = [
            { name = "id", type = "uuid", column = "id" }, { name = "total_cents", type = "int64", column = "taxCents" },
            { name = "status", type = "text", column = "status" },
        ]
    "#;
    let (stage, _definitions) = with_mapping(definition).await?;
    stage.sql(OVERFLOW).await?;
    stage.migrate(&[]).await?;
    let worker = stage.start_with("lockstep-worker", &[("LOCKSTEP_MAX_VALUE_BYTES", "100")])?;
    let sequencer = stage.sequencer()?;
    stage.equal().await?;
    stage
        .sql(
            r#"UPDATE "Tenancy" SET "branchId" = 'elsewhere' WHERE "id" = id('engines');
            INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
                VALUES (id('successor'), 'engines', 'main', 'TRUE', now());
            INSERT INTO "Invoice" VALUES (id('successor'), id('last'), 0, 7, repeat('x', 101)), (id('successor'), id('next'), 0, 8, 'OPEN');
            UPDATE "Invoice" SET "status" = 'PAID' WHERE "tenancyId" = id('compilers')"#,
        )
        .await?;
    let waited = stage.installation.run("lockstep", &["wait", "--all", "--timeout", "60"]).await?;
    ensure!(waited.code == Some(1) && waited.stderr.contains("2 rows were refused"), "{waited:?}");
    assert!(listed(&stage).await?.iter().all(|entry| entry["code"] == "LS-0411"));
    let shown =
        "SELECT count() FROM {views}.invoices WHERE status = 'PAID' OR branch_id = 'elsewhere' OR total_cents = 8";
    // A change is set aside whole: what it makes of its new place waits, too.
    assert_eq!(stage.seen(shown).await?, "5");
    stage.sql(r#"UPDATE "Invoice" SET "status" = 'OPEN' WHERE length("status") > 100"#).await?;
    quarantine(&stage, &["retry", "--all"]).await?;
    stage.until("the entries to go", "SELECT count(*) FROM lockstep.quarantine", 0).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end([sequencer, worker]).await
}

/// A few kilobytes of JSON that are more than a gigabyte as text.
#[tokio::test]
async fn unreadable_json_that_is_larger_than_postgres_can_print_is_set_aside() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "clientMetadata" = (SELECT jsonb_agg('1e131071'::jsonb) FROM generate_series(1, 9000)) WHERE "projectUserId" = id('ada');
            UPDATE "ProjectUser" SET "displayName" = 'changed with it' WHERE "projectUserId" <> id('ada')"#,
        )
        .await?;
    all_else_in_step(&stage).await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.users WHERE display_name = 'changed with it'").await?, "3");
    let entry = the_entry(&stage, "users", "LS-0410", "SQLSTATE 54000").await?;
    one_cannot_be_verified(&stage, "users", &entry["key"]).await?;
    mended(&stage, r#"UPDATE "ProjectUser" SET "clientMetadata" = NULL WHERE "projectUserId" = id('ada')"#).await?;
    stage.end(programs).await
}

/// One row of the base, and later one of the stream, have a value above the limit.
#[tokio::test]
async fn a_value_beyond_its_limit_is_set_aside_like_an_unreadable_row() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(include_str!("world.sql")).await?;
    let long = |user: &str| {
        format!(
            r#"UPDATE "ProjectUser" SET "clientMetadata" = jsonb_build_object('hunter2', repeat('x', 5000)) WHERE "projectUserId" = id('{user}')"#
        )
    };
    stage.sql(&long("ada")).await?;
    stage.migrate(&[]).await?;
    let worker = stage.start_with("lockstep-worker", &[("LOCKSTEP_MAX_VALUE_BYTES", "4096")])?;
    let sequencer = stage.sequencer()?;
    all_else_in_step(&stage).await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.users").await?, "3");
    let said = "column client_metadata: a value has 5015 bytes, and LOCKSTEP_MAX_VALUE_BYTES is 4096";
    the_entry(&stage, "users", "LS-0411", said).await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "clientMetadata" = '{}' WHERE "projectUserId" = id('ada')"#).await?;
    stage.equal().await?;
    stage.sql(&(long("grace") + r#"; UPDATE "Team" SET "displayName" = 'renamed'"#)).await?;
    all_else_in_step(&stage).await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.teams WHERE display_name = 'renamed'").await?, "3");
    the_entry(&stage, "users", "LS-0411", said).await?;
    // With the limit that there is without the setting it fits.
    worker.stop().await?;
    let worker = stage.worker()?;
    quarantine(&stage, &["retry", "--all"]).await?;
    stage.until("the entry to go", "SELECT count(*) FROM lockstep.quarantine", 0).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end([sequencer, worker]).await
}

/// What a value names is looked for when its row is read: a relation that is not there, a text that is no query. The codes are those
/// of a statement that is wrong; but the statement can be planned, and reads all other rows.
#[tokio::test]
async fn unreadable_is_a_row_whose_value_names_what_is_not_there() -> Result<()> {
    let definition = r#"
        name = "invoices"
        table = "Invoice"
        tenant = { column = "tenancyId" }
        key = ["id"]
        columns = [{ name = "id", type = "uuid", column = "id" }, { name = "total_cents", type = "int64?",
            sql = "CASE WHEN {status} LIKE 'q%' THEN numnode(({status})::tsquery) ELSE ({status})::regclass::oid::bigint * 0 + {netCents} END" }]
    "#;
    let (stage, _definitions) = with_mapping(definition).await?;
    let row = |name, cents, status| {
        format!(r#"INSERT INTO "Invoice" VALUES (id('engines'), id('{name}'), {cents}, 0, '{status}')"#)
    };
    stage.sql(&[row("first", 1, "pg_class"), row("no relation", 2, "nothing")].join(";")).await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.until("the base's row to be set aside", "SELECT count(*) FROM lockstep.quarantine", 1).await?;
    stage.sql(&[row("no query", 3, "q b"), row("last", 4, "pg_class")].join(";")).await?;
    let waited = stage.installation.run("lockstep", &["wait", "--all", "--timeout", "60"]).await?;
    ensure!(waited.code == Some(1) && waited.stderr.contains("2 rows were refused"), "{waited:?}");
    assert_eq!(stage.seen(TOTALS).await?, "1 4");
    stage.until("all fills to end", "SELECT count(*) FROM lockstep.fill WHERE finished_at IS NULL", 0).await?;
    let mut told: Vec<_> = listed(&stage).await?.iter().map(|entry| entry["error"].to_string()).collect();
    told.sort_by_key(|error| error.contains("42P01"));
    ensure!(told[0].contains("LS-0410") && told[0].contains("SQLSTATE 42601"), "{told:?}");
    ensure!(told[1].contains("LS-0410") && told[1].contains("SQLSTATE 42P01"), "{told:?}");
    let verified = stage.verifier(&["--output", "json", "--mapping", "invoices"]).await?;
    let report: Value = serde_json::from_str(&verified.stdout)?;
    assert_eq!((&report["mappings"][0]["unreadable"], &report["mappings"][0]["equal_rows"]), (&2.into(), &2.into()));
    mended(&stage, r#"UPDATE "Invoice" SET "status" = 'pg_class'"#).await?;
    assert_eq!(stage.seen(TOTALS).await?, "1 2 3 4");
    stage.end(programs).await
}

/// The server finds nothing where the long value of one row should be.
#[tokio::test]
async fn unreadable_is_a_row_whose_page_is_damaged() -> Result<()> {
    let mut server = PrivatePostgres::start().await?;
    let mut stage = Stage::of(Installation::around(TestDatabase::create_on(server.url()).await?)?).await?;
    stage.migrate(&["--standalone"]).await?;
    stage.sql(include_str!("world.sql")).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let long = r#"UPDATE "ProjectUser" SET "clientMetadata" = (SELECT jsonb_agg(md5(n::text)) FROM generate_series(1, 1000) n) WHERE "projectUserId" = id('ada')"#;
    stage.sql(long).await?;
    stage.equal().await?;
    let file = r#"SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE oid = '"ProjectUser"'::regclass"#;
    let file: String = stage.client.query_one(file, &[]).await?.get(0);
    server.stop().await?;
    let file = server.data().join(file);
    ensure!(std::fs::metadata(&file)?.len() > 0, "nothing is stored apart");
    std::fs::write(file, "")?;
    server.launch().await?;
    stage.client = stage.connect().await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'after the damage'"#).await?;
    all_else_in_step(&stage).await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.users WHERE display_name = 'after the damage'").await?, "3");
    let entry = the_entry(&stage, "users", "LS-0410", "SQLSTATE XX001").await?;
    one_cannot_be_verified(&stage, "users", &entry["key"]).await?;
    stage.end(programs).await?;
    server.stop().await
}
