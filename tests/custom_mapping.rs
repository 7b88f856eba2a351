//! A mapping of an operator's own: a thirteenth table is synced by a definition alone, with every type at its limits and
//! a key of three columns.

use std::path::PathBuf;

use anyhow::{Context, Result};
use lockstep_testkit::installation::Installation;
use uuid::Uuid;

use crate::cap_2::SECRETS;
use crate::stage::Stage;

pub(crate) const DEFINITION: &str = include_str!("custom_mapping/invoices.toml");

/// A directory with definitions, removed when dropped.
pub(crate) struct Definitions(PathBuf);

impl Definitions {
    pub(crate) fn new(files: &[(&str, &str)]) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("lockstep-definitions-{}", Uuid::new_v4().simple()));
        std::fs::create_dir(&directory).with_context(|| format!("creating {}", directory.display()))?;
        for (name, text) in files {
            std::fs::write(directory.join(name), text)?;
        }
        Ok(Self(directory))
    }
}

impl Definitions {
    /// The path of a file of theirs.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes one of them anew. Programs that run know those that were there when they were started.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.0.join(name), text).context("writing a definition")
    }

    /// An installation that uses them, with leave to reach tenants' databases; nothing is in its source yet.
    pub(crate) async fn stage(&self) -> Result<Stage> {
        Stage::of(Installation::create().await?.with_mappings(self.0.clone()).with_tenant_databases()?).await
    }
}

impl Drop for Definitions {
    fn drop(&mut self) {
        // What is left behind is a few kilobytes in the directory for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const INVOICES: &str = "SELECT project_id, series, year, number, customer_name, status, currency, note, is_paid, is_disputed, lines, extra, items,
    cents, paid_cents, rate, discount, toUnixTimestamp64Milli(issued_at), toUnixTimestamp64Milli(paid_at)
    FROM {views}.invoices ORDER BY project_id, series FORMAT TSV";

const EXPECTED: [&str; 4] = [
    "compilers\tA\t-2147483648\t-9223372036854775808\tgrace\tOPEN\t$\tsame key, another tenant\t0\t\\N\t[]\t\\N\t1\t1\t\\N\t1\t1\t1735689600000\t\\N",
    "engines\t\t0\t0\t\\N\tOPEN\t\t👩‍👩‍👧‍👦\\r\\n\u{1}\t1\t1\t{\"n\": 123456789012345678901234567890.5}\tnull\t32767\t0\t0\t-1.7976931348623157e308\t-0.25\t1709200800123\t1709208000999",
    "engines\tA\t-2147483648\t-9223372036854775808\tada\tPAID\t€\t\t1\t0\t[{\"größe\": null}]\t{}\t-32768\t-9223372036854775808\t-9223372036854775808\t0.30000000000000004\t0.5\t-1\t-1",
    "engines\tB\\t\\'\"\\\\\t2147483647\t9223372036854775807\t\\N\tOPEN\t\\N\t\\N\t0\t\\N\tnull\t\\N\t\\N\t9223372036854775807\t\\N\tinf\t\\N\t10413791999999\t-2208988800000",
];

/// A small world with invoices that were there before capture, and the definition that syncs them.
pub(crate) async fn with_invoices() -> Result<(Stage, Definitions)> {
    let definitions = Definitions::new(&[("invoices.toml", DEFINITION), ("README.txt", "no definition")])?;
    let stage = definitions.stage().await?;
    stage.sql(lockstep_testkit::databases::SOURCE_SCHEMA).await?;
    stage.sql(include_str!("world.sql")).await?;
    stage.sql(include_str!("custom_mapping/invoices.sql")).await?;
    stage.migrate(&[]).await?;
    Ok((stage, definitions))
}

#[tokio::test]
async fn custom_mapping_is_synced_by_its_definition_alone() -> Result<()> {
    let (stage, _definitions) = with_invoices().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    // The base and the stream carry the same.
    for round in ["base", "stream"] {
        let seen = stage.seen(INVOICES).await?;
        assert_eq!(seen.lines().collect::<Vec<_>>(), EXPECTED, "{round}");
        stage
            .sql(r#"SELECT lockstep.touch('Invoice', id('engines')), lockstep.touch('Invoice', id('compilers'))"#)
            .await?;
        stage.equal().await?;
    }
    stage.verified().await?;

    let named = "SELECT customer_name FROM {views}.invoices WHERE project_id = 'engines' AND series = 'A'";
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'Augusta' WHERE "projectUserId" = id('ada')"#).await?;
    stage.in_step().await?;
    assert_eq!(stage.seen(named).await?, "Augusta");
    let long = r#"UPDATE billing."Invoice" SET "note" = repeat('ü', 500000) WHERE "series" = 'A' AND "tenancyId" = id('engines')"#;
    stage.sql(long).await?;
    stage.in_step().await?;
    assert_eq!(stage.seen("SELECT max(length(note)) FROM {views}.invoices").await?, "1000000");
    stage.verified().await?;
    stage.end(programs).await
}

/// Keys at the limits of their types vanish like any other.
#[tokio::test]
async fn custom_mapping_rows_go_with_every_key() -> Result<()> {
    let (stage, _definitions) = with_invoices().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    let count = "SELECT count() FROM {views}.invoices";
    for (statement, left) in [
        (r#"DELETE FROM billing."Invoice" WHERE "number" = 9223372036854775807"#, "3"),
        (r#"DELETE FROM billing."Invoice" WHERE "year" = -2147483648 AND "tenancyId" = id('engines')"#, "2"),
        (r#"UPDATE billing."Invoice" SET "year" = 2000000000, "number" = -1 WHERE "series" = ''"#, "2"),
        (r#"UPDATE billing."Invoice" SET "tenancyId" = id('compilers'), "series" = E'\t' WHERE "series" = ''"#, "2"),
        (r#"TRUNCATE billing."Invoice""#, "0"),
    ] {
        stage.sql(statement).await?;
        stage.in_step().await?;
        assert_eq!(stage.seen(count).await?, left, "{statement}");
    }
    stage.verified().await?;
    assert_eq!(stage.number(SECRETS).await?, 0);
    stage.end(programs).await
}

#[tokio::test]
async fn custom_mapping_that_is_wrong_is_refused_by_every_program() -> Result<()> {
    let wrong = DEFINITION
        .replace("type = \"float64\"\n", "type = \"money\"\n")
        .replace("sql = \"{customer.displayName}\"", "sql = \"{buyer.name}\"");
    let definitions = Definitions::new(&[("invoices.toml", &wrong), ("users.toml", "name = \"users\"\ntable = 7\n")])?;
    let stage = definitions.stage().await?;
    for (program, arguments) in [
        ("lockstep", &["migrate"][..]),
        ("lockstep", &["status"]),
        ("lockstep-sequencer", &[]),
        ("lockstep-worker", &[]),
        ("lockstep-verifier", &[]),
    ] {
        let refused = stage.installation.run(program, arguments).await?;
        assert_eq!(refused.code, Some(78), "{program} {arguments:?}: {}", refused.stderr);
        for told in [
            "LS-0002",
            "invoices.toml:87: column rate: type \"money\" is not known; use one of uuid, text",
            "invoices.toml:32: column customer_name: there is no join buyer; name columns of the source table, or add the join under [joins]",
            "users.toml:2: invalid type: integer `7`, expected a string; see the built-in definitions for the form",
        ] {
            assert!(refused.stderr.contains(told), "{program}: {told:?} is not in\n{}", refused.stderr);
        }
    }
    stage.end([]).await
}

#[tokio::test]
async fn custom_mapping_that_does_not_fit_its_table_is_refused() -> Result<()> {
    let misfit = DEFINITION
        .replace("column = \"isPaid\"", "column = \"paid\"")
        .replace("type = \"uuid?\"", "type = \"int64?\"")
        .replace("type = \"int32?\"", "type = \"int32\"");
    let definitions = Definitions::new(&[("invoices.toml", &misfit)])?;
    let stage = definitions.stage().await?;
    stage.sql(lockstep_testkit::databases::SOURCE_SCHEMA).await?;
    stage.sql(include_str!("world.sql")).await?;
    stage.sql(include_str!("custom_mapping/invoices.sql")).await?;
    let refused = stage.installation.run("lockstep", &["migrate"]).await?;
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    for told in [
        "column \"Invoice\".\"paid\": does not exist",
        "column customer_id (\"Invoice\".\"customerId\", line 27): has type uuid, which does not export as int64?",
        "column items (\"Invoice\".\"items\", line 72): can be null, int32 cannot; add `?` to the type",
    ] {
        let place = refused.stderr.lines().find(|line| line.contains(told));
        assert!(place.is_some_and(|line| line.contains("invoices.toml")), "{told:?} is not in\n{}", refused.stderr);
    }
    stage.end([]).await
}
