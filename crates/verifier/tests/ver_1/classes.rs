//! A row that differs is told by how it came to, at every level that looks at what differs.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_verifier::{Class, Level, Report, Verdict, VerifyOptions};
use uuid::Uuid;

use crate::fixture::{Fixture, id, teams, tenancy};

const DEFECTS: [(u128, Class); 9] = [
    (10, Class::Lost),
    (11, Class::Stale),
    (12, Class::Corrupt),
    (13, Class::UnmarkedChange),
    (14, Class::LostTombstone),
    (15, Class::UnmarkedChange),
    (16, Class::Ahead),
    (20, Class::Foreign),
    (99, Class::Orphan),
];

/// Teams 10 to 18 of one tenancy and 20 to 22 of another, in step; then a defect of each class.
async fn with_defects() -> Fixture {
    let fixture = Fixture::create("", None).await.unwrap();
    fixture.run(&(tenancy(1) + &teams(1, 10..19) + &tenancy(2) + &teams(2, 20..23))).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let of = |n: u128| id(n);
    fixture.in_clickhouse("teams", &format!("DELETE FROM {{t}} WHERE id = '{}'", of(10))).await.unwrap();
    for (n, change) in [(12, "'Tampered' AS display_name"), (16, "sync_sequence_id + 1000000 AS sync_sequence_id")] {
        let insert = format!("INSERT INTO {{t}} SELECT * REPLACE ({change}) FROM {{t}} FINAL WHERE id = '{}'", of(n));
        fixture.in_clickhouse("teams", &insert).await.unwrap();
    }
    let foreign =
        format!("INSERT INTO {{t}} SELECT * REPLACE ('p1' AS project_id) FROM {{t}} FINAL WHERE id = '{}'", of(20));
    fixture.in_clickhouse("teams", &foreign).await.unwrap();
    let orphan = format!(
        "INSERT INTO {{t}} SELECT * REPLACE (toUUID('{}') AS id, 1 AS sync_sequence_id) FROM {{t}} FINAL WHERE display_name = 'Team 17'",
        of(99),
    );
    fixture.in_clickhouse("teams", &orphan).await.unwrap();
    // Numbered, and told to have arrived.
    let rename = |n| format!(r#"UPDATE "Team" SET "displayName" = 'Renamed' WHERE "teamId" = '{}'"#, of(n));
    let delete = |n| format!(r#"DELETE FROM "Team" WHERE "teamId" = '{}'"#, of(n));
    fixture.run(&rename(11)).await.unwrap();
    fixture.run(&delete(14)).await.unwrap();
    fixture.number().await.unwrap();
    fixture.advance(i64::MAX).await.unwrap();
    // Past capture.
    fixture.run(&rename(13)).await.unwrap();
    fixture.run(&delete(15)).await.unwrap();
    fixture.forget_lines().await.unwrap();
    let all_passed =
        "INSERT INTO lockstep.destination (name, passed) SELECT 'clickhouse', max(last_sequence) FROM lockstep.pass
         ON CONFLICT (name) DO UPDATE SET passed = EXCLUDED.passed";
    fixture.run(all_passed).await.unwrap();
    fixture
}

fn found(report: &Report) -> BTreeMap<Uuid, Class> {
    let teams = report.mappings.iter().find(|mapping| mapping.name == "teams").unwrap();
    teams.findings.iter().map(|finding| (finding.key.get("id").unwrap().parse().unwrap(), finding.class)).collect()
}

fn at(level: Level) -> VerifyOptions {
    VerifyOptions { level, settle: Duration::ZERO, show: 100, ..VerifyOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_every_defect_is_told_by_its_class_at_every_level() {
    let fixture = with_defects().await;
    let expected: BTreeMap<_, _> = DEFECTS.map(|(n, class)| (id(n), class)).into();
    for level in [Level::Content, Level::Rows, Level::Versions] {
        let report = fixture.verify_with(at(level)).await.unwrap();
        assert_eq!(report.verdict, Verdict::Different, "{level:?}");
        // The numbers of this place are unlike, so that all of its rows are compared.
        assert_eq!(found(&report), expected, "{level:?}: {}", report.to_text());
        assert!(!report.to_json().contains("Tampered"), "a value was shown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_versions_tell_numbers_from_each_other_and_not_content() {
    let fixture = Fixture::create("", None).await.unwrap();
    fixture.run(&(tenancy(1) + &teams(1, 10..13))).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let tampered = format!(
        "INSERT INTO {{t}} SELECT * REPLACE ('Tampered' AS display_name) FROM {{t}} FINAL WHERE id = '{}'",
        id(11)
    );
    fixture.in_clickhouse("teams", &tampered).await.unwrap();
    let by_versions = fixture.verify_with(at(Level::Versions)).await.unwrap();
    let by_content = fixture.verify_with(at(Level::Content)).await.unwrap();
    assert_eq!((by_versions.verdict, by_content.verdict), (Verdict::Equal, Verdict::Different));
    let said = by_versions.to_text();
    assert!(said.contains("What they hold was not compared") && !said.contains("are the same"), "{said}");
    // As many rows, one of them of before its last change.
    let rename = format!(r#"UPDATE "Team" SET "displayName" = 'Renamed' WHERE "teamId" = '{}'"#, id(12));
    fixture.run(&rename).await.unwrap();
    fixture.number().await.unwrap();
    fixture.advance(i64::MAX).await.unwrap();
    let passed =
        "INSERT INTO lockstep.destination (name, passed) SELECT 'clickhouse', max(last_sequence) FROM lockstep.pass
         ON CONFLICT (name) DO UPDATE SET passed = EXCLUDED.passed";
    fixture.run(passed).await.unwrap();
    let report = fixture.verify_with(at(Level::Versions)).await.unwrap();
    assert_eq!(found(&report).get(&id(12)), Some(&Class::Stale), "{}", report.to_text());
}
