//! What differs is found, and called different.

use std::collections::BTreeSet;

use lockstep_core::TenancyId;
use lockstep_mappings::BaseType;
use lockstep_verifier::{Kind, Verdict};

use crate::everything;
use crate::fixture::{Fixture, id, teams, tenancy};

/// An expression of ClickHouse that gives another value of the type than `column` has.
fn another(base: BaseType, column: &str) -> String {
    match base {
        BaseType::Uuid => "generateUUIDv4()".to_owned(),
        BaseType::Text | BaseType::LowCardinality | BaseType::Json => format!("concat({column}, ' ')"),
        BaseType::Timestamp => format!("addMilliseconds({column}, 1)"),
        BaseType::Bool => format!("1 - {column}"),
        BaseType::Int32 | BaseType::Int64 => format!("{column} + 1"),
        BaseType::Float64 => format!("{column} + 1e-16"),
        other => unreachable!("no column has type {other}: tests/types.rs has all of them"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_one_changed_column_of_each_type_is_found() {
    let definition = Some((everything::FILE, everything::DEFINITION));
    let fixture = Fixture::create(everything::TABLE, definition).await.unwrap();
    let mapping = fixture.mapping("everything").clone();
    let values: Vec<_> = mapping.columns.iter().enumerate().filter(|(index, _)| !mapping.key.contains(index)).collect();
    let names: Vec<_> = values.iter().map(|(_, column)| column.name.as_str()).collect();
    fixture.run(&tenancy(1)).await.unwrap();
    // A row for each column, named after it.
    fixture.run(&everything::rows(id(1), &names)).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;

    // Row 1 of a column gets another value there; row 2 a null where it can be null.
    let mut expected = Vec::new();
    for (_, column) in &values {
        let (name, nullable) = (&column.name, column.column_type.nullable);
        let changes = [(1, another(column.column_type.base, name)), (2, "NULL".to_owned())];
        for (number, value) in changes.into_iter().take(if nullable { 2 } else { 1 }) {
            let sql = format!(
                "INSERT INTO {{t}} SELECT * REPLACE ({value} AS {name}) FROM {{t}} FINAL WHERE name = '{name}' AND number = {number}"
            );
            fixture.in_clickhouse("everything", &sql).await.unwrap();
            expected.push((number.to_string(), vec![name.clone()]));
        }
    }
    // An empty text is another text; two columns of one row are told together.
    for name in ["maybe_text", "maybe_enum"] {
        let sql = format!(
            "INSERT INTO {{t}} SELECT * REPLACE ('' AS {name}) FROM {{t}} FINAL WHERE name = 'a_text' AND number = 2"
        );
        fixture.in_clickhouse("everything", &sql).await.unwrap();
    }
    expected.push(("2".to_owned(), vec!["maybe_text".to_owned(), "maybe_enum".to_owned()]));

    let options =
        lockstep_verifier::VerifyOptions { show: 1000, settle: std::time::Duration::ZERO, ..Default::default() };
    let report = fixture.verify_with(options).await.unwrap();
    let found = report.mappings.iter().find(|mapping| mapping.name == "everything").unwrap();
    assert_eq!((found.missing, found.unexpected, found.different), (0, 0, expected.len() as u64));
    let told: BTreeSet<_> = found
        .findings
        .iter()
        .map(|finding| (finding.key.get("number").unwrap().to_owned(), finding.columns.clone()))
        .collect();
    assert_eq!(told, expected.into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_rows_too_few_and_too_many_are_found() {
    let fixture = Fixture::create("", None).await.unwrap();
    fixture.run(&(tenancy(1) + &tenancy(2) + &teams(1, 10..20) + &teams(2, 20..30))).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;

    // Missing: it was there, and somebody removed it.
    let hide = |hidden: u8| {
        format!("INSERT INTO {{t}} SELECT * REPLACE ({hidden} AS sync_is_deleted) FROM {{t}} WHERE id = '{}'", id(12))
    };
    fixture.in_clickhouse("teams", &hide(1)).await.unwrap();
    let missing = fixture.expect_one(Verdict::Different, "teams").await;
    assert_eq!((missing.kind, missing.tenancy_id, missing.in_flight), (Kind::Missing, Some(id(1)), None));
    assert_eq!((missing.project_id.as_str(), missing.key.get("id").unwrap()), ("p1", id(12).to_string().as_str()));
    fixture.in_clickhouse("teams", &hide(0)).await.unwrap();
    fixture.expect_equal().await;

    // Unexpected: a key that nobody ever had; and one with bytes that no text of Postgres holds.
    let copy = |as_what: &str| {
        format!(
            "INSERT INTO {{t}} SELECT * REPLACE ({as_what}) FROM (SELECT * FROM {{t}} FINAL WHERE id = '{}')",
            id(13)
        )
    };
    fixture.in_clickhouse("teams", &copy(&format!("'{}' AS id", id(99)))).await.unwrap();
    assert_eq!(fixture.expect_one(Verdict::Different, "teams").await.kind, Kind::Unexpected);
    fixture.in_clickhouse("teams", &copy("unhex('ff00') AS branch_id")).await.unwrap();
    assert_eq!(fixture.expect(Verdict::Different, "teams").await.unexpected, 2);
    fixture
        .in_clickhouse("teams", &format!("DELETE FROM {{t}} WHERE id = '{}' OR branch_id != 'main'", id(99)))
        .await
        .unwrap();
    fixture.expect_equal().await;

    // The row of one tenant under another: missing there, and too many here (ISO-1).
    fixture.in_clickhouse("teams", &copy("'p2' AS project_id")).await.unwrap();
    fixture
        .in_clickhouse("teams", &format!("DELETE FROM {{t}} WHERE id = '{}' AND project_id = 'p1'", id(13)))
        .await
        .unwrap();
    let found = fixture.expect(Verdict::Different, "teams").await;
    assert_eq!((found.missing, found.unexpected, found.different), (1, 1, 0));
    let told: Vec<_> = found.findings.iter().map(|finding| (finding.kind, finding.project_id.as_str())).collect();
    assert_eq!(told, [(Kind::Missing, "p1"), (Kind::Unexpected, "p2")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_tombstone_that_did_not_arrive_is_found() {
    let fixture = Fixture::create("", None).await.unwrap();
    fixture.run(&(tenancy(1) + &teams(1, 10..13))).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.run(&format!(r#"DELETE FROM "Team" WHERE "teamId" = '{}'"#, id(11))).await.unwrap();
    fixture.number().await.unwrap();
    // The cursor says that the tombstone arrived.
    fixture.advance(i64::MAX).await.unwrap();
    let found = fixture.expect_one(Verdict::Different, "teams").await;
    assert_eq!((found.kind, found.key.get("id").unwrap().to_owned()), (Kind::Unexpected, id(11).to_string()));
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;

    // The same without any change: a trigger was off.
    fixture.run(&format!(r#"DELETE FROM "Team" WHERE "teamId" = '{}'"#, id(12))).await.unwrap();
    fixture.forget_lines().await.unwrap();
    fixture.number().await.unwrap();
    assert_eq!(fixture.expect_one(Verdict::Different, "teams").await.kind, Kind::Unexpected);
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_row_of_the_base_that_did_not_arrive_is_found() {
    let fixture = Fixture::create(&(tenancy(1) + &teams(1, 10..13)), None).await.unwrap();
    fixture.ship_base().await.unwrap();
    fixture.expect_equal().await;
    fixture.in_clickhouse("teams", &format!("DELETE FROM {{t}} WHERE id = '{}'", id(11))).await.unwrap();
    let found = fixture.expect_one(Verdict::Different, "teams").await;
    assert_eq!((found.kind, found.key.get("id").unwrap().to_owned()), (Kind::Missing, id(11).to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_more_differences_than_are_listed_are_never_called_in_flight_unless_a_fill_is_under_way() {
    let fixture = Fixture::create("", None).await.unwrap();
    fixture.run(&(tenancy(1) + &teams(1, 100..200))).await.unwrap();
    let options =
        || lockstep_verifier::VerifyOptions { max_doubts: 10, settle: std::time::Duration::ZERO, ..Default::default() };
    // The mapping is being filled: ten are looked at twice, of the others the first pass can tell.
    let report = fixture.verify_with(options()).await.unwrap();
    let teams = report.mappings.iter().find(|mapping| mapping.name == "teams").unwrap();
    assert_eq!((report.verdict, teams.in_flight, teams.unjudged), (Verdict::InFlight, 100, 0), "{}", report.to_text());
    // All wait for their numbers, which only the second look sees: nothing is claimed of the others.
    fixture.end_fills().await.unwrap();
    let report = fixture.verify_with(options()).await.unwrap();
    let teams = report.mappings.iter().find(|mapping| mapping.name == "teams").unwrap();
    assert_eq!(
        (report.verdict, teams.in_flight, teams.unjudged),
        (Verdict::Unfinished, 10, 90),
        "{}",
        report.to_text()
    );
    // All should have arrived and have not.
    fixture.number().await.unwrap();
    fixture.advance(i64::MAX).await.unwrap();
    let report = fixture.verify_with(options()).await.unwrap();
    let teams = report.mappings.iter().find(|mapping| mapping.name == "teams").unwrap();
    assert_eq!((report.verdict, teams.missing, teams.unjudged), (Verdict::Different, 10, 90), "{}", report.to_text());
    assert!(!teams.equal);
    let id: TenancyId = TenancyId::new(id(1));
    let narrowed = lockstep_verifier::VerifyOptions { tenants: vec![id], ..options() };
    assert_eq!(fixture.verify_with(narrowed).await.unwrap().verdict, Verdict::Different);
}
