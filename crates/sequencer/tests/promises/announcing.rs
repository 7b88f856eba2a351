//! OUT-1: a tenancy whose changes have their numbers is announced, whatever crashes in between.

use super::fixture::{ANNOUNCED, Fixture, HOLD_PASSES, IN_A_PASS};

/// A port on which nobody listens.
const NO_BROKER: &str = "amqp://guest:guest@127.0.0.1:1/%2f";

#[tokio::test]
async fn out_1_a_crash_between_numbering_and_publishing_loses_nothing() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    // Numbers and is never heard of again.
    fixture.numbering().poll().await.unwrap();
    assert!(fixture.user_sequence(tenancy, 0).await > 0);
    let mut consumer = fixture.consumer().await;
    let sequencer = fixture.run();
    let delivery = consumer.next().await.unwrap();
    assert_eq!(delivery.batch.tenants[0].tenancy.as_uuid(), tenancy);
    fixture.until("everything to be announced", ANNOUNCED).await;
    sequencer.stop().await;
    fixture.remove().await;
}

#[tokio::test]
async fn out_1_a_crash_in_the_middle_of_a_pass_leaves_nothing_half_done() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    let other = fixture.database.connect().await.unwrap();
    other.batch_execute(HOLD_PASSES).await.unwrap();
    let head = fixture.head().await;
    let mut numbering = fixture.numbering();
    let crash = async {
        // By now changes have their numbers, in the transaction that is open.
        fixture.until("a pass to be in the middle", IN_A_PASS).await;
        fixture.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'lockstep.pass'::regclass").await;
    };
    let (polled, ()) = tokio::join!(numbering.poll(), crash);
    assert!(polled.unwrap_err().is_retryable());
    assert_eq!((fixture.user_sequence(tenancy, 0).await, fixture.head().await), (-1, head));
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.expansion").await, 0);
    other.batch_execute("COMMIT").await.unwrap();
    numbering.poll().await.unwrap();
    assert!(fixture.user_sequence(tenancy, 0).await > head);
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.expansion").await, 1);
    fixture.remove().await;
}

#[tokio::test]
async fn out_1_while_the_broker_is_away_numbering_goes_on_and_the_news_stay() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let sequencer = fixture.run_with_broker(NO_BROKER);
    for round in 0..3 {
        fixture.users(tenancy, round, 1).await;
        let numbered = format!("SELECT NOT EXISTS ({})", lockstep_mappings::postgres::inbox::unseen());
        fixture.until("the user to be numbered", &numbered).await;
    }
    assert_eq!(fixture.number("SELECT max(sequence) FROM lockstep.announced").await, 0, "nothing was confirmed");
    sequencer.stop().await;
    let mut consumer = fixture.consumer().await;
    let sequencer = fixture.run();
    assert_eq!(consumer.next().await.unwrap().batch.tenants[0].tenancy.as_uuid(), tenancy);
    fixture.until("everything to be announced", ANNOUNCED).await;
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
            SELECT md5(n::text)::uuid, 'p', n::text, 'TRUE', now() FROM generate_series(1, 2500) n;
            INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
            SELECT "id", "id", 'p', "branchId", 'T', now() FROM "Tenancy""#,
        )
        .await;
    let mut consumer = fixture.consumer().await;
    let sequencer = fixture.run();
    let mut announced = std::collections::BTreeSet::new();
    while announced.len() < 2_500 {
        let delivery = consumer.next().await.unwrap();
        announced.extend(delivery.batch.tenants.iter().map(|hint| hint.tenancy));
        delivery.ack().await;
    }
    fixture.until("everything to be announced", ANNOUNCED).await;
    sequencer.stop().await;
    fixture.remove().await;
}
