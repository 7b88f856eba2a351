//! A sequencer that is asked to stop finishes what it began.

use super::fixture::{ANNOUNCED, EXPANDED, Fixture, HOLD_PASSES, IN_A_PASS};

#[tokio::test]
async fn a_sequencer_that_stops_finishes_the_open_pass_and_announces_it() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut consumer = fixture.consumer().await;
    let sequencer = fixture.run();
    fixture.users(tenancy, 0, 1).await;
    fixture.until("the tenancy to be looked at", EXPANDED).await;
    consumer.next().await.unwrap().ack().await;
    let quiet = format!("SELECT NOT EXISTS ({}) AND ({ANNOUNCED})", lockstep_mappings::postgres::inbox::unseen());
    fixture.until("everything to be numbered and announced", &quiet).await;
    let before = fixture.head().await;
    // The pass stops at its own row, which cannot be written.
    let other = fixture.database.connect().await.unwrap();
    other.batch_execute(HOLD_PASSES).await.unwrap();
    fixture.users(tenancy, 1, 1).await;
    fixture.until("a pass to be in the middle", IN_A_PASS).await;
    let stopping = tokio::spawn(sequencer.stop());
    other.batch_execute("COMMIT").await.unwrap();
    stopping.await.unwrap();
    assert!(fixture.user_sequence(tenancy, 1).await > before);
    fixture.until("the pass to be announced", ANNOUNCED).await;
    loop {
        let delivery = consumer.next().await.unwrap();
        let hint = &delivery.batch.tenants[0];
        assert_eq!(hint.tenancy.as_uuid(), tenancy);
        let is_last = hint.sequence.get() > before;
        delivery.ack().await;
        if is_last {
            break;
        }
    }
    fixture.remove().await;
}
