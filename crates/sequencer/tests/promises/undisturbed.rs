//! APP-1: what the application does with its rows does not matter to a pass, and a pass not to the application.

use super::fixture::{Fixture, drain, user_id};

/// The platform's former sync, as it works: flags in a trigger, numbers in its own rounds, tombstones that it deletes.
const FORMER_SYNC: &str = r#"
CREATE SEQUENCE global_seq_id INCREMENT BY 11;
ALTER TABLE "ProjectUser" ADD COLUMN "sequenceId" bigint UNIQUE, ADD COLUMN "shouldUpdateSequenceId" boolean NOT NULL DEFAULT TRUE;
CREATE TABLE "DeletedRow" ("id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "tenancyId" uuid, "primaryKey" jsonb, "sequenceId" bigint);
CREATE FUNCTION former_flag() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN IF NEW."displayName" IS DISTINCT FROM OLD."displayName" THEN NEW."shouldUpdateSequenceId" := TRUE; END IF; RETURN NEW; END';
CREATE TRIGGER former_flag BEFORE UPDATE ON "ProjectUser" FOR EACH ROW EXECUTE FUNCTION former_flag();
CREATE FUNCTION former_tombstone() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO "DeletedRow" ("tenancyId", "primaryKey") VALUES (OLD."tenancyId", to_jsonb(OLD)); RETURN OLD; END';
CREATE TRIGGER former_tombstone BEFORE DELETE ON "ProjectUser" FOR EACH ROW EXECUTE FUNCTION former_tombstone();"#;

const FORMER_ROUND: &str = r#"
UPDATE "ProjectUser" SET "sequenceId" = nextval('global_seq_id'), "shouldUpdateSequenceId" = FALSE WHERE "shouldUpdateSequenceId";
DELETE FROM "DeletedRow";"#;

#[tokio::test]
async fn app_1_the_platform_s_former_sync_runs_beside_us_undisturbed() {
    let fixture = Fixture::new().await;
    fixture.execute(FORMER_SYNC).await;
    fixture.migrate().await;
    let tenancy = fixture.tenancy(1).await;
    let mut numbering = fixture.numbering();
    fixture.users(tenancy, 0, 20).await;
    assert_eq!(drain(&mut numbering).await.changes, 20);
    fixture.execute(FORMER_ROUND).await;
    assert_eq!(drain(&mut numbering).await.changes, 0, "its numbers and flags are no changes");
    let before = fixture.head().await;
    fixture.execute(r#"UPDATE "ProjectUser" SET "displayName" = 'new'"#).await;
    fixture.execute(FORMER_ROUND).await;
    fixture.execute(&format!(r#"DELETE FROM "ProjectUser" WHERE "projectUserId" = '{}'"#, user_id(3))).await;
    fixture.execute(FORMER_ROUND).await;
    drain(&mut numbering).await;
    assert_eq!(fixture.changes_after(before).await.len(), 20, "each row once, the deleted one too");
    let stamped = r#"SELECT count(*) FROM "ProjectUser" WHERE NOT "shouldUpdateSequenceId" AND "sequenceId" > 0"#;
    assert_eq!(fixture.number(stamped).await, 19, "nothing of it was touched");
    fixture.remove().await;
}

#[tokio::test]
async fn app_1_rows_that_are_locked_have_their_numbers_all_the_same() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 5).await;
    let other = fixture.database.connect().await.unwrap();
    other
        .batch_execute(
            r#"BEGIN; SELECT FROM "ProjectUser" FOR UPDATE; LOCK TABLE "ProjectUser" IN ACCESS EXCLUSIVE MODE"#,
        )
        .await
        .unwrap();
    assert_eq!(drain(&mut fixture.numbering()).await.changes, 5);
    other.batch_execute("COMMIT").await.unwrap();
    fixture.remove().await;
}

#[tokio::test]
async fn app_1_rows_that_refuse_updates_have_their_numbers_all_the_same() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture
        .execute(
            r#"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''immutable''; END';
            CREATE TRIGGER refuse BEFORE UPDATE ON "ProjectUser" FOR EACH ROW EXECUTE FUNCTION refuse();
            ALTER TABLE "ProjectUser" ADD CONSTRAINT never CHECK ("displayName" IS NOT NULL) NOT VALID"#,
        )
        .await;
    let insert = r#"INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "displayName", "mirroredProjectId", "mirroredBranchId", "updatedAt") VALUES ($1, $2, 'n', 'p1', 'main', now())"#;
    fixture.client.execute(insert, &[&tenancy, &user_id(0)]).await.unwrap();
    assert_eq!(drain(&mut fixture.numbering()).await.changes, 1);
    fixture.remove().await;
}

/// A client that reads and then writes the same row fails with 40001 where somebody else wrote it in between: we never do.
#[tokio::test]
async fn app_1_a_client_at_repeatable_read_or_serializable_meets_nobody() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    let mut numbering = fixture.numbering();
    let client = fixture.database.connect().await.unwrap();
    client.batch_execute("SET lock_timeout = '2s'").await.unwrap();
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        for round in 0..10 {
            client
                .batch_execute(&format!(r#"BEGIN ISOLATION LEVEL {level}; SELECT "displayName" FROM "ProjectUser""#))
                .await
                .unwrap();
            numbering.poll().await.unwrap();
            let update = format!(r#"UPDATE "ProjectUser" SET "displayName" = '{level} {round}'"#);
            client.batch_execute(&update).await.unwrap();
            numbering.poll().await.unwrap();
            client.batch_execute("COMMIT").await.unwrap();
            assert_eq!(drain(&mut numbering).await.changes, 1);
        }
    }
    fixture.remove().await;
}

#[tokio::test]
async fn app_1_a_foreign_key_check_and_a_pass_do_not_wait_for_each_other() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    let other = fixture.database.connect().await.unwrap();
    other.batch_execute("BEGIN; SET LOCAL lock_timeout = '2s'").await.unwrap();
    let child = r#"INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isVerified", "value", "updatedAt") VALUES ($1, $2, gen_random_uuid(), 'EMAIL', true, 'a', now())"#;
    other.execute(child, &[&tenancy, &user_id(0)]).await.unwrap();
    let mut numbering = fixture.numbering();
    assert_eq!(drain(&mut numbering).await.changes, 1);
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(drain(&mut numbering).await.changes, 1);
    fixture.remove().await;
}
