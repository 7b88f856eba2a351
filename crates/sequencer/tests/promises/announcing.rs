//! OUT-1: a tenancy whose rows were stamped is announced, whatever crashes in between.

use super::fixture::Fixture;

/// A port on which nobody listens.
const NO_BROKER: &str = "amqp://guest:guest@127.0.0.1:1/%2f";
const EMPTY: &str = "SELECT NOT EXISTS (SELECT FROM lockstep.outbox)";

#[tokio::test]
async fn out_1_a_crash_between_stamping_and_publishing_loses_nothing() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    // Stamps and is never heard of again.
    fixture.stamper().poll().await.unwrap();
    assert!(fixture.outbox(tenancy).await.is_some());
    let mut consumer = fixture.consumer().await;
    let sequencer = fixture.run();
    let delivery = consumer.next().await.unwrap();
    assert_eq!(delivery.batch.tenants[0].tenancy.as_uuid(), tenancy);
    fixture.until("the outbox to be empty", EMPTY).await;
    sequencer.stop().await;
    fixture.remove().await;
}

#[tokio::test]
async fn out_1_a_crash_in_the_middle_of_a_pass_leaves_nothing_half_done() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    let other = fixture.database.connect().await.unwrap();
    other.batch_execute("BEGIN; LOCK TABLE lockstep.sequence_head IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut stamper = fixture.stamper();
    let crash = async {
        // By now rows were stamped and the outbox was written, in the transaction that is open.
        fixture
            .until(
                "a pass to be in the middle",
                "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 'lockstep.sequence_head'::regclass",
            )
            .await;
        fixture.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'lockstep.sequence_head'::regclass").await;
    };
    let (polled, ()) = tokio::join!(stamper.poll(), crash);
    assert!(polled.unwrap_err().is_retryable());
    assert_eq!((fixture.flagged_users(tenancy).await, fixture.outbox(tenancy).await), (1, None));
    other.batch_execute("COMMIT").await.unwrap();
    stamper.poll().await.unwrap();
    assert_eq!(fixture.flagged_users(tenancy).await, 0);
    assert!(fixture.outbox(tenancy).await.is_some());
    fixture.remove().await;
}

#[tokio::test]
async fn out_1_while_the_broker_is_away_stamping_goes_on_and_the_outbox_keeps_the_news() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let sequencer = fixture.run_with_broker(NO_BROKER);
    for round in 0..3 {
        fixture.users(tenancy, round, 1).await;
        fixture
            .until(
                "the users to be stamped",
                r#"SELECT NOT EXISTS (SELECT FROM "ProjectUser" WHERE "shouldUpdateSequenceId")"#,
            )
            .await;
    }
    assert_eq!(
        fixture.number("SELECT count(*) FROM lockstep.outbox").await,
        1,
        "one row a tenancy, however much happens"
    );
    sequencer.stop().await;
    let mut consumer = fixture.consumer().await;
    let sequencer = fixture.run();
    assert_eq!(consumer.next().await.unwrap().batch.tenants[0].tenancy.as_uuid(), tenancy);
    fixture.until("the outbox to be empty", EMPTY).await;
    sequencer.stop().await;
    fixture.remove().await;
}

#[tokio::test]
async fn out_1_every_one_of_many_tenancies_is_announced() {
    let fixture = Fixture::new().await;
    // More than one message can name.
    fixture
        .execute(
            r#"INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES ('p', 'P', false, now());
            INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
            SELECT md5(n::text)::uuid, 'p', n::text, 'TRUE', now() FROM generate_series(1, 2500) n"#,
        )
        .await;
    let mut consumer = fixture.consumer().await;
    let sequencer = fixture.run();
    let mut announced = std::collections::BTreeSet::new();
    while announced.len() < 2_500 {
        let delivery = consumer.next().await.unwrap();
        announced.extend(delivery.batch.tenants.iter().map(|news| news.tenancy));
        delivery.ack().await;
    }
    fixture.until("the outbox to be empty", EMPTY).await;
    sequencer.stop().await;
    fixture.remove().await;
}
