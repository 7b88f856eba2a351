//! FAIR-1: nobody waits for a huge tenant.

use uuid::Uuid;

use super::fixture::{Fixture, drain};

#[tokio::test]
async fn fair_1_a_huge_tenant_does_not_starve_others() {
    let fixture = Fixture::new().await;
    // Its id sorts first: the index has its rows before all others.
    let huge = fixture.tenancy(1).await;
    fixture.users(huge, 0, 30_000).await;
    let mut small = Vec::new();
    for number in 2..40 {
        let tenancy = fixture.tenancy(number).await;
        fixture.users(tenancy, i64::try_from(number).unwrap() * 100_000, 3).await;
        small.push(tenancy);
    }
    // The touches of the new tenancies stamp rows too: this is about flagged rows alone.
    fixture.execute("DELETE FROM lockstep.touch").await;
    let mut stamper = fixture.stamper();
    for _ in 0..2 {
        assert!(stamper.poll().await.unwrap().more);
    }
    assert!(fixture.flagged_users(huge).await > 20_000, "the huge tenant was stamped at once");
    for tenancy in &small {
        assert_eq!(fixture.flagged_users(*tenancy).await, 0, "a small tenant still waits");
        assert_eq!(fixture.outbox(*tenancy).await, Some(vec!["users".to_owned()]));
    }
    let left = drain(&mut stamper).await.stamped_rows;
    assert!(left > 20_000);
    assert_eq!(fixture.number(r#"SELECT count(*) FROM "ProjectUser" WHERE "shouldUpdateSequenceId""#).await, 0);
    fixture.remove().await;
}

#[tokio::test]
async fn fair_1_holds_for_tombstones_and_for_rows_found_by_project_and_branch() {
    let fixture = Fixture::new().await;
    let (huge, small) = (fixture.tenancy(1).await, fixture.tenancy(2).await);
    for (tenancy, number, count) in [(huge, 1, 9_000), (small, 2, 1)] {
        invitations(&fixture, number, count).await;
        fixture
            .execute(&format!(
                r#"INSERT INTO "DeletedRow" ("id", "tenancyId", "tableName", "primaryKey")
                SELECT gen_random_uuid(), '{tenancy}', 'Team', jsonb_build_object('tenancyId', '{tenancy}', 'teamId', gen_random_uuid())
                FROM generate_series(1, {count})"#
            ))
            .await;
    }
    fixture.execute("DELETE FROM lockstep.touch").await;
    let mut stamper = fixture.stamper();
    for _ in 0..2 {
        stamper.poll().await.unwrap();
    }
    let mut news = fixture.outbox(small).await.unwrap();
    news.sort();
    assert_eq!(news, ["team_invitations", "teams"]);
    assert!(drain(&mut stamper).await.stamped_rows > 5_000, "the huge tenant was stamped at once");
    fixture.remove().await;
}

async fn invitations(fixture: &Fixture, project: u32, count: u32) {
    fixture
        .execute(&format!(
            r#"INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "data", "expiresAt", "updatedAt")
            SELECT 'p{project}', 'main', gen_random_uuid(), 'TEAM_INVITATION', 'code' || n, '{{}}', now(), now()
            FROM generate_series(1, {count}) n"#
        ))
        .await;
}

#[tokio::test]
async fn rows_without_a_tenancy_are_stamped_and_not_announced() {
    let fixture = Fixture::new().await;
    fixture.users(Uuid::from_u128(99), 0, 5).await;
    let report = drain(&mut fixture.stamper()).await;
    assert_eq!((report.stamped_rows, report.announced_tenancies), (5, 0));
    fixture.remove().await;
}
