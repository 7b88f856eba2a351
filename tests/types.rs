//! Every type of a definition, with hostile values: what is captured, filled and streamed is what ClickHouse shows, and the
//! verifier finds the slightest defect of each.

mod cases;
mod commands;
mod refused;
mod sums;

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Context, Result};
use lockstep_testkit::databases::SOURCE_SCHEMA;
use serde_json::Value;

use self::cases::{ARRAYS, CASES, Case, shown};
use crate::custom_mapping::Definitions;
use crate::stage::Stage;

/// As many rows as the longest list of values has, with null: each value has each neighbour once.
const ROWS: usize = 10;
/// Rows with ordinary values begin here, one for each planted defect.
const ORDINARY: usize = 100;

/// An application that prints and reads everything in another way than Lockstep's own sessions.
const OTHER_STYLES: &str =
    "SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; SET bytea_output = 'escape';
    SET extra_float_digits = -15; SET timezone = 'Asia/Kathmandu'; SET array_nulls = on";

/// The table, with a scalar and an array for each case.
fn table() -> String {
    let mut columns = String::new();
    for Case { name, source, .. } in CASES {
        write!(columns, ",\n    {name} {source}, {name}_list {source}[] NOT NULL").expect("a text takes it");
    }
    format!(
        "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('ok', 'it''s', 'größe'); CREATE DOMAIN short_text AS varchar(20);
CREATE TABLE \"Everything\" (\"tenancyId\" uuid NOT NULL, place smallint NOT NULL, day date NOT NULL, arrays text[]{columns},
    PRIMARY KEY (\"tenancyId\", place, day))"
    )
}

fn definition() -> String {
    let mut text = "name = \"everything\"\ntable = \"Everything\"\ntenant = { column = \"tenancyId\" }\nkey = [\"place\", \"day\"]\ncolumns = [
    { name = \"place\", type = \"int16\", column = \"place\" },\n    { name = \"day\", type = \"date\", column = \"day\" },
    { name = \"arrays\", type = \"text?[]\", column = \"arrays\", when_null = \"'{{}}'\" },\n"
        .to_owned();
    for Case { name, column_type, .. } in CASES {
        writeln!(text, "    {{ name = \"{name}\", type = \"{column_type}?\", column = \"{name}\" }},")
            .expect("as above");
        writeln!(text, "    {{ name = \"{name}_list\", type = \"{column_type}?[]\", column = \"{name}_list\" }},")
            .expect("as above");
    }
    text + "]\n"
}

/// A text of Postgres, whatever is in it.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The columns that hold values, and an expression for each over the row's place `i`: its value in this round.
fn values(round: usize) -> (Vec<String>, Vec<String>) {
    let arrays: Vec<_> = ARRAYS.iter().map(|(text, _)| text.map_or_else(|| "NULL".to_owned(), literal)).collect();
    let pick = |values: &[String], ahead: usize| {
        format!("(ARRAY[{}]::text[])[1 + (i + {}) % {}]", values.join(", "), round + ahead, values.len())
    };
    let mut columns = vec!["arrays".to_owned()];
    let mut expressions = vec![format!("({})::text[]", pick(&arrays, 0))];
    for Case { name, source, values, .. } in CASES {
        let values: Vec<_> = values.iter().map(|(text, _)| literal(text)).chain(["NULL".to_owned()]).collect();
        columns.extend([(*name).to_owned(), format!("{name}_list")]);
        expressions.push(format!("({})::{source}", pick(&values, 0)));
        expressions.push(format!("ARRAY[{}, NULL, {}]::text[]::{source}[]", pick(&values, 0), pick(&values, 1)));
    }
    (columns, expressions)
}

fn insert(round: usize) -> String {
    let (columns, expressions) = values(round);
    format!(
        "INSERT INTO \"Everything\" (\"tenancyId\", place, day, {}) SELECT id('engines'), i,
        CASE i WHEN 0 THEN '1900-01-01' WHEN 9 THEN '2299-12-31' ELSE '1999-12-31'::date + i END, {} FROM generate_series(0, {}) i",
        columns.join(", "),
        expressions.join(", "),
        ROWS - 1
    )
}

/// Each value becomes its neighbour.
fn update(round: usize) -> String {
    let (columns, expressions) = values(round);
    let expressions = expressions.join(", ").replace("(i + ", "(place + ");
    format!("UPDATE \"Everything\" SET ({}) = ROW({expressions}) WHERE place < {ROWS}", columns.join(", "))
}

/// What ClickHouse is asked: of each array how many elements it has, the first, whether the second is null, the third.
fn question() -> String {
    let mut columns = vec!["place".to_owned(), "day".to_owned(), "arrays".to_owned()];
    for Case { name, column_type, .. } in CASES {
        let element = |index: usize| shown(column_type, &format!("{name}_list[{index}]"));
        columns.push(shown(column_type, name));
        columns.extend([format!("length({name}_list)"), element(1), format!("isNull({name}_list[2])"), element(3)]);
    }
    format!(
        "SELECT {}, '.' FROM {{views}}.everything WHERE place < {ROWS} ORDER BY place FORMAT TSV",
        columns.join(", ")
    )
}

/// The names of the columns of [`question`], for a message.
fn asked() -> Vec<String> {
    let of = |case: &Case| {
        let (name, list) = (case.name.to_owned(), format!("{}_list", case.name));
        [name, list.clone(), list.clone(), list.clone(), list]
    };
    ["place", "day", "arrays"].map(str::to_owned).into_iter().chain(CASES.iter().flat_map(of)).collect()
}

/// What it has to answer in this round for the row at `place`.
fn expected(place: usize, round: usize) -> Vec<String> {
    let day = match place {
        0 => "1900-01-01".to_owned(),
        9 => "2299-12-31".to_owned(),
        _ => format!("2000-01-0{place}"),
    };
    let mut fields = vec![place.to_string(), day, ARRAYS[(place + round) % ARRAYS.len()].1.to_owned()];
    for Case { values, .. } in CASES {
        let value = |ahead: usize| {
            let index = (place + round + ahead) % (values.len() + 1);
            values.get(index).map_or("\\N", |(_, shown)| *shown).to_owned()
        };
        fields.extend([value(0), "3".to_owned(), value(0), "1".to_owned(), value(1)]);
    }
    fields
}

async fn shows(stage: &Stage, round: usize) -> Result<()> {
    let answer = stage.seen(&question()).await?;
    assert_eq!(answer.lines().count(), ROWS, "rows in round {round}");
    for (place, line) in answer.lines().enumerate() {
        let found: Vec<_> = line.split('\t').collect();
        for ((column, expected), found) in asked().iter().zip(expected(place, round)).zip(found) {
            assert_eq!(found, expected, "{column} of row {place} in round {round}");
        }
    }
    Ok(())
}

async fn before_migration() -> Result<(Stage, Definitions)> {
    let definitions = Definitions::new(&[("everything.toml", &definition())])?;
    let stage = definitions.stage().await?;
    for sql in [SOURCE_SCHEMA, include_str!("world.sql"), &table(), OTHER_STYLES] {
        stage.sql(sql).await?;
    }
    Ok((stage, definitions))
}

#[tokio::test]
async fn types_arrive_as_documented_from_base_and_stream_and_vanish_with_their_keys() -> Result<()> {
    let (stage, definitions) = before_migration().await?;
    stage.sql(&insert(0)).await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    shows(&stage, 0).await?;
    stage.verified().await?;
    for round in 1..=ROWS {
        stage.sql(&update(round)).await?;
        stage.in_step().await?;
        shows(&stage, round).await?;
        sums::agree(&stage, &definitions.path("")).await?;
    }
    stage.verified().await?;
    // A label that was added later needs no `lockstep migrate`.
    stage.sql("ALTER TYPE mood ADD VALUE 'new'").await?;
    stage.sql("UPDATE \"Everything\" SET a_mood = 'new', a_mood_list = '{new}' WHERE place = 0").await?;
    stage.in_step().await?;
    let moods = "SELECT a_mood, a_mood_list[1] FROM {views}.everything WHERE place = 0";
    assert_eq!(stage.seen(moods).await?, "new\tnew");
    let count = "SELECT count() FROM {views}.everything";
    for (statement, left) in [
        ("DELETE FROM \"Everything\" WHERE place = 3 AND day = '2000-01-03'", "9"),
        ("UPDATE \"Everything\" SET day = '2299-12-31', place = -32768 WHERE place = 4", "9"),
        ("DELETE FROM \"Everything\" WHERE day = '2299-12-31'", "7"),
        ("TRUNCATE \"Everything\"", "0"),
    ] {
        stage.sql(statement).await?;
        stage.in_step().await?;
        assert_eq!(stage.seen(count).await?, left, "{statement}");
    }
    stage.verified().await?;
    stage.sql(&insert(3)).await?;
    stage.in_step().await?;
    shows(&stage, 3).await?;
    stage.end(programs).await
}

/// In ClickHouse one value of each row is another: of the row at `place` that of the column.
fn defects() -> Vec<(usize, String, String)> {
    let mut defects = Vec::new();
    for (Case { name, defect, .. }, place) in CASES.iter().zip((ORDINARY..).step_by(2)) {
        defects.push((place, (*name).to_owned(), defect.replace("{}", name)));
        let list = format!("{name}_list");
        let another = format!("arrayPushBack(arrayPopBack({list}), {list}[1])");
        defects.push((place + 1, list, another));
    }
    defects
}

#[tokio::test]
async fn ver_1_one_defect_of_each_type_is_found() -> Result<()> {
    let (stage, _definitions) = before_migration().await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let defects = defects();
    let (columns, expressions) = values(0);
    let ordinary = expressions.join(", ").replace("(i + ", "(0 * i + ");
    stage
        .sql(&format!(
            "INSERT INTO \"Everything\" (\"tenancyId\", place, day, {}) SELECT id('engines'), i, '2024-02-29', {ordinary} FROM generate_series({ORDINARY}, {}) i",
            columns.join(", "),
            ORDINARY + defects.len() - 1
        ))
        .await?;
    stage.in_step().await?;
    stage.verified().await?;
    for (place, column, expression) in &defects {
        let sql = format!(
            "INSERT INTO {{raw}}.everything SELECT * REPLACE ({expression} AS {column}) FROM {{raw}}.everything FINAL WHERE place = {place}"
        );
        stage.in_clickhouse(&sql).await?;
    }
    let told = stage.verifier(&["--output", "json", "--show", "1000", "--settle", "0"]).await?;
    assert_eq!(told.code, Some(1), "{told:?}");
    let report: Value = serde_json::from_str(&told.stdout)?;
    let compared = report["mappings"].as_array().context("mappings")?.iter();
    let found =
        compared.filter(|mapping| mapping["name"] == "everything").flat_map(|mapping| mapping["findings"].as_array());
    let found: BTreeSet<_> = found
        .flatten()
        .map(|finding| (finding["key"]["place"].as_str().map(str::to_owned), finding["columns"].to_string()))
        .collect();
    let planted: BTreeSet<_> =
        defects.iter().map(|(place, column, _)| (Some(place.to_string()), format!("[\"{column}\"]"))).collect();
    assert_eq!(found, planted);
    stage.end(programs).await
}
