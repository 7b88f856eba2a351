//! FAIR-1: nobody waits for a huge transaction, or a huge tenant.

use super::fixture::{Fixture, drain};

const LARGE: i64 = 200_000;

#[tokio::test]
async fn fair_1_a_large_transaction_is_taken_in_shares_and_nobody_waits_for_it() {
    let fixture = Fixture::new().await;
    let (large, small) = (fixture.tenancy(1).await, fixture.tenancy(2).await);
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    fixture.users(large, 0, LARGE).await;
    let numbered = "SELECT count(*) FROM lockstep.change WHERE tenancy_id = $1";
    let mut passes = 0;
    for round in 0..5 {
        fixture.users(small, 1_000_000 + round, 1).await;
        for _ in 0..2 {
            assert!(numbering.poll().await.unwrap().more);
            passes += 1;
        }
        assert!(
            fixture.user_sequence(small, 1_000_000 + round).await > 0,
            "a small transaction waits in round {round}"
        );
        let done = fixture.number_of(numbered, &[&large]).await;
        assert!(done < LARGE, "the large transaction was numbered at once: {done} after {passes} passes");
    }
    assert!(fixture.unseen().await > 0, "what waits is not told");
    drain(&mut numbering).await;
    assert_eq!(fixture.number_of(numbered, &[&large]).await, LARGE);
    let distinct = "SELECT count(DISTINCT uuid_1) FROM lockstep.change WHERE tenancy_id = $1";
    assert_eq!(fixture.number_of(distinct, &[&large]).await, LARGE, "each row has one number");
    assert_eq!(fixture.unseen().await, 0);
    fixture.remove().await;
}

#[tokio::test]
async fn fair_1_another_sequencer_goes_on_with_a_large_transaction_where_the_last_one_ended() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 60_000).await;
    for _ in 0..3 {
        fixture.numbering().poll().await.unwrap();
    }
    assert!(fixture.unseen().await > 0, "nothing is left for another");
    drain(&mut fixture.numbering()).await;
    let counts = "SELECT count(*), count(DISTINCT uuid_1) FROM lockstep.change";
    let row = fixture.client.query_one(counts, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (60_000, 60_000));
    fixture.remove().await;
}

#[tokio::test]
async fn fair_1_several_large_transactions_with_deletes_and_searches_are_all_taken() {
    let fixture = Fixture::new().await;
    let mut numbering = fixture.numbering();
    for number in 1..=12 {
        let tenancy = fixture.tenancy(number).await;
        fixture.users(tenancy, i64::try_from(number).unwrap() * 100_000, 6_000).await;
    }
    // One that writes to every kind of line.
    fixture.execute(r#"BEGIN; DELETE FROM "ProjectUser"; DELETE FROM "Tenancy"; COMMIT"#).await;
    drain(&mut numbering).await;
    let distinct = "SELECT count(DISTINCT (tenancy_id, uuid_1)) FROM lockstep.change";
    assert_eq!(fixture.number(distinct).await, 72_000);
    let gone = "SELECT count(*) FROM lockstep.tenancy_location WHERE gone_at IS NOT NULL";
    assert_eq!(fixture.number(gone).await, 12);
    assert_eq!(fixture.unseen().await, 0);
    fixture.remove().await;
}

#[tokio::test]
async fn fair_1_a_backlog_of_small_transactions_is_taken_from_its_oldest_on() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    fixture
        .execute(
            r#"CREATE PROCEDURE many() LANGUAGE plpgsql AS $$ BEGIN
              FOR n IN 1..12 LOOP
                INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
                SELECT "id", gen_random_uuid(), 'p1', 'main', n::text, now() FROM "Tenancy", generate_series(1, 1500);
                COMMIT;
              END LOOP; END $$"#,
        )
        .await;
    fixture.execute("SET synchronous_commit = off").await;
    fixture.execute("CALL many()").await;
    assert!(numbering.poll().await.unwrap().more);
    let oldest = r#"SELECT min(t."displayName"::bigint) FROM "Team" t JOIN lockstep.change c ON c.uuid_1 = t."teamId""#;
    let newest = oldest.replace("min", "max");
    assert_eq!(fixture.number(oldest).await, 1);
    assert!(fixture.number(&newest).await < 12, "all of it was taken at once");
    drain(&mut numbering).await;
    assert_eq!(fixture.number(&newest).await, 12);
    fixture.remove().await;
}

#[tokio::test]
async fn changes_of_rows_without_a_tenancy_are_numbered_and_hold_nobody_up() {
    let fixture = Fixture::new().await;
    fixture.users(uuid::Uuid::from_u128(99), 0, 5).await;
    // Found by a place where there has never been a tenancy: nobody can show it.
    fixture
        .execute(
            r#"INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "data", "expiresAt", "updatedAt")
            VALUES ('nowhere', 'main', gen_random_uuid(), 'TEAM_INVITATION', 'c', '{}', now(), now())"#,
        )
        .await;
    assert_eq!(drain(&mut fixture.numbering()).await.changes, 5);
    assert_eq!(fixture.unseen().await, 0);
    fixture.remove().await;
}
