//! How fast rows are stamped. Run by hand: `cargo test -p lockstep-sequencer --test promises -- --ignored --nocapture speed`.

use std::time::Instant;

use lockstep_testkit::data::{Shape, Table, seed_tables};

use super::fixture::Fixture;

/// The floor, in rows a second, for a machine that does nothing else.
const FLOOR: f64 = 40_000.0;

#[tokio::test]
#[ignore = "takes minutes and a machine of its own"]
async fn speed_of_stamping_a_million_users() {
    let fixture = Fixture::new().await;
    seed_tables(&fixture.client, Shape { tenants: 5, rows: 200_000, seed: 1 }, &[Table::Users]).await.unwrap();
    fixture.execute("DELETE FROM lockstep.touch; CHECKPOINT").await;
    let mut stamper = fixture.stamper();
    stamper.poll().await.unwrap();
    let (began, mut rows) = (Instant::now(), 0);
    loop {
        let report = stamper.poll().await.unwrap();
        rows += report.stamped_rows;
        if !report.more {
            break;
        }
    }
    let rate = f64::from(i32::try_from(rows).unwrap()) / began.elapsed().as_secs_f64();
    println!("{rows} rows stamped, {rate:.0} rows/s (floor {FLOOR:.0})");
    fixture.remove().await;
}
