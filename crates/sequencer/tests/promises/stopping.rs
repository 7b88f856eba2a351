//! A sequencer that is asked to stop finishes what it began.

use super::fixture::Fixture;

#[tokio::test]
async fn a_sequencer_that_stops_finishes_the_open_pass_and_announces_it() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut consumer = fixture.consumer().await;
    let sequencer = fixture.run();
    fixture
        .until(
            "the tenancy to be announced",
            "SELECT NOT EXISTS (SELECT FROM lockstep.touch) AND NOT EXISTS (SELECT FROM lockstep.outbox)",
        )
        .await;
    consumer.next().await.unwrap().ack().await;
    // The pass stops at the outbox, which is held.
    let other = fixture.database.connect().await.unwrap();
    let hold = "BEGIN; LOCK TABLE lockstep.sequence_head IN ACCESS EXCLUSIVE MODE";
    other.batch_execute(hold).await.unwrap();
    fixture.users(tenancy, 0, 1).await;
    let waits = "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 'lockstep.sequence_head'::regclass";
    fixture.until("a pass to be in the middle", waits).await;
    let stopping = tokio::spawn(sequencer.stop());
    other.batch_execute("COMMIT").await.unwrap();
    stopping.await.unwrap();
    assert!(fixture.user_sequence(tenancy, 0).await > 0);
    assert_eq!(fixture.outbox(tenancy).await, None);
    assert_eq!(consumer.next().await.unwrap().batch.tenants[0].tenancy.as_uuid(), tenancy);
    fixture.remove().await;
}
