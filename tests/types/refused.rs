//! Values that a type of ClickHouse does not hold: the row is refused by itself, nothing is rounded, cut or flattened.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use lockstep_testkit::databases::SOURCE_SCHEMA;

use crate::custom_mapping::Definitions;
use crate::json::json;
use crate::quarantine::{listed, quarantine};
use crate::stage::Stage;

const DEFINITION: &str = r#"
name = "amounts"
table = "Amount"
tenant = { column = "tenancyId" }
key = ["day"]
columns = [
    { name = "day", type = "date", column = "day" },
    { name = "amount", type = "numeric(10,2)?", column = "amount" },
    { name = "grid", type = "int32?[]", column = "grid", when_null = "'{{}}'" },
    { name = "names", type = "text[]", column = "names", when_null = "'{{}}'" },
]
"#;

const TABLE: &str = r#"CREATE TABLE "Amount" ("tenancyId" uuid NOT NULL, "day" date NOT NULL, "amount" numeric, "grid" integer[],
    "names" text[], PRIMARY KEY ("tenancyId", "day"))"#;

/// Each with what is said about it; the second is there before capture.
const REFUSED: [(&str, &str, &str); 12] = [
    ("2024-01-01", "1.234, NULL, NULL", "column amount: has more digits than its type"),
    ("2024-01-02", "100000000, NULL, NULL", "column amount: has more digits than its type"),
    ("2024-01-03", "'NaN', NULL, NULL", "column amount: is not a number or infinite"),
    ("2024-01-04", "'-Infinity', NULL, NULL", "column amount: is not a number or infinite"),
    ("2024-01-05", "1e1000, NULL, NULL", "column amount: has more digits than its type"),
    ("2024-01-06", "1, '{{1,2},{3,4}}', NULL", "column grid: is an array of more than one dimension"),
    ("2024-01-07", "1, NULL, '{a,NULL}'", "column names: has an element that is null"),
    ("infinity", "1, NULL, NULL", "column day: is a day outside 1900-01-01 to 2299-12-31"),
    ("1899-12-31", "1, NULL, NULL", "column day: is a day outside 1900-01-01 to 2299-12-31"),
    ("2300-01-01", "1, NULL, NULL", "column day: is a day outside 1900-01-01 to 2299-12-31"),
    ("10000-01-01", "1, NULL, NULL", "column day: is a day outside 1900-01-01 to 2299-12-31"),
    ("0044-03-15 BC", "1, NULL, NULL", "column day: is a day outside 1900-01-01 to 2299-12-31"),
];

fn insert(day: &str, values: &str) -> String {
    format!("INSERT INTO \"Amount\" VALUES (id('engines'), '{day}', {values})")
}

#[tokio::test]
async fn types_that_do_not_hold_a_value_refuse_its_row_alone() -> Result<()> {
    let definitions = Definitions::new(&[("amounts.toml", DEFINITION)])?;
    let stage = definitions.stage().await?;
    for sql in [SOURCE_SCHEMA, include_str!("../world.sql"), TABLE] {
        stage.sql(sql).await?;
    }
    stage.sql(&insert("1900-01-01", "-99999999.99, '{}', '{a}'")).await?;
    stage.sql(&insert(REFUSED[1].0, REFUSED[1].1)).await?;
    stage.migrate(&[]).await?;
    for (day, values, _) in REFUSED.iter().filter(|(day, ..)| *day != REFUSED[1].0) {
        stage.sql(&insert(day, values)).await?;
    }
    stage.sql(&insert("2299-12-31", "1.5, '{1,NULL}', NULL")).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let waited = stage.installation.run("lockstep", &["wait", "--all", "--timeout", "60"]).await?;
    assert_eq!(waited.code, Some(1), "{waited:?}");
    let told: BTreeMap<String, (String, String)> = listed(&stage)
        .await?
        .iter()
        .map(|entry| {
            let text = |field: &serde_json::Value| field.as_str().map(str::to_owned).context("a text");
            Ok((text(&entry["key"]["day"])?, (text(&entry["code"])?, text(&entry["error"])?)))
        })
        .collect::<Result<_>>()?;
    assert_eq!(told.len(), REFUSED.len(), "{told:?}");
    for (day, _, said) in REFUSED {
        let (code, error) = &told[day];
        assert!(code == "LS-0407" && error.contains(said), "{day}: {code} {error}");
        assert!(!error.contains("1.234") && !error.contains(day), "{error}");
    }
    their_stories_are_told(&stage).await?;
    let shown = "SELECT day, amount, grid, names FROM {views}.amounts ORDER BY day FORMAT TSV";
    assert_eq!(stage.seen(shown).await?, "1900-01-01\t-99999999.99\t[]\t['a']\n2299-12-31\t1.5\t[1,NULL]\t[]");
    let different = stage.verifier(&["--mapping", "amounts"]).await?;
    assert_eq!(different.code, Some(1), "rows that were refused are missing: {different:?}");

    stage.sql(r#"UPDATE "Amount" SET "amount" = 1, "grid" = '{}', "names" = '{}'"#).await?;
    stage.until("mended rows to leave", "SELECT count(*) FROM lockstep.quarantine", 5).await?;
    // What never arrived under such a key needs no tombstone: its deletion is forgotten by hand.
    stage.sql(r#"DELETE FROM "Amount" WHERE "day" NOT BETWEEN '1900-01-01' AND '2299-12-31'"#).await?;
    stage.numbered().await?;
    let waited = stage.installation.run("lockstep", &["wait", "--all", "--timeout", "60"]).await?;
    assert_eq!(waited.code, Some(1), "{waited:?}");
    quarantine(&stage, &["drop", "--mapping", "amounts"]).await?;
    stage.in_step().await?;
    stage.verified().await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.amounts").await?, "9");
    stage.end(programs).await
}

/// Of each the source has the row, ClickHouse nothing, and the quarantine says why; the tenancy is named, or found.
async fn their_stories_are_told(stage: &Stage) -> Result<()> {
    let engines = stage.id("engines").await?;
    for (day, ..) in REFUSED {
        for tenant in [&["--tenant", &*engines][..], &[]] {
            let arguments = [&["--mapping", "amounts", "--key", day], tenant].concat();
            let story = json(stage, "explain", &arguments, 1).await?;
            let of = &story["tenancies"][0];
            let there = &of["destinations"][0];
            assert!(story["key"]["day"] == day && story["verdict"] == "wrong", "{story}");
            assert!(of["tenancy"] == *engines && of["source"]["state"] == "exported", "{story}");
            assert!(there["quarantine"][0]["code"] == "LS-0407" && there["rows"][0]["holds"] == "nothing", "{story}");
            assert_eq!(story["sentence"], "ClickHouse is wrong: the row is in quarantine with LS-0407");
        }
    }
    Ok(())
}
