//! Rows that the source cannot give: in the first pass, only later, and too many of them.

use std::time::Duration;

use lockstep_core::TenancyId;
use lockstep_verifier::{Kind, Verdict, VerifyOptions};

use crate::fixture::{Fixture, id, tenancy};

const FILE: &str = "parts.toml";
const TABLE: &str = r#"CREATE TABLE "Part" ("tenancyId" uuid NOT NULL, "id" uuid NOT NULL, "parts" integer NOT NULL, PRIMARY KEY ("tenancyId", "id"))"#;

fn definition(sql: &str) -> String {
    format!(
        r#"
name = "shares"
table = "Part"
tenant = {{ column = "tenancyId" }}
key = ["id"]
columns = [{{ name = "id", type = "uuid", column = "id" }}, {{ name = "share", type = "int32?", sql = "{sql}" }}]
"#
    )
}

/// Rows of tenancy 1 with these ids, in this many parts.
fn parts(ids: std::ops::Range<u128>, parts: i32) -> String {
    let rows: Vec<_> = ids.map(|row| format!("('{}', '{}', {parts})", id(1), id(row))).collect();
    format!(r#"INSERT INTO "Part" VALUES {};"#, rows.join(", "))
}

/// Without waiting: what differs is looked at twice.
fn at_once() -> VerifyOptions {
    VerifyOptions { settle: Duration::ZERO, ..VerifyOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_rows_that_cannot_be_read_are_named_whatever_clickhouse_holds_of_them() {
    let fixture = Fixture::create(TABLE, Some((FILE, &definition("60 / {parts}")))).await.unwrap();
    fixture.run(&(tenancy(1) + &parts(100..700, 3))).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
    // Of one ClickHouse has a former version, of the other nothing; between them one row differs.
    fixture.run(&format!(r#"UPDATE "Part" SET "parts" = 0 WHERE "id" = '{}'"#, id(333))).await.unwrap();
    fixture.run(&parts(700..701, 0)).await.unwrap();
    fixture.number().await.unwrap();
    fixture.advance(i64::MAX).await.unwrap();
    let shares = fixture.expect(Verdict::Unfinished, "shares").await;
    assert_eq!((shares.unreadable, shares.equal_rows, shares.differences()), (2, 599, 0), "{shares:?}");
    let named: Vec<_> =
        shares.findings.iter().map(|found| (found.kind, found.key.get("id").unwrap().to_owned())).collect();
    assert_eq!(named, [333, 700].map(|row| (Kind::Unreadable, id(row).to_string())));
    assert!(shares.findings.iter().all(|found| found.tenancy_id == Some(id(1))));
    let of_tenant = VerifyOptions { tenants: vec![TenancyId::new(id(1))], ..at_once() };
    let report = fixture.verify_with(of_tenant).await.unwrap();
    assert_eq!(report.verdict, Verdict::Unfinished, "{}", report.to_text());
    // What differs besides is told as ever.
    fixture.in_clickhouse("shares", &format!("DELETE FROM {{t}} WHERE id = '{}'", id(500))).await.unwrap();
    let shares = fixture.expect(Verdict::Different, "shares").await;
    assert_eq!((shares.missing, shares.unreadable, shares.differences()), (1, 2, 1), "{shares:?}");
}

/// In the first pass all rows can be read; in looks at what differed, which have a timeout of their own, some cannot.
#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_row_that_cannot_be_read_any_more_spoils_no_look_at_others() {
    let only_in_looks = "CASE WHEN current_setting('statement_timeout') = '1min' THEN 60 / {parts} ELSE 20 END";
    let fixture = Fixture::create(TABLE, Some((FILE, &definition(only_in_looks)))).await.unwrap();
    fixture.run(&(tenancy(1) + &parts(100..150, 3) + &parts(150..152, 0) + &parts(152..200, 3))).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.advance(i64::MAX).await.unwrap();
    let report = fixture.verify_with(at_once()).await.unwrap();
    let shares = report.mappings.iter().find(|mapping| mapping.name == "shares").unwrap();
    assert_eq!(
        (report.verdict, shares.missing, shares.unreadable),
        (Verdict::Different, 98, 2),
        "{}",
        report.to_text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_mapping_that_cannot_be_read_at_all_leaves_the_others_compared() {
    let fixture = Fixture::create(TABLE, Some((FILE, &definition("60 / ({parts} - {parts})")))).await.unwrap();
    fixture.run(&(tenancy(1) + &parts(1000..3000, 3))).await.unwrap();
    fixture.end_fills().await.unwrap();
    let shares = fixture.expect(Verdict::Unfinished, "shares").await;
    assert_eq!((shares.unreadable, shares.equal, shares.findings.len()), (1000, false, 20));
}

/// More rows than are looked for one by one: others are compared all the same, and what differs among them is told.
#[tokio::test(flavor = "multi_thread")]
async fn ver_1_very_many_rows_that_cannot_be_read_leave_others_compared() {
    let fixture = Fixture::create(TABLE, Some((FILE, &definition("60 / {parts}")))).await.unwrap();
    fixture.run(&(tenancy(1) + &parts(1000..7000, 3))).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
    fixture.run(&format!(r#"UPDATE "Part" SET "parts" = 0 WHERE "id" < '{}'"#, id(4000))).await.unwrap();
    fixture.number().await.unwrap();
    fixture.advance(i64::MAX).await.unwrap();
    let shares = fixture.expect(Verdict::Unfinished, "shares").await;
    assert_eq!((shares.unreadable, shares.differences(), shares.equal), (1000, 0, false), "{shares:?}");
    assert!(shares.equal_rows > 2000 && shares.unjudged >= 2000, "{shares:?}");
    // One of those that can be read is not in ClickHouse.
    fixture.in_clickhouse("shares", &format!("DELETE FROM {{t}} WHERE id = '{}'", id(5000))).await.unwrap();
    let shares = fixture.expect(Verdict::Different, "shares").await;
    assert_eq!((shares.missing, shares.differences()), (1, 1), "{shares:?}");
}
