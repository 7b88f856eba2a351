//! FAIR-1: a table that cannot be stamped does not stop the others.

use lockstep_testkit::databases::eventually;

use super::fixture::{Fixture, SOON, drain};

#[tokio::test]
async fn fair_1_a_table_that_is_gone_does_not_stop_the_others() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut stamper = fixture.stamper();
    stamper.poll().await.unwrap();
    fixture.execute(r#"DROP TABLE "SessionReplay""#).await;
    fixture.users(tenancy, 0, 1).await;
    let stamped = async || {
        stamper.poll().await?;
        Ok(fixture.user_sequence(tenancy, 0).await > 0)
    };
    eventually("the user to be stamped", SOON, stamped).await.unwrap();
    fixture.remove().await;
}

#[tokio::test]
async fn fair_1_a_table_that_somebody_alters_does_not_stop_the_others() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut stamper = fixture.stamper();
    stamper.poll().await.unwrap();
    let other = fixture.database.connect().await.unwrap();
    for mode in ["ACCESS EXCLUSIVE", "SHARE"] {
        fixture.users(tenancy, 0, 1).await;
        team(&fixture).await;
        // ACCESS EXCLUSIVE stops even looking for flagged rows; SHARE lets us look and stops the stamping.
        other.batch_execute(&format!(r#"BEGIN; LOCK TABLE "Team" IN {mode} MODE"#)).await.unwrap();
        let stamped = async || {
            stamper.poll().await?;
            Ok(fixture.flagged_users(tenancy).await == 0)
        };
        eventually("the user to be stamped", SOON, stamped).await.unwrap();
        other.batch_execute("COMMIT").await.unwrap();
        let stamped = async || {
            stamper.poll().await?;
            Ok(fixture.number(r#"SELECT count(*) FROM "Team" WHERE "shouldUpdateSequenceId""#).await == 0)
        };
        eventually("the team to be stamped", SOON, stamped).await.unwrap();
        fixture.execute(r#"DELETE FROM "ProjectUser""#).await;
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

#[tokio::test]
async fn fair_1_touches_of_a_table_that_refuses_updates_do_not_stop_others() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    team(&fixture).await;
    let invitation = r#"INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "data", "expiresAt", "updatedAt")
        SELECT 'p1', 'main', "teamId", 'TEAM_INVITATION', 'c', jsonb_build_object('team_id', "teamId"), now(), now() FROM "Team""#;
    fixture.execute(invitation).await;
    let mut stamper = fixture.stamper();
    drain(&mut stamper).await;
    let refuse = r#"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
        CREATE TRIGGER refuse BEFORE UPDATE ON "VerificationCode" FOR EACH ROW EXECUTE FUNCTION refuse()"#;
    fixture.execute(refuse).await;
    fixture.execute(r#"UPDATE "Team" SET "displayName" = 'new'"#).await;
    fixture
        .execute("INSERT INTO lockstep.touch (target, tenancy_id) SELECT 'gone.join', \"id\" FROM \"Tenancy\"")
        .await;
    fixture.execute(r#"UPDATE "ProjectUser" SET "displayName" = 'new'"#).await;
    let stamped = async || {
        stamper.poll().await?;
        let left = fixture.number("SELECT count(*) FROM lockstep.touch").await;
        Ok(fixture.flagged_users(tenancy).await == 0 && left == 1)
    };
    eventually("everything else to be stamped", SOON, stamped).await.unwrap();
    let target = "SELECT count(*) FROM lockstep.touch WHERE target = 'team_invitations.team'";
    assert_eq!(fixture.number(target).await, 1, "the touch whose rows could not be stamped stays");
    fixture.execute(r#"DROP TRIGGER refuse ON "VerificationCode""#).await;
    let stamped = async || {
        stamper.poll().await?;
        Ok(fixture.number(target).await == 0)
    };
    eventually("the invitation to be stamped", SOON, stamped).await.unwrap();
    fixture.remove().await;
}
