//! DEL-1: a tombstone never beats a live row of the same key, in whatever order the two were written, numbered or shipped.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fixture::WorkerFixture;

#[tokio::test(flavor = "multi_thread")]
async fn del_1_a_deletion_whose_row_came_again_before_it_was_read_does_not_beat_it() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.tenancy().await;
    let user = fixture.user(tenancy, "Ada").await;
    fixture.grant(tenancy, user).await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.revoke(user).await;
    fixture.pass().await;
    fixture.grant(tenancy, user).await;
    fixture.pass_and_flush(&[tenancy]).await;
    assert_eq!(fixture.permissions_seen().await, "1");
    fixture.change("OPTIMIZE TABLE {raw}.project_permissions FINAL").await;
    assert_eq!(fixture.permissions_seen().await, "1");
    // And it can go for good.
    fixture.revoke(user).await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_a_row_that_comes_again_after_its_tombstone_was_shipped_is_seen() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.tenancy().await;
    let user = fixture.user(tenancy, "Ada").await;
    for seen in ["1", "0", "1", "0"] {
        if seen == "1" {
            fixture.grant(tenancy, user).await
        } else {
            fixture.revoke(user).await
        }
        fixture.pass_and_flush(&[tenancy]).await;
        assert_eq!(fixture.permissions_seen().await, seen);
    }
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_deleted_and_created_again_in_one_pass_or_before_any() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.tenancy().await;
    let user = fixture.user(tenancy, "Ada").await;
    fixture.grant(tenancy, user).await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.revoke(user).await;
    fixture.pass_once().await;
    fixture.grant(tenancy, user).await;
    // The deletion has its number, the row that came again has none yet: it is shipped all the same.
    let mut flusher = fixture.flusher(lockstep_worker::Limits::default());
    flusher.flush(&fixture.hints(&[tenancy])).await;
    assert_eq!(fixture.permissions_seen().await, "1");
    fixture.pass_and_flush(&[tenancy]).await;
    assert_eq!(fixture.permissions_seen().await, "1");
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_in_any_order() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.tenancy().await;
    let mut users = Vec::new();
    for name in ["Ada", "Grace", "Edsger"] {
        users.push((fixture.user(tenancy, name).await, false));
    }
    let mut flusher = fixture.flusher(lockstep_worker::Limits::default());
    let hints = fixture.hints(&[tenancy]);
    for _ in 0..60 {
        match random.random_range(0..6) {
            0 => fixture.pass_once().await,
            1 | 2 => drop(flusher.flush(&hints).await),
            _ => {
                let (user, has) = &mut users[random.random_range(0..3)];
                if *has {
                    fixture.revoke(*user).await
                } else {
                    fixture.grant(tenancy, *user).await
                }
                *has = !*has;
            }
        }
    }
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.assert_equal().await;
    fixture.remove().await;
}
