//! Rows that somebody holds are skipped, and stamped later.

use lockstep_sequencer::Report;

use super::fixture::{Fixture, drain, user_id};

#[tokio::test]
async fn rows_that_are_locked_are_skipped_and_stamped_later() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 5).await;
    let other = fixture.database.connect().await.unwrap();
    other.batch_execute("BEGIN").await.unwrap();
    let lock = r#"SELECT FROM "ProjectUser" WHERE "projectUserId" = $1 FOR UPDATE"#;
    other.execute(lock, &[&user_id(3)]).await.unwrap();
    let mut stamper = fixture.stamper();
    fixture.execute("DELETE FROM lockstep.touch").await;
    assert_eq!(drain(&mut stamper).await.stamped_rows, 4);
    assert_eq!(fixture.user_sequence(tenancy, 3).await, -1);
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(drain(&mut stamper).await.stamped_rows, 1);
    assert!(fixture.user_sequence(tenancy, 3).await > fixture.user_sequence(tenancy, 4).await);
    fixture.remove().await;
}

/// A row to which an open transaction adds a child is held by the check of the foreign key. An update of a column in a
/// unique index would wait for it: it has to be skipped. Without such an index it need not be.
#[tokio::test]
async fn a_foreign_key_check_never_makes_the_stamping_wait() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let other = fixture.database.connect().await.unwrap();
    for (round, stamped_meanwhile) in [(0, 0), (1, 1)] {
        fixture.users(tenancy, round, 1).await;
        fixture.execute("DELETE FROM lockstep.touch").await;
        other.batch_execute("BEGIN").await.unwrap();
        let child = r#"INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isVerified", "value", "updatedAt") VALUES ($1, $2, gen_random_uuid(), 'EMAIL', true, 'a', now())"#;
        other.execute(child, &[&tenancy, &user_id(round)]).await.unwrap();
        let mut stamper = fixture.stamper();
        assert_eq!(stamper.poll().await.unwrap().stamped_rows, stamped_meanwhile);
        other.batch_execute("COMMIT").await.unwrap();
        assert_ne!(drain(&mut stamper).await, Report::default());
        assert_eq!(fixture.flagged_users(tenancy).await, 0);
        fixture.execute(r#"ALTER TABLE "ProjectUser" DROP CONSTRAINT IF EXISTS "ProjectUser_sequenceId_key""#).await;
    }
    fixture.remove().await;
}
