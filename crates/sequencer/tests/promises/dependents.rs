//! CAP-3: rows that change because others did get a number too.

use uuid::Uuid;

use super::fixture::{Fixture, drain, user_id};

const TEAM: Uuid = Uuid::from_u128(0x7ea4);

async fn team(fixture: &Fixture, tenancy: Uuid) {
    fixture
        .execute(&format!(
            r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
            VALUES ('{tenancy}', '{TEAM}', 'p1', 'main', 'old', now())"#
        ))
        .await;
}

fn invitations(first: i64, count: i64) -> String {
    format!(
        r#"INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "data", "expiresAt", "updatedAt")
        SELECT 'p1', 'main', md5(n::text)::uuid, 'TEAM_INVITATION', 'code' || n, jsonb_build_object('team_id', '{TEAM}'), now(), now()
        FROM generate_series({first}, {first} + {count} - 1) n"#
    )
}

async fn lowest_invitation(fixture: &Fixture) -> i64 {
    fixture.number(r#"SELECT min("sequenceId") FROM "VerificationCode""#).await
}

async fn head(fixture: &Fixture) -> i64 {
    fixture.number("SELECT last_sequence FROM lockstep.sequence_head").await
}

async fn touches(fixture: &Fixture) -> i64 {
    fixture.number("SELECT count(*) FROM lockstep.touch").await
}

#[tokio::test]
async fn cap_3_a_user_follows_its_primary_email() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 2).await;
    let mut stamper = fixture.stamper();
    let changes = [
        r#"INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt") VALUES ('{tenancy}', '{user}', '{user}', 'EMAIL', 'TRUE', false, 'a@b', now())"#,
        r#"UPDATE "ContactChannel" SET "value" = 'c@d'"#,
        r#"UPDATE "ContactChannel" SET "isVerified" = true"#,
        r#"DELETE FROM "ContactChannel""#,
    ];
    for change in changes {
        drain(&mut stamper).await;
        fixture.execute("TRUNCATE lockstep.outbox").await;
        let (before, other) = (fixture.user_sequence(tenancy, 0).await, fixture.user_sequence(tenancy, 1).await);
        let user = user_id(0).to_string();
        fixture.execute(&change.replace("{tenancy}", &tenancy.to_string()).replace("{user}", &user)).await;
        drain(&mut stamper).await;
        assert!(fixture.user_sequence(tenancy, 0).await > before, "after {change}");
        assert_eq!(fixture.user_sequence(tenancy, 1).await, other, "another user has nothing to do with it");
        let mut news = fixture.outbox(tenancy).await.unwrap();
        news.sort();
        assert_eq!(news, ["contact_channels", "users"]);
        assert_eq!(touches(&fixture).await, 0);
    }
    fixture.remove().await;
}

#[tokio::test]
async fn cap_3_a_team_with_many_invitations_is_renamed() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    team(&fixture, tenancy).await;
    fixture.execute(&invitations(0, 2_500)).await;
    let mut stamper = fixture.stamper();
    drain(&mut stamper).await;
    let before = head(&fixture).await;
    fixture.execute(r#"UPDATE "Team" SET "displayName" = 'new'"#).await;
    let report = stamper.poll().await.unwrap();
    assert!(report.more && report.finished_touches == 0, "one pass is too short for all of them: {report:?}");
    let report = drain(&mut stamper).await;
    assert_eq!(report.finished_touches, 1);
    assert!(lowest_invitation(&fixture).await > before);
    assert_eq!(touches(&fixture).await, 0);
    fixture.remove().await;
}

#[tokio::test]
async fn cap_3_an_invitation_at_the_same_moment_as_the_rename() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    team(&fixture, tenancy).await;
    let mut stamper = fixture.stamper();
    drain(&mut stamper).await;
    let (inviting, renaming) = (fixture.database.connect().await.unwrap(), fixture.database.connect().await.unwrap());
    let rename = r#"BEGIN; UPDATE "Team" SET "displayName" = 'new'"#;
    let invite = format!("BEGIN; {}", invitations(0, 1));
    // The name under which a worker would read the invitation at the moment, were it stamped.
    let name = r#"SELECT t."displayName" FROM "Team" t"#;

    // The invitation commits last: the rename did not see it, nor did the touch.
    inviting.batch_execute(&invite).await.unwrap();
    renaming.batch_execute(&format!("{rename}; COMMIT")).await.unwrap();
    drain(&mut stamper).await;
    assert_eq!(touches(&fixture).await, 0);
    let before = head(&fixture).await;
    inviting.batch_execute("COMMIT").await.unwrap();
    drain(&mut stamper).await;
    assert!(lowest_invitation(&fixture).await > before);
    assert_eq!(fixture.client.query_one(name, &[]).await.unwrap().get::<_, &str>(0), "new");

    // The rename commits last: the invitation was stamped with the old name.
    fixture.execute(r#"DELETE FROM "VerificationCode""#).await;
    renaming.batch_execute(rename).await.unwrap();
    inviting.batch_execute(&format!("{invite}; COMMIT")).await.unwrap();
    drain(&mut stamper).await;
    let before = lowest_invitation(&fixture).await;
    assert!(before > 0);
    renaming.batch_execute(r#"UPDATE "Team" SET "displayName" = 'newer'; COMMIT"#).await.unwrap();
    drain(&mut stamper).await;
    assert!(lowest_invitation(&fixture).await > before, "the invitation kept the number it had with the old name");
    fixture.remove().await;
}

#[tokio::test]
async fn cap_3_a_dependent_row_that_is_locked_keeps_its_touch_and_blocks_no_other() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1_500).await;
    let mut stamper = fixture.stamper();
    drain(&mut stamper).await;
    let other = fixture.database.connect().await.unwrap();
    other.batch_execute("BEGIN").await.unwrap();
    // More than a page of touches is stuck in front of the one that is not.
    let lock = r#"SELECT FROM "ProjectUser" WHERE "projectUserId" <> $1 FOR UPDATE"#;
    other.execute(lock, &[&user_id(7)]).await.unwrap();
    let touch = "INSERT INTO lockstep.touch (target, tenancy_id, match_key) SELECT 'users.channel', $1, \"projectUserId\"::text FROM \"ProjectUser\" ORDER BY \"projectUserId\" = $2";
    fixture.client.execute(touch, &[&tenancy, &user_id(7)]).await.unwrap();
    let before = fixture.user_sequence(tenancy, 7).await;
    for _ in 0..3 {
        stamper.poll().await.unwrap();
    }
    assert!(fixture.user_sequence(tenancy, 7).await > before);
    assert_eq!(touches(&fixture).await, 1_499);
    other.batch_execute("COMMIT").await.unwrap();
    let report = drain(&mut stamper).await;
    assert_eq!((report.stamped_rows, report.finished_touches), (1_499, 1_499));
    fixture.remove().await;
}

#[tokio::test]
async fn cap_3_all_rows_follow_a_tenancy_that_moves_and_its_end_is_announced() {
    let fixture = Fixture::new().await;
    let (tenancy, bystander) = (fixture.tenancy(1).await, fixture.tenancy(2).await);
    fixture.users(tenancy, 0, 1_200).await;
    fixture.users(bystander, 5_000, 1).await;
    team(&fixture, tenancy).await;
    fixture.execute(&invitations(0, 3)).await;
    let mut stamper = fixture.stamper();
    drain(&mut stamper).await;
    fixture.execute("TRUNCATE lockstep.outbox").await;
    let before = head(&fixture).await;
    fixture.execute(&format!(r#"UPDATE "Tenancy" SET "branchId" = 'other' WHERE "id" = '{tenancy}'"#)).await;
    drain(&mut stamper).await;
    let lowest = r#"SELECT least((SELECT min("sequenceId") FROM "ProjectUser" WHERE "tenancyId" = $1), (SELECT "sequenceId" FROM "Team"))"#;
    assert!(fixture.number_of(lowest, &[&tenancy]).await > before);
    assert!(lowest_invitation(&fixture).await <= before, "invitations stay with their project and branch");
    assert_eq!(fixture.outbox(tenancy).await, Some(vec![]), "any mapping may have news");
    assert_eq!(fixture.outbox(bystander).await, None);

    fixture.execute("TRUNCATE lockstep.outbox").await;
    fixture.execute(&format!(r#"DELETE FROM "Tenancy" WHERE "id" = '{tenancy}'"#)).await;
    drain(&mut stamper).await;
    assert_eq!(fixture.outbox(tenancy).await, Some(vec![]), "a tenancy that is gone is announced too");
    assert_eq!(touches(&fixture).await, 0);
    fixture.remove().await;
}
