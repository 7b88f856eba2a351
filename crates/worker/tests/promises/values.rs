//! Values that hurt arrive unchanged: every type, in every mapping.

use lockstep_destinations::WriteLimits;
use lockstep_testkit::data::{Shape, hostile, ownerless, seed};
use lockstep_worker::Limits;

use crate::fixture::House;

#[tokio::test(flavor = "multi_thread")]
async fn values_that_hurt_arrive_unchanged() {
    let house = House::new().await;
    seed(&house.client, Shape { tenants: 5, rows: 20, seed: 7 }).await.unwrap();
    ownerless(&house.client, 7).await.unwrap();
    let tenancies = house.tenancies().await;
    for tenancy in &tenancies {
        hostile(&house.client, tenancy.as_uuid()).await.unwrap();
    }
    house.pass().await;
    // Chunks far smaller than some rows, and cut as often as can be.
    let write = WriteLimits { chunk_bytes: 1000, write_rows: 50, ..WriteLimits::default() };
    let mut flusher = house.flusher(Limits { write, ..Limits::default() });
    let flushed = flusher.flush(&house.news(&tenancies)).await;
    assert!(flushed.failed.is_empty() && flushed.retry.is_empty() && flushed.more.is_empty(), "{flushed:?}");
    house.assert_equal().await;
    house.remove().await;
}
