//! The sweep: knows through which number everything was shipped, and announces again what got lost.

use std::time::Duration;

use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_testkit::databases::eventually;
use lockstep_worker::Limits;

use crate::fixture::{DEADLINE, House};

/// Soon, for tests that wait for it.
fn quick() -> Limits {
    Limits {
        sweep_every: Duration::from_millis(50),
        announce_again_after: Duration::from_millis(200),
        ..Limits::default()
    }
}

impl House {
    /// Through which number everything has been shipped.
    async fn passed(&self) -> i64 {
        self.number("SELECT COALESCE(max(passed), 0) FROM lockstep.destination WHERE name = 'clickhouse'").await
    }

    async fn eventually_passed(&self) {
        let head = self.head().await.get();
        eventually("the destination to have passed the head", DEADLINE, async || Ok(self.passed().await >= head))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_were_numbered_before_the_first_worker_came_are_found() {
    let house = House::new().await;
    for name in ["Ada", "Grace", "Edsger"] {
        let tenancy = house.tenancy().await;
        house.user(tenancy, name).await;
    }
    house.pass().await;
    let worker = house.start_to(house.clickhouse.clone(), quick());
    house.eventually_equal().await;
    house.eventually_passed().await;
    worker.stop().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_lost_is_made_up_for() {
    let house = House::new().await;
    let tenancy = house.tenancy().await;
    let workers =
        [house.start_to(house.clickhouse.clone(), quick()), house.start_to(house.clickhouse.clone(), quick())];
    for name in ["Ada", "Grace", "Edsger"] {
        house.user(tenancy, name).await;
        house.pass().await;
        house.eventually_equal().await;
    }
    for worker in workers {
        worker.stop().await;
    }
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cur_1_what_is_said_to_be_passed_is_in_the_destination_and_never_moves_back() {
    let house = House::new().await;
    let (stuck, other) = (house.known_tenancy().await, house.known_tenancy().await);
    let destination = Faulty::new(house.clickhouse.clone());
    let worker = house.start_to(destination.clone(), quick());
    house.user(other, "first").await;
    house.pass().await;
    house.announce(&[other], &[]).await;
    house.eventually_passed().await;
    let before = house.passed().await;
    // The next write is lost and stays so until it is announced again; others go on meanwhile.
    destination.script(Operation::Write, [Some(Fault::Hang)]);
    let held = house.user(stuck, "stuck").await;
    house.pass().await;
    let number = house.last_change(held).await;
    house.announce(&[stuck], &[]).await;
    eventually("the write to hang", DEADLINE, async || Ok(destination.left() == 0)).await.unwrap();
    let second = house.start_to(house.clickhouse.clone(), Limits { sweep_every: DEADLINE * 10, ..quick() });
    for name in ["second", "third", "fourth"] {
        house.user(other, name).await;
        house.pass().await;
        house.announce(&[other], &[]).await;
    }
    let mut last = before;
    eventually("everything to be passed", DEADLINE, async || {
        let passed = house.passed().await;
        assert!(passed >= last, "{last} went back to {passed}");
        last = passed;
        let there = house.ask(&format!("SELECT count() FROM {{raw}}.users WHERE id = '{held}'")).await;
        assert!(passed < number || there != "0", "it passed a change that nobody holds");
        Ok(passed >= house.head().await.get())
    })
    .await
    .unwrap();
    house.assert_equal().await;
    worker.stop().await;
    second.stop().await;
    house.remove().await;
}
