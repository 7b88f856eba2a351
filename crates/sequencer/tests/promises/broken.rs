//! FAIR-1: a table that cannot be used does not stop the others.

use super::fixture::{EXPANDED, Fixture, drain};

#[tokio::test]
async fn fair_1_a_table_that_is_gone_does_not_stop_the_others() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    fixture.execute(r#"DROP TABLE "SessionReplay""#).await;
    fixture.users(tenancy, 0, 1).await;
    assert_eq!(drain(&mut numbering).await.changes, 1);
    // Nor one that has just begun.
    fixture.users(tenancy, 1, 1).await;
    assert_eq!(drain(&mut fixture.numbering()).await.changes, 1);
    fixture.remove().await;
}

#[tokio::test]
async fn fair_1_a_table_that_somebody_alters_does_not_stop_anybody() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    team(&fixture).await;
    let other = fixture.database.connect().await.unwrap();
    for (mode, round) in [("ACCESS EXCLUSIVE", 0), ("SHARE", 1)] {
        fixture.users(tenancy, round, 1).await;
        other.batch_execute(&format!(r#"BEGIN; LOCK TABLE "Team" IN {mode} MODE"#)).await.unwrap();
        drain(&mut numbering).await;
        assert!(fixture.user_sequence(tenancy, round).await > 0);
        other.batch_execute("COMMIT").await.unwrap();
    }
    fixture.remove().await;
}

async fn team(fixture: &Fixture) {
    fixture
        .execute(
            r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
            SELECT "id", gen_random_uuid(), "projectId", 'main', 'T', now() FROM "Tenancy""#,
        )
        .await;
}

/// A search whose table does not fit is given up for a fill; the others are made.
#[tokio::test]
async fn fair_1_a_search_that_fails_does_not_stop_others_and_has_its_mapping_filled_again() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    team(&fixture).await;
    drain(&mut fixture.numbering()).await;
    fixture.execute(r#"ALTER TABLE "VerificationCode" DROP COLUMN "data" CASCADE"#).await;
    fixture.execute(r#"UPDATE "Team" SET "displayName" = 'new'; UPDATE "Tenancy" SET "branchId" = 'other'"#).await;
    let before = fixture.head().await;
    let sequencer = fixture.run();
    fixture.until("the user to follow", &format!("SELECT EXISTS (SELECT FROM lockstep.change WHERE sequence > {before} AND uuid_1 = '00000000-0000-0000-0000-000000000001')")).await;
    fixture.until("expansions to be gone", EXPANDED).await;
    fixture
        .until(
            "the mapping to be stopped",
            "SELECT EXISTS (SELECT FROM lockstep.pause WHERE name = 'team_invitations')",
        )
        .await;
    fixture
        .until(
            "a fill to be asked for",
            "SELECT EXISTS (SELECT FROM lockstep.refill WHERE mapping_name = 'team_invitations')",
        )
        .await;
    sequencer.stop().await;
    fixture.remove().await;
}
