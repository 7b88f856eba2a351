//! Values that hurt arrive unchanged: every type, in every mapping.

use lockstep_destinations::WriteLimits;
use lockstep_testkit::data::{Shape, hostile, ownerless, seed};
use lockstep_worker::Limits;

use crate::fixture::WorkerFixture;

#[tokio::test(flavor = "multi_thread")]
async fn values_that_hurt_arrive_unchanged() {
    let fixture = WorkerFixture::new().await;
    seed(&fixture.client, Shape { tenants: 5, rows: 20, seed: 7 }).await.unwrap();
    ownerless(&fixture.client, 7).await.unwrap();
    let tenancies = fixture.tenancies().await;
    for tenancy in &tenancies {
        hostile(&fixture.client, tenancy.as_uuid()).await.unwrap();
    }
    fixture.pass().await;
    // Chunks far smaller than some rows, and cut as often as can be.
    let write = WriteLimits { chunk_bytes: 1000, write_rows: 50, ..WriteLimits::default() };
    let mut flusher = fixture.flusher(Limits { write, ..Limits::default() });
    let flushed = flusher.flush(&fixture.hints(&tenancies)).await;
    assert!(flushed.failed.is_empty() && flushed.retry.is_empty() && flushed.more.is_empty(), "{flushed:?}");
    fixture.assert_equal().await;
    fixture.remove().await;
}
