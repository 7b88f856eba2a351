//! The sweep: knows through which number everything was shipped, and announces again what got lost.

use std::time::Duration;

use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_testkit::databases::eventually;
use lockstep_worker::Limits;

use crate::fixture::{DEADLINE, WorkerFixture};

/// Soon, for tests that wait for it.
fn quick() -> Limits {
    Limits {
        sweep_every: Duration::from_millis(50),
        announce_again_after: Duration::from_millis(200),
        ..Limits::default()
    }
}

impl WorkerFixture {
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
    let fixture = WorkerFixture::new().await;
    for name in ["Ada", "Grace", "Edsger"] {
        let tenancy = fixture.tenancy().await;
        fixture.user(tenancy, name).await;
    }
    fixture.pass().await;
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    fixture.eventually_equal().await;
    fixture.eventually_passed().await;
    worker.stop().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_lost_is_made_up_for() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.tenancy().await;
    let workers =
        [fixture.start_to(fixture.clickhouse.clone(), quick()), fixture.start_to(fixture.clickhouse.clone(), quick())];
    for name in ["Ada", "Grace", "Edsger"] {
        fixture.user(tenancy, name).await;
        fixture.pass().await;
        fixture.eventually_equal().await;
    }
    for worker in workers {
        worker.stop().await;
    }
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cur_1_what_is_said_to_be_passed_is_in_the_destination_and_never_moves_back() {
    let fixture = WorkerFixture::new().await;
    let (stuck, other) = (fixture.known_tenancy().await, fixture.known_tenancy().await);
    let destination = Faulty::new(fixture.clickhouse.clone());
    let worker = fixture.start_to(destination.clone(), quick());
    fixture.user(other, "first").await;
    fixture.pass().await;
    fixture.announce(&[other], &[]).await;
    fixture.eventually_passed().await;
    let before = fixture.passed().await;
    // The next write is lost and stays so until it is announced again; others go on meanwhile.
    destination.script(Operation::Write, [Some(Fault::Hang)]);
    let held = fixture.user(stuck, "stuck").await;
    fixture.pass().await;
    let number = fixture.last_change(held).await;
    fixture.announce(&[stuck], &[]).await;
    eventually("the write to hang", DEADLINE, async || Ok(destination.left() == 0)).await.unwrap();
    let second = fixture.start_to(fixture.clickhouse.clone(), Limits { sweep_every: DEADLINE * 10, ..quick() });
    for name in ["second", "third", "fourth"] {
        fixture.user(other, name).await;
        fixture.pass().await;
        fixture.announce(&[other], &[]).await;
    }
    let mut last = before;
    eventually("everything to be passed", DEADLINE, async || {
        let passed = fixture.passed().await;
        assert!(passed >= last, "{last} went back to {passed}");
        last = passed;
        let there = fixture.ask(&format!("SELECT count() FROM {{raw}}.users WHERE id = '{held}'")).await;
        assert!(passed < number || there != "0", "it passed a change that nobody holds");
        Ok(passed >= fixture.head().await.get())
    })
    .await
    .unwrap();
    fixture.assert_equal().await;
    worker.stop().await;
    second.stop().await;
    fixture.remove().await;
}
