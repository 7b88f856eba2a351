//! DEL-1: a tombstone never beats a live row of the same key, in whatever order the two were written, numbered or shipped.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fixture::House;

#[tokio::test(flavor = "multi_thread")]
async fn del_1_a_deletion_whose_row_came_again_before_it_was_read_does_not_beat_it() {
    let house = House::new().await;
    let tenancy = house.tenancy().await;
    let user = house.user(tenancy, "Ada").await;
    house.grant(tenancy, user).await;
    house.pass_and_flush(&[tenancy]).await;
    house.revoke(user).await;
    house.pass().await;
    house.grant(tenancy, user).await;
    house.pass_and_flush(&[tenancy]).await;
    assert_eq!(house.permissions_seen().await, "1");
    house.change("OPTIMIZE TABLE {raw}.project_permissions FINAL").await;
    assert_eq!(house.permissions_seen().await, "1");
    // And it can go for good.
    house.revoke(user).await;
    house.pass_and_flush(&[tenancy]).await;
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_a_row_that_comes_again_after_its_tombstone_was_shipped_is_seen() {
    let house = House::new().await;
    let tenancy = house.tenancy().await;
    let user = house.user(tenancy, "Ada").await;
    for seen in ["1", "0", "1", "0"] {
        if seen == "1" {
            house.grant(tenancy, user).await
        } else {
            house.revoke(user).await
        }
        house.pass_and_flush(&[tenancy]).await;
        assert_eq!(house.permissions_seen().await, seen);
    }
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_deleted_and_created_again_in_one_pass_or_before_any() {
    let house = House::new().await;
    let tenancy = house.tenancy().await;
    let user = house.user(tenancy, "Ada").await;
    house.grant(tenancy, user).await;
    house.pass_and_flush(&[tenancy]).await;
    house.revoke(user).await;
    house.pass_once().await;
    house.grant(tenancy, user).await;
    // The deletion has its number, the row that came again has none yet: it is shipped all the same.
    let mut flusher = house.flusher(lockstep_worker::Limits::default());
    flusher.flush(&house.news(&[tenancy])).await;
    assert_eq!(house.permissions_seen().await, "1");
    house.pass_and_flush(&[tenancy]).await;
    assert_eq!(house.permissions_seen().await, "1");
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_in_any_order() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let house = House::new().await;
    let tenancy = house.tenancy().await;
    let mut users = Vec::new();
    for name in ["Ada", "Grace", "Edsger"] {
        users.push((house.user(tenancy, name).await, false));
    }
    let mut flusher = house.flusher(lockstep_worker::Limits::default());
    let news = house.news(&[tenancy]);
    for _ in 0..60 {
        match random.random_range(0..6) {
            0 => house.pass_once().await,
            1 | 2 => drop(flusher.flush(&news).await),
            _ => {
                let (user, has) = &mut users[random.random_range(0..3)];
                if *has {
                    house.revoke(*user).await
                } else {
                    house.grant(tenancy, *user).await
                }
                *has = !*has;
            }
        }
    }
    house.pass_and_flush(&[tenancy]).await;
    house.assert_equal().await;
    house.remove().await;
}
