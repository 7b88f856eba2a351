//! CAP-1 while the platform's migrations go on: its writes never fail because of us, and what may have been missed is filled
//! again.

use super::fixture::{Fixture, drain, user_id};

async fn lines(fixture: &Fixture, target: &str) -> i64 {
    let sql = "SELECT count(*) FROM lockstep.inbox i JOIN lockstep.target t ON t.id = i.target WHERE t.name = $1";
    fixture.number_of(sql, &[&target]).await
}

async fn refills(fixture: &Fixture) -> Vec<String> {
    let rows = fixture.client.query("SELECT mapping_name FROM lockstep.refill ORDER BY 1", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn cap_1_a_column_that_is_renamed_fails_no_write_and_has_the_mapping_filled_again() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 3).await;
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    fixture.execute(r#"ALTER TABLE "ProjectUser" RENAME COLUMN "projectUserId" TO "userId""#).await;
    assert_eq!(lines(&fixture, "catalog!").await, 1);
    assert!(drain(&mut numbering).await.watch, "the catalog is looked at");
    for write in [
        r#"UPDATE "ProjectUser" SET "displayName" = 'new'"#.to_owned(),
        format!(r#"DELETE FROM "ProjectUser" WHERE "userId" = '{}'"#, user_id(0)),
        r#"TRUNCATE "ProjectUser" CASCADE"#.to_owned(),
    ] {
        let before = lines(&fixture, "users!").await;
        fixture.execute(&write).await;
        assert!(lines(&fixture, "users!").await > before, "{write}");
    }
    assert!(drain(&mut numbering).await.watch);
    assert_eq!(refills(&fixture).await, ["users"]);
    fixture.remove().await;
}

#[tokio::test]
async fn cap_1_a_join_s_column_that_is_renamed_fails_no_write_either() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    fixture.execute(r#"ALTER TABLE "ContactChannel" RENAME COLUMN "projectUserId" TO "userId""#).await;
    let channel = r#"INSERT INTO "ContactChannel" ("tenancyId", "userId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt") VALUES ($1, $2, $2, 'EMAIL', 'TRUE', false, 'a@b', now())"#;
    fixture.client.execute(channel, &[&tenancy, &user_id(0)]).await.unwrap();
    fixture.execute(r#"ALTER TYPE "ContactChannelType" RENAME VALUE 'EMAIL' TO 'MAIL'"#).await;
    fixture.execute(r#"UPDATE "ContactChannel" SET "value" = 'c@d'; DELETE FROM "ContactChannel""#).await;
    drain(&mut fixture.numbering()).await;
    assert_eq!(refills(&fixture).await, ["contact_channels", "users"]);
    fixture.remove().await;
}

#[tokio::test]
async fn cap_1_a_mapping_that_no_longer_fits_is_stopped_alone_and_filled_again_when_it_fits() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let sequencer = fixture.run();
    let fills = "(SELECT floor FROM lockstep.fill WHERE mapping_name = 'teams')";
    let before = fixture.number(&format!("SELECT {fills}")).await;
    fixture.execute(r#"ALTER TABLE "Team" RENAME COLUMN "displayName" TO "title""#).await;
    let stopped = "SELECT count(*) = 2 FROM lockstep.pause WHERE kind = 'mapping' AND automatic AND name IN ('teams', 'team_invitations') AND reason LIKE 'LS-0508: %displayName%'";
    fixture.until("the mappings to be stopped", stopped).await;
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.pause").await, 2, "others go on");
    fixture.users(tenancy, 0, 1).await;
    let numbered = "SELECT EXISTS (SELECT FROM lockstep.change c JOIN lockstep.target t ON t.id = c.mapping WHERE t.name = 'users')";
    fixture.until("a user to be numbered", numbered).await;
    fixture.execute(r#"ALTER TABLE "Team" RENAME COLUMN "title" TO "displayName""#).await;
    fixture.until("the mappings to go on", "SELECT NOT EXISTS (SELECT FROM lockstep.pause)").await;
    fixture.until("the mapping to be filled again", &format!("SELECT {fills} > {before}")).await;
    sequencer.stop().await;
    fixture.remove().await;
}

#[tokio::test]
async fn cap_1_a_table_that_was_rewritten_is_filled_again() {
    let fixture = Fixture::new().await;
    let sequencer = fixture.run();
    let fill = |mapping: &str| format!("(SELECT floor FROM lockstep.fill WHERE mapping_name = '{mapping}')");
    let before = fixture.number(&format!("SELECT {}", fill("teams"))).await;
    let others = fixture.number(&format!("SELECT {}", fill("users"))).await;
    fixture.execute(r#"ALTER TABLE "Team" ADD COLUMN "volatile" uuid DEFAULT gen_random_uuid()"#).await;
    fixture.until("the mapping to be filled again", &format!("SELECT {} > {before}", fill("teams"))).await;
    assert_eq!(fixture.number(&format!("SELECT {}", fill("users"))).await, others);
    sequencer.stop().await;
    fixture.remove().await;
}

#[tokio::test]
async fn cap_1_a_trigger_that_may_change_rows_on_the_way_is_noticed_and_the_mapping_filled_again() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    let sequencer = fixture.run();
    let fill = "(SELECT floor FROM lockstep.fill WHERE mapping_name = 'users')";
    let before = fixture.number(&format!("SELECT {fill}")).await;
    fixture
        .execute(
            r#"CREATE FUNCTION zzz() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW."displayName" := ''by a trigger''; RETURN NEW; END';
            CREATE TRIGGER zzz BEFORE UPDATE ON "ProjectUser" FOR EACH ROW EXECUTE FUNCTION zzz()"#,
        )
        .await;
    fixture.until("the mapping to be filled again", &format!("SELECT {fill} > {before}")).await;
    sequencer.stop().await;
    let lines_before = lines(&fixture, "users").await;
    fixture.execute(r#"UPDATE "ProjectUser" SET "lastActiveAt" = now()"#).await;
    assert_eq!(lines(&fixture, "users").await, lines_before + 1, "no statement named what changed");
    fixture.remove().await;
}

#[tokio::test]
async fn cap_1_a_relaxed_table_can_be_altered_and_misses_nothing() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 3).await;
    let retype = r#"ALTER TABLE "ProjectUser" ALTER COLUMN "displayName" TYPE varchar(100) USING upper("displayName")"#;
    let refused = fixture.client.batch_execute(retype).await.unwrap_err();
    assert!(refused.as_db_error().unwrap().message().contains("used in a trigger definition"), "{refused:?}");
    fixture.migrate_relaxing(&["ProjectUser"]).await;
    fixture.execute(retype).await;
    let before = lines(&fixture, "users").await;
    fixture.execute(r#"UPDATE "ProjectUser" SET "lastActiveAt" = now()"#).await;
    assert_eq!(lines(&fixture, "users").await, before + 3, "every update is written down");
    // Tightened again, and filled again: the column is another.
    let floor = "SELECT floor FROM lockstep.fill WHERE mapping_name = 'users'";
    let filled = fixture.number(floor).await;
    fixture.migrate().await;
    assert!(fixture.number(floor).await > filled);
    fixture.execute(r#"UPDATE "ProjectUser" SET "lastActiveAt" = now()"#).await;
    assert_eq!(lines(&fixture, "users").await, before + 3);
    fixture.execute(r#"UPDATE "ProjectUser" SET "displayName" = 'new'"#).await;
    assert_eq!(lines(&fixture, "users").await, before + 6);
    fixture.remove().await;
}
