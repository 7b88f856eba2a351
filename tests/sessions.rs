//! Sessions of ours depend on nothing that a role, a database or a pooler sets, and see every row or say that they do not.

mod pgbouncer;

use std::process::Output;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use lockstep_core::secret::SecretUrl;
use lockstep_mappings::SourceTable;
use lockstep_schema::migrations::{self, Migrations};
use lockstep_schema::{PoolerSign, Session, Source, SourceError, row_security};
use lockstep_testkit::databases::{PrivatePostgres, TestDatabase, connect};
use lockstep_testkit::installation::Installation;
use tokio_postgres::Client;

use self::pgbouncer::PgBouncer;
use crate::programs::{ended, with_changed};
use crate::stage::Stage;

const KINDS: [Session; 5] = [Session::Control, Session::Pass, Session::Fetch, Session::Scan, Session::Migrate];

/// A setting, what somebody set it to, and what it is in a session of ours.
const HOSTILE: [(&str, &str, &str); 19] = [
    // It comes before quote_all_identifiers, so this database shows it with quotes.
    ("search_path", "public", r#""pg_catalog", "pg_temp""#),
    ("row_security", "on", "off"),
    ("default_transaction_isolation", "serializable", "read committed"),
    ("default_transaction_read_only", "on", "off"),
    ("default_transaction_deferrable", "on", "off"),
    ("idle_in_transaction_session_timeout", "50min", "10min"),
    ("idle_session_timeout", "50min", "0"),
    ("client_encoding", "LATIN1", "UTF8"),
    ("timezone", "Asia/Tokyo", "UTC"),
    ("datestyle", "SQL, DMY", "ISO, YMD"),
    ("intervalstyle", "iso_8601", "postgres"),
    ("bytea_output", "escape", "hex"),
    ("extra_float_digits", "-15", "1"),
    ("standard_conforming_strings", "off", "on"),
    ("quote_all_identifiers", "on", "off"),
    ("transform_null_equals", "on", "off"),
    ("array_nulls", "off", "on"),
    ("gin_fuzzy_search_limit", "1", "0"),
    ("jit", "on", "off"),
];

/// Both timeouts of each kind.
const TIMEOUTS: [(Session, &str, &str); 5] = [
    (Session::Control, "30s", "10s"),
    (Session::Pass, "1min", "30s"),
    (Session::Fetch, "1h", "30s"),
    (Session::Scan, "1d", "30s"),
    (Session::Migrate, "1d", "3s"),
];

fn source(url: &str) -> Result<Source> {
    Ok(Source::new(&SecretUrl::new(url), None)?)
}

async fn setting(client: &Client, name: &str) -> Result<String> {
    Ok(client.query_one("SELECT current_setting($1)", &[&name]).await?.try_get(0)?)
}

/// A database that gives every session the values of [`HOSTILE`], and timeouts.
async fn hostile_database() -> Result<TestDatabase> {
    let database = TestDatabase::create().await?;
    let client = database.connect().await?;
    let later = client.query_opt("SELECT 1 FROM pg_settings WHERE name = 'transaction_timeout'", &[]).await?;
    let later = later.map(|_| ("transaction_timeout", "50min", "0"));
    let timeouts = [("statement_timeout", "50min", ""), ("lock_timeout", "50min", "")];
    for (name, value, _) in HOSTILE.into_iter().chain(timeouts).chain(later) {
        let value = if name == "search_path" { value.to_owned() } else { format!("'{value}'") };
        client.batch_execute(&format!("ALTER DATABASE {} SET {name} = {value}", database.name())).await?;
    }
    Ok(database)
}

#[tokio::test]
async fn sessions_inherit_nothing_from_role_or_database() -> Result<()> {
    let database = hostile_database().await?;
    let source = source(database.url())?;
    for (kind, statement_timeout, lock_timeout) in TIMEOUTS {
        let client = source.connect(kind).await?;
        for (name, _, ours) in HOSTILE {
            assert_eq!(setting(&client, name).await?, ours, "{name} in {kind:?}");
        }
        assert_eq!(setting(&client, "statement_timeout").await?, statement_timeout, "{kind:?}");
        assert_eq!(setting(&client, "lock_timeout").await?, lock_timeout, "{kind:?}");
        let known = "SELECT coalesce(current_setting('transaction_timeout', true), '0')";
        assert_eq!(client.query_one(known, &[]).await?.try_get::<_, String>(0)?, "0", "{kind:?}");
    }
    database.remove().await
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_diesel_inherit_nothing_either() -> Result<()> {
    let database = hostile_database().await?;
    // Read-only, serializable and with another search path, as everybody else's, this would fail.
    migrations::run(&source(database.url())?, Migrations::Control).await?;
    assert!(migrations::pending(&source(database.url())?, Migrations::Control).await?.is_empty());
    database.remove().await
}

#[tokio::test]
async fn sessions_of_every_kind_open_on_a_standby() -> Result<()> {
    let primary = PrivatePostgres::start().await?;
    let standby = primary.replica().await?;
    let source = source(&standby.url())?;
    for kind in KINDS {
        let client = source.connect(kind).await?;
        assert!(client.query_one("SELECT pg_is_in_recovery()", &[]).await?.try_get::<_, bool>(0)?, "{kind:?}");
    }
    Ok(())
}

/// Opens so many connections to the server at once, as an application at work does, and leaves them idle.
async fn warm(pooler: &PgBouncer, connections: usize) -> Result<()> {
    let clients = try_join_all((0..connections).map(|_| connect(pooler.url()))).await?;
    try_join_all(clients.iter().map(|client| client.batch_execute("BEGIN"))).await?;
    try_join_all(clients.iter().map(|client| client.batch_execute("COMMIT"))).await?;
    Ok(())
}

#[tokio::test]
async fn a_transaction_pooler_is_found_whatever_the_size_of_its_pool() -> Result<()> {
    let database = TestDatabase::create().await?;
    for (mode, connections) in [("transaction", 1), ("transaction", 2), ("transaction", 5), ("statement", 1)] {
        let pooler = PgBouncer::start(&database, mode, connections).await?;
        if mode == "transaction" {
            warm(&pooler, connections).await?;
        }
        let expected = if connections == 1 { PoolerSign::SessionShared } else { PoolerSign::SessionChanged };
        let source = source(pooler.url())?;
        // Neither the first connection nor a later one is given out.
        for _ in 0..2 {
            let refused = source.connect(Session::Fetch).await.err();
            let found = matches!(&refused, Some(SourceError::Pooler(sign)) if *sign == expected);
            assert!(found, "{mode} pooling with {connections}: {refused:?}");
        }
        assert!(source.connect_diesel(Session::Migrate).await.is_err());
        // Nothing that we set has reached the application.
        let application = connect(pooler.url()).await?;
        let answer = application.simple_query("SHOW lock_timeout").await?;
        let shown = answer.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        assert_eq!(shown, Some("0"));
    }
    database.remove().await
}

#[tokio::test]
async fn a_pooler_that_lends_whole_sessions_is_no_hindrance() -> Result<()> {
    let database = TestDatabase::create().await?;
    let pooler = PgBouncer::start(&database, "session", 5).await?;
    let client = source(pooler.url())?.connect(Session::Fetch).await?;
    assert_eq!(setting(&client, "lock_timeout").await?, "30s");
    drop(client);
    drop(pooler);
    database.remove().await
}

#[tokio::test]
async fn a_pooler_ends_programs_with_the_remedy() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    let pooler = PgBouncer::start(stage.installation.database(), "transaction", 1).await?;
    let announced = format!("{}?pgbouncer=true", stage.installation.database().url());
    let programs = [
        ("lockstep-sequencer", ""),
        ("lockstep-worker", ""),
        ("lockstep-verifier", ""),
        ("lockstep", "migrate"),
        ("lockstep", "status"),
    ];
    for url in [pooler.url(), announced.as_str()] {
        for (program, arguments) in programs {
            let mut command = with_changed(&stage, program, &[("LOCKSTEP_SOURCE_URL", url)]);
            is_refused(program, &ended(command.args(arguments.split_whitespace())).await?)?;
        }
        let mut worker = with_changed(&stage, "lockstep-worker", &[("LOCKSTEP_SOURCE_READ_URL", url)]);
        is_refused("the worker's reading side", &ended(&mut worker).await?)?;
    }
    drop(pooler);
    stage.end([]).await
}

fn is_refused(program: &str, ended: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(78), "{program} ended with {:?}: {said}", ended.status);
    ensure!(said.contains("LS-0030") && said.contains("give the direct URL"), "{program}: {said}");
    Ok(())
}

/// Four tables: without policies, with policies and owned by the role, the same with FORCE, and another's with policies.
const POLICIES: &str = "CREATE TABLE open (id int); CREATE TABLE owned (id int); CREATE TABLE forced (id int);
CREATE TABLE others (id int); INSERT INTO others VALUES (1);
ALTER TABLE owned ENABLE ROW LEVEL SECURITY; ALTER TABLE owned OWNER TO pg_read_all_data;
ALTER TABLE forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; ALTER TABLE forced OWNER TO pg_read_all_data;
ALTER TABLE others ENABLE ROW LEVEL SECURITY;";

#[tokio::test]
async fn tables_whose_policies_apply_to_the_role_are_named_and_never_read_as_empty() -> Result<()> {
    let database = TestDatabase::create().await?;
    database.connect().await?.batch_execute(POLICIES).await?;
    let of = |name: &str| SourceTable { schema: "public".to_owned(), name: name.to_owned() };
    let tables = ["open", "owned", "forced", "others", "not there"].map(of);
    let tables: Vec<_> = tables.iter().collect();
    // A role that every server has, may read everything, and is no superuser.
    let url = format!("{}?options=-c%20role%3Dpg_read_all_data", database.url());
    let client = source(&url)?.connect(Session::Scan).await?;
    assert_eq!(row_security::filtered(&client, &tables).await?, [of("forced"), of("others")]);
    let refused = row_security::refuse(&client, &tables).await.err().context("it was not refused")?;
    let said = refused.to_string();
    ensure!(refused.is_configuration() && said.contains("LS-0031"), "{said}");
    ensure!(said.contains("public.forced, public.others") && said.contains("BYPASSRLS"), "{said}");
    let read = client.query("SELECT id FROM public.others", &[]).await.err().context("an empty answer")?;
    assert_eq!(read.code().map(tokio_postgres::error::SqlState::code), Some("42501"));
    let superuser = source(database.url())?.connect(Session::Scan).await?;
    assert!(row_security::filtered(&superuser, &tables).await?.is_empty());
    database.remove().await
}
