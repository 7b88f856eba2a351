//! What is equal is called equal, whatever the values.

use lockstep_testkit::data::{Shape, hostile, ownerless, seed};
use lockstep_testkit::databases::TestDatabase;
use lockstep_verifier::Verdict;
use uuid::Uuid;

use crate::everything;
use crate::fixture::{Fixture, id, tenancy};

/// Keys that sort differently by language, by case or by UTF-16 than by bytes.
const NAMES: &[&str] = &[
    "", " ", "a", "B", "b", "Z", "ä", "z", "ab", "a b", "a-b", "A", "é", "e\u{301}", "日本", "\u{ff5e}", "😀", "'",
    "\\", "\\'", "`", "\"", "%", "\t", "\n", "\u{1}", "\u{7f}", "\u{80}", "{}", "?", "NULL", "10", "9", "-1",
];

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_equal_is_called_equal_over_all_types() {
    let definition = Some((everything::FILE, everything::DEFINITION));
    let fixture = Fixture::create(everything::TABLE, definition).await.unwrap();
    fixture.run(&tenancy(1)).await.unwrap();
    fixture.run(&tenancy(2)).await.unwrap();
    fixture.run(&everything::rows(id(1), NAMES)).await.unwrap();
    fixture.run(&everything::rows(id(2), NAMES)).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let report = fixture.expect_equal().await;
    let rows = (NAMES.len() as u64 * 2 + 16) * 2;
    let found = report.mappings.iter().find(|mapping| mapping.name == "everything").unwrap();
    assert_eq!((found.source_rows, found.destination_rows, found.equal_rows), (rows, rows, rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_equal_is_called_equal_over_all_mappings_and_values_that_hurt() {
    let fixture = Fixture::create("", None).await.unwrap();
    fill(&fixture.database).await;
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let report = fixture.expect_equal().await;
    assert!(report.mappings.iter().all(|mapping| mapping.equal_rows > 100), "{}", report.to_text());
    // Shipping it once more, under the same numbers, changes nothing that is seen.
    fixture.ship().await.unwrap();
    fixture.expect_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_rows_without_any_change_are_compared() {
    // As in a database that had its rows before capture came.
    let fixture = Fixture::create("", None).await.unwrap();
    fill(&fixture.database).await;
    fixture.forget_lines().await.unwrap();
    let before = fixture.verify().await.unwrap();
    assert_eq!(before.verdict, Verdict::InFlight, "the fills have not ended: {}", before.to_text());
    fixture.ship_base().await.unwrap();
    let report = fixture.expect_equal().await;
    assert!(report.mappings.iter().all(|mapping| mapping.equal_rows > 100), "{}", report.to_text());
}

async fn fill(database: &TestDatabase) {
    let client = database.connect().await.unwrap();
    seed(&client, Shape { tenants: 5, rows: 60, seed: 7 }).await.unwrap();
    ownerless(&client, 7).await.unwrap();
    let tenancies = client.query(r#"SELECT "id" FROM "Tenancy" ORDER BY "id""#, &[]).await.unwrap();
    for row in &tenancies {
        hostile(&client, row.get::<_, Uuid>(0)).await.unwrap();
    }
}
