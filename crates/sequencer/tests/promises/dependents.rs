//! CAP-3: rows that change because others did get a number too.

use uuid::Uuid;

use super::fixture::{EXPANDED, Fixture, drain, user_id};

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

/// How many rows of a mapping have a number above this one, for a tenancy.
async fn above(fixture: &Fixture, mapping: &str, tenancy: Uuid, after: i64) -> i64 {
    let sql = "SELECT count(DISTINCT (c.uuid_1, c.text_1)) FROM lockstep.change c JOIN lockstep.target t ON t.id = c.mapping WHERE t.name = $1 AND c.tenancy_id = $2 AND c.sequence > $3";
    fixture.number_of(sql, &[&mapping, &tenancy, &after]).await
}

/// Numbers everything, with what has to be searched.
async fn number_all(fixture: &Fixture) -> i64 {
    drain(&mut fixture.numbering()).await;
    fixture.expand().await;
    drain(&mut fixture.numbering()).await;
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.expansion").await, 0);
    fixture.head().await
}

#[tokio::test]
async fn cap_3_a_user_follows_its_primary_email() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 2).await;
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    let changes = [
        r#"INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt") VALUES ('{tenancy}', '{user}', '{user}', 'EMAIL', 'TRUE', false, 'a@b', now())"#,
        r#"UPDATE "ContactChannel" SET "value" = 'c@d'"#,
        r#"UPDATE "ContactChannel" SET "isVerified" = true"#,
        r#"UPDATE "ContactChannel" SET "isPrimary" = NULL"#,
        r#"UPDATE "ContactChannel" SET "isPrimary" = 'TRUE'"#,
        r#"DELETE FROM "ContactChannel""#,
    ];
    for change in changes {
        let before = fixture.head().await;
        let user = user_id(0).to_string();
        fixture.execute(&change.replace("{tenancy}", &tenancy.to_string()).replace("{user}", &user)).await;
        // The match key is the user's own key: nothing has to be searched.
        assert_eq!(drain(&mut numbering).await.expansions, 0, "after {change}");
        let expected = [("contact_channels".to_owned(), format!("{user} {user}")), ("users".to_owned(), user)];
        assert_eq!(fixture.changes_after(before).await, expected, "after {change}");
    }
    fixture.remove().await;
}

#[tokio::test]
async fn cap_3_a_team_with_many_invitations_is_renamed() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    team(&fixture, tenancy).await;
    fixture.execute(&invitations(0, 2_500)).await;
    let before = number_all(&fixture).await;
    fixture.execute(r#"UPDATE "Team" SET "displayName" = 'new'"#).await;
    let report = drain(&mut fixture.numbering()).await;
    assert_eq!((report.changes, report.expansions), (1, 1));
    number_all(&fixture).await;
    assert_eq!(above(&fixture, "team_invitations", tenancy, before).await, 2_500);
    // A column that no invitation shows.
    let before = fixture.head().await;
    fixture.execute(r#"UPDATE "Team" SET "profileImageUrl" = 'new'"#).await;
    assert_eq!(drain(&mut fixture.numbering()).await.expansions, 0);
    assert_eq!(fixture.changes_after(before).await.len(), 1);
    fixture.remove().await;
}

#[tokio::test]
async fn cap_3_an_invitation_at_the_same_moment_as_the_rename() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    team(&fixture, tenancy).await;
    number_all(&fixture).await;
    let (inviting, renaming) = (fixture.database.connect().await.unwrap(), fixture.database.connect().await.unwrap());
    let rename = r#"BEGIN; UPDATE "Team" SET "displayName" = 'new'"#;
    let invite = format!("BEGIN; {}", invitations(0, 1));

    // The invitation commits last: neither the rename nor the search saw it. It has a number of its own, and whoever reads
    // it then reads the new name.
    inviting.batch_execute(&invite).await.unwrap();
    renaming.batch_execute(&format!("{rename}; COMMIT")).await.unwrap();
    let before = number_all(&fixture).await;
    assert_eq!(above(&fixture, "team_invitations", tenancy, 0).await, 0);
    inviting.batch_execute("COMMIT").await.unwrap();
    number_all(&fixture).await;
    assert_eq!(above(&fixture, "team_invitations", tenancy, before).await, 1);

    // The rename commits last: the invitation was read with the old name.
    fixture.execute(r#"DELETE FROM "VerificationCode""#).await;
    renaming.batch_execute(rename).await.unwrap();
    inviting.batch_execute(&format!("{invite}; COMMIT")).await.unwrap();
    let before = number_all(&fixture).await;
    renaming.batch_execute(r#"UPDATE "Team" SET "displayName" = 'newer'; COMMIT"#).await.unwrap();
    number_all(&fixture).await;
    assert_eq!(
        above(&fixture, "team_invitations", tenancy, before).await,
        1,
        "it kept the number it had with the old name"
    );
    fixture.remove().await;
}

/// Rows are searched with a plain read: whoever holds them does not matter.
#[tokio::test]
async fn cap_3_dependent_rows_that_are_locked_are_found_all_the_same() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    team(&fixture, tenancy).await;
    fixture.execute(&invitations(0, 3)).await;
    let before = number_all(&fixture).await;
    let other = fixture.database.connect().await.unwrap();
    other
        .batch_execute(
            r#"BEGIN; UPDATE "VerificationCode" SET "attemptCount" = 1; SELECT FROM "VerificationCode" FOR UPDATE"#,
        )
        .await
        .unwrap();
    fixture.execute(r#"UPDATE "Team" SET "displayName" = 'new'"#).await;
    number_all(&fixture).await;
    assert_eq!(above(&fixture, "team_invitations", tenancy, before).await, 3);
    other.batch_execute("ROLLBACK").await.unwrap();
    fixture.remove().await;
}

#[tokio::test]
async fn cap_3_all_rows_follow_a_tenancy_that_moves_and_that_goes() {
    let fixture = Fixture::new().await;
    let (tenancy, bystander) = (fixture.tenancy(1).await, fixture.tenancy(2).await);
    fixture.users(tenancy, 0, 1_200).await;
    fixture.users(bystander, 5_000, 1).await;
    team(&fixture, tenancy).await;
    fixture.execute(&invitations(0, 3)).await;
    let before = number_all(&fixture).await;
    fixture.execute(&format!(r#"UPDATE "Tenancy" SET "branchId" = 'other' WHERE "id" = '{tenancy}'"#)).await;
    let moved = number_all(&fixture).await;
    for (mapping, count) in [("users", 1_200), ("teams", 1), ("team_invitations", 3)] {
        // Invitations stay with their project and branch: there they must vanish.
        assert_eq!(above(&fixture, mapping, tenancy, before).await, count, "{mapping}");
    }
    assert_eq!(above(&fixture, "users", bystander, before).await, 0);
    let places = "SELECT string_agg(branch_id, ' ' ORDER BY branch_id) FROM lockstep.tenancy_location WHERE tenancy_id = $1 AND gone_at IS NULL";
    let places: String = fixture.client.query_one(places, &[&tenancy]).await.unwrap().get(0);
    assert_eq!(places, "main other");

    fixture.execute(&format!(r#"DELETE FROM "Tenancy" WHERE "id" = '{tenancy}'"#)).await;
    number_all(&fixture).await;
    assert_eq!(above(&fixture, "users", tenancy, moved).await, 1_200, "users do not go with it");
    let gone = "SELECT count(*) FROM lockstep.tenancy_location WHERE tenancy_id = $1 AND gone_at IS NOT NULL";
    assert_eq!(fixture.number_of(gone, &[&tenancy]).await, 2);
    // It comes back.
    let again = format!(
        r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES ('{tenancy}', 'p1', 'main', 'TRUE', now())"#
    );
    fixture.execute(&again).await;
    number_all(&fixture).await;
    assert_eq!(fixture.number_of(gone, &[&tenancy]).await, 0);
    fixture.remove().await;
}

#[tokio::test]
async fn rows_that_come_or_change_with_their_tenancy_get_one_number_each() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 100).await;
    let numbers = "SELECT count(*) FROM lockstep.change c JOIN lockstep.target t ON t.id = c.mapping WHERE t.name = 'users' AND c.sequence > $1";
    let before = number_all(&fixture).await;
    assert_eq!(fixture.number_of(numbers, &[&0_i64]).await, 100);
    fixture
        .execute(&format!(
            r#"BEGIN; UPDATE "Tenancy" SET "branchId" = 'other' WHERE "id" = '{tenancy}';
            UPDATE "ProjectUser" SET "displayName" = 'moved' WHERE "projectUserId" = ANY(ARRAY['{}', '{}']::uuid[]); COMMIT"#,
            user_id(1),
            user_id(2)
        ))
        .await;
    number_all(&fixture).await;
    assert_eq!(above(&fixture, "users", tenancy, before).await, 100, "all of them follow");
    assert_eq!(fixture.number_of(numbers, &[&before]).await, 100, "none twice");
    fixture.remove().await;
}

#[tokio::test]
async fn rows_of_very_many_tenancies_that_come_in_large_transactions_get_one_number_each() {
    const TENANCIES: i64 = 25_000;
    let fixture = Fixture::new().await;
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    let tenancies = r#"INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES ('p', 'P', false, now());
        INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
        SELECT md5(n::text)::uuid, 'p', 'branch ' || n, 'TRUE', now() FROM generate_series(1, {tenancies}) n"#;
    fixture.execute(&tenancies.replace("{tenancies}", &TENANCIES.to_string())).await;
    assert!(numbering.poll().await.unwrap().more, "they are taken in shares");
    assert!(numbering.poll().await.unwrap().expansions > 0, "some of them have been noted");
    let users = r#"INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "lastActiveAt", "signedUpAt", "updatedAt")
        SELECT "id", "id", "projectId", "branchId", now(), now(), now() FROM "Tenancy""#;
    fixture.execute(users).await;
    fixture.expand().await;
    let numbers =
        "SELECT count(*) FROM lockstep.change c JOIN lockstep.target t ON t.id = c.mapping WHERE t.name = 'users'";
    assert_eq!(fixture.number(numbers).await, TENANCIES);
    fixture.remove().await;
}

#[tokio::test]
async fn cap_3_invitations_follow_when_another_tenancy_has_no_organisation() {
    let fixture = Fixture::new().await;
    let first = fixture.tenancy(1).await;
    let second = Uuid::from_u128(2);
    fixture.execute(&format!(r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "organizationId", "updatedAt") VALUES ('{second}', 'p1', 'main', '{second}', now())"#)).await;
    fixture.execute(&invitations(0, 3)).await;
    let before = number_all(&fixture).await;
    assert_eq!(above(&fixture, "team_invitations", first, 0).await, 3);
    fixture.execute(&format!(r#"BEGIN; UPDATE "Tenancy" SET "hasNoOrganization" = NULL WHERE "id" = '{first}'; UPDATE "Tenancy" SET "hasNoOrganization" = 'TRUE' WHERE "id" = '{second}'; COMMIT"#)).await;
    number_all(&fixture).await;
    for tenancy in [first, second] {
        assert_eq!(above(&fixture, "team_invitations", tenancy, before).await, 3, "{tenancy}");
    }
    // From now on they are the second's.
    let before = fixture.head().await;
    fixture.execute(r#"UPDATE "VerificationCode" SET "expiresAt" = now() + interval '1 day'"#).await;
    number_all(&fixture).await;
    assert_eq!(
        (
            above(&fixture, "team_invitations", first, before).await,
            above(&fixture, "team_invitations", second, before).await
        ),
        (0, 3)
    );
    fixture.remove().await;
}

#[tokio::test]
async fn cap_3_all_rows_of_a_tenancy_or_of_all_can_be_asked_for() {
    let fixture = Fixture::new().await;
    let (tenancy, other) = (fixture.tenancy(1).await, fixture.tenancy(2).await);
    fixture.users(tenancy, 0, 5).await;
    fixture.users(other, 10, 5).await;
    let before = number_all(&fixture).await;
    fixture.execute(&format!("SELECT lockstep.touch('ProjectUser', '{tenancy}')")).await;
    let touched = number_all(&fixture).await;
    assert_eq!(
        (above(&fixture, "users", tenancy, before).await, above(&fixture, "users", other, before).await),
        (5, 0)
    );
    // What transactions from one on have written, whatever it was.
    let since = fixture.number("SELECT txid_current()").await;
    fixture
        .execute(&format!(
            r#"UPDATE "ProjectUser" SET "lastActiveAt" = now() WHERE "projectUserId" = '{}'"#,
            user_id(12)
        ))
        .await;
    fixture.execute(&format!("INSERT INTO lockstep.expansion (target, since) SELECT id, {since} FROM lockstep.target WHERE name = 'users.*'")).await;
    number_all(&fixture).await;
    assert_eq!(fixture.changes_after(touched).await, [("users".to_owned(), user_id(12).to_string())]);
    fixture.until("everything to be searched", EXPANDED).await;
    fixture.remove().await;
}
