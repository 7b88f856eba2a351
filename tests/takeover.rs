//! SEQ-1, SEQ-2: leadership that is lost in the middle of a pass; transactions of the application's that
//! commit late, or not at all.

use anyhow::{Context, Result, ensure};

use crate::seq_2::{LEADER, LEADING, leader};
use crate::stage::Stage;

/// Sessions that wait for the ordering lock, which is the bytes of `lockstep`.
const WAITING_FOR_THEIR_TURN: &str =
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = x'6c6f636b'::bigint AND objid::bigint = x'73746570'::bigint";
/// Sequencers that are in the middle of a pass, with its numbers, and do not get through.
const AT_THE_GATE: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND application_name LIKE 'lockstep sequencer %' AND wait_event = 'PgSleep'";
/// Holds up a pass for as long as the test pleases. A lock would end it too soon.
const GATE: &str = r#"
CREATE TABLE gate (open boolean NOT NULL);
INSERT INTO gate VALUES (FALSE);
CREATE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WHILE NOT (SELECT open FROM public.gate) LOOP
        PERFORM pg_sleep(0.05);
    END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER gate BEFORE INSERT ON lockstep.change FOR EACH ROW EXECUTE FUNCTION wait_at_the_gate()"#;
const HEAD: &str = "SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1";

/// The old leader is in the middle of a pass when it loses its leadership; then it stands still for as long as the new
/// one needs to begin a pass of its own, and goes on.
#[tokio::test]
async fn takeover_in_the_middle_of_a_pass_keeps_the_order() -> Result<()> {
    let stage = Stage::small().await?;
    let (first, worker) = (stage.sequencer()?, stage.worker()?);
    stage.until("the first sequencer to lead", LEADER, 1).await?;
    stage.equal().await?;
    let second = stage.sequencer()?;
    let before = stage.number(HEAD).await?;
    stage.sql(GATE).await?;

    stage.sql(r#"UPDATE "Team" SET "displayName" = 'by the old leader' WHERE "teamId" = id('cobol')"#).await?;
    stage.until("the leader to be in the middle of a pass", AT_THE_GATE, 1).await?;
    let was = leader(&stage).await?.context("nobody leads")?;
    first.signal("STOP").await?;
    stage.sql(&format!("SELECT pg_terminate_backend({was})")).await?;
    stage.until("another to lead", &format!("SELECT (({LEADING}) <> {was})::int::bigint"), 1).await?;
    stage.sql(r#"UPDATE "Team" SET "displayName" = 'by the new leader' WHERE "teamId" = id('analytical')"#).await?;
    stage.until("the new leader to wait for its turn", WAITING_FOR_THEIR_TURN, 1).await?;
    // The old one's statement ends. Its process stands still, so nobody commits, and nobody overtakes.
    stage.sql("UPDATE gate SET open = TRUE").await?;
    stage.until("the old leader's statement to end", AT_THE_GATE, 0).await?;
    assert_eq!(stage.number(WAITING_FOR_THEIR_TURN).await?, 1, "somebody overtook");
    assert_eq!(stage.number(HEAD).await?, before, "somebody overtook");
    first.signal("CONT").await?;

    stage.equal().await?;
    let seen = "SELECT arrayStringConcat(arraySort(groupArray(display_name)), ', ') FROM {views}.teams WHERE display_name LIKE 'by the%'";
    assert_eq!(stage.seen(seen).await?, "by the new leader, by the old leader");
    stage.verified().await?;
    stage.end([first, second, worker]).await
}

/// What was written long ago and is committed now gets its number now, above all that cursors have passed.
#[tokio::test]
async fn late_commits_arrive_although_everything_else_is_long_past_them() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let late = stage.connect().await?;
    late.batch_execute(
        r#"BEGIN; UPDATE "Team" SET "displayName" = 'late' WHERE "teamId" = id('cobol');
           DELETE FROM "ProjectUser" WHERE "projectUserId" = id('ada');
           UPDATE "ContactChannel" SET "value" = 'late@example.com' WHERE "id" = id('charles');
           INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
           VALUES (id('late'), id('engines'), id('charles'), 'late', now());
           UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = id('mary') WHERE "id" = id('account baronet')"#,
    )
    .await?;
    // The same tables, tenancies and mappings go on, and their cursors with them.
    for round in 0..3 {
        stage
            .sql(&format!(
                r#"UPDATE "Team" SET "displayName" = 'round {round}' WHERE "teamId" = id('analytical');
                   UPDATE "ProjectUser" SET "displayName" = 'round {round}' WHERE "projectUserId" = id('grace');
                   UPDATE "ContactChannel" SET "isVerified" = NOT "isVerified" WHERE "id" = id('grace')"#
            ))
            .await?;
        stage.equal().await?;
    }
    late.batch_execute("COMMIT").await?;
    stage.equal().await?;
    for (what, query, answer) in [
        ("the team", "SELECT count() FROM {views}.teams WHERE display_name = 'late'", "1"),
        ("the user", "SELECT count() FROM {views}.users WHERE id = UUIDNumToString(MD5('ada'))", "0"),
        ("the address", "SELECT count() FROM {views}.users WHERE primary_email = 'late@example.com'", "1"),
        ("the permission", "SELECT count() FROM {views}.project_permissions WHERE permission_id = 'late'", "1"),
        (
            "the account",
            "SELECT count() FROM {views}.connected_accounts WHERE user_id = UUIDNumToString(MD5('mary'))",
            "1",
        ),
    ] {
        assert_eq!(stage.seen(query).await?, answer, "{what} of the late transaction");
    }
    stage.verified().await?;
    stage.end(programs).await
}

/// Thousands of rows inserted, changed and deleted, seen by nobody.
#[tokio::test]
async fn rollbacks_of_five_thousand_rows_leave_nothing() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let tokens = r#"INSERT INTO "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt")
        SELECT id('engines'), gen_random_uuid(), id('ada'), 'secret-' || gen_random_uuid(), now() FROM generate_series(1, 5000)"#;
    stage.sql(tokens).await?;
    stage.equal().await?;
    let head = stage.number(HEAD).await?;
    let undone = stage.connect().await?;
    undone.batch_execute(&format!("BEGIN; {tokens}")).await?;
    undone
        .batch_execute(
            r#"UPDATE "ProjectUserRefreshToken" SET "isImpersonation" = TRUE;
               DELETE FROM "ProjectUserRefreshToken" WHERE "projectUserId" = id('ada');
               UPDATE "Team" SET "displayName" = 'never'; DELETE FROM "ContactChannel""#,
        )
        .await?;
    // Others go on meanwhile, where the transaction holds nothing.
    stage.sql(r#"UPDATE "EmailOutbox" SET "isPaused" = TRUE WHERE "id" = id('letter')"#).await?;
    stage.until_seen("another change", "SELECT count() FROM {views}.email_outboxes WHERE is_paused = 1", "1").await?;
    undone.batch_execute("ROLLBACK").await?;
    let report = stage.equal().await?;
    let rows = report.mappings.iter().find(|mapping| mapping.mapping == "refresh_tokens").map(|of| of.source_rows);
    ensure!(rows == Some(5003), "{report}");
    stage.numbered().await?;
    let given = stage.number(HEAD).await? - head;
    ensure!(given <= 2, "{given} numbers were given for one change");
    stage.verified().await?;
    stage.end(programs).await
}
