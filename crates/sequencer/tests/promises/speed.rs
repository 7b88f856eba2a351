//! How fast changes are numbered. Run by hand: `cargo test -p lockstep-sequencer --test promises -- --ignored --nocapture speed`.

use std::time::Instant;

use lockstep_testkit::data::{Shape, Table, seed_tables};

use super::fixture::{Fixture, drain};

/// The floor, in changes a second, for a machine that does nothing else.
const FLOOR: f64 = 100_000.0;

#[tokio::test]
#[ignore = "takes minutes and a machine of its own"]
async fn speed_of_numbering_a_million_users() {
    let fixture = Fixture::new().await;
    seed_tables(&fixture.client, Shape { tenants: 5, rows: 200_000, seed: 1 }, &[Table::Users]).await.unwrap();
    fixture.execute("CHECKPOINT").await;
    let mut numbering = fixture.numbering();
    let began = Instant::now();
    let changes = drain(&mut numbering).await.changes;
    let rate = f64::from(i32::try_from(changes).unwrap()) / began.elapsed().as_secs_f64();
    println!("{changes} changes numbered, {rate:.0} changes/s (floor {FLOOR:.0})");
    fixture.remove().await;
}
