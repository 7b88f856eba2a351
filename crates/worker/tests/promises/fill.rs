//! Fills: rows that were there before capture, or have to be exported again, arrive with the number that was drawn before the
//! first was read, and never win over what came later.

use std::time::Duration;

use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_testkit::databases::{TestDatabase, eventually};
use lockstep_testkit::{attached, fills};
use lockstep_worker::Limits;

use crate::fixture::{DEADLINE, WorkerFixture};

/// A platform with rows, to which Lockstep was attached a moment ago.
pub(crate) async fn platform() -> WorkerFixture {
    let database = TestDatabase::create().await.unwrap();
    attached::bare(&database.connect().await.unwrap()).await.unwrap();
    WorkerFixture::attached_to(database).await
}

pub(crate) fn quick() -> Limits {
    Limits {
        fill_poll_every: Duration::from_millis(50),
        sweep_every: Duration::from_millis(50),
        announce_again_after: Duration::from_millis(500),
        ..Limits::default()
    }
}

pub(crate) const UNFILLED: &str = "SELECT count(*) FROM lockstep.fill WHERE finished_at IS NULL";

impl WorkerFixture {
    /// Until every fill has ended. A sequencer runs.
    pub(crate) async fn whole(&self) {
        eventually("every fill to end", DEADLINE, async || Ok(self.number(UNFILLED).await == 0)).await.unwrap();
    }

    async fn refill(&self, mapping: &str) {
        let mapping = self.set.iter().find(|one| one.name.as_str() == mapping).unwrap();
        fills::begin(&self.client, mapping).await.unwrap();
    }

    /// Ranges of one block, so that a fill takes many steps.
    async fn cut_ranges(&self, mapping: &str) {
        self.run_sql(&format!(
            "WITH cut AS (DELETE FROM lockstep.fill_range WHERE mapping_name = '{mapping}' RETURNING *)
             INSERT INTO lockstep.fill_range (mapping_name, destination, first_block, end_block) SELECT mapping_name, destination, b, b + 1
             FROM cut, generate_series(0, (SELECT pg_relation_size('\"ProjectUser\"') / 8192)) b"
        ))
        .await;
    }

    /// Deletes the users that nothing depends on, whose triggers would notice it, while our triggers on users are disabled;
    /// enables them again before anybody could see that.
    async fn delete_unnoticed(&self) {
        let sql = r#"DO $$ DECLARE name text; BEGIN
            FOR name IN SELECT tgname FROM pg_trigger WHERE tgrelid = '"ProjectUser"'::regclass AND NOT tgisinternal LOOP
                EXECUTE format('ALTER TABLE "ProjectUser" DISABLE TRIGGER %I', name); END LOOP;
            DELETE FROM "ProjectUser" WHERE "mirroredProjectId" = 'p' AND "displayName" LIKE 'user %';
            FOR name IN SELECT tgname FROM pg_trigger WHERE tgrelid = '"ProjectUser"'::regclass AND NOT tgisinternal LOOP
                EXECUTE format('ALTER TABLE "ProjectUser" ENABLE ALWAYS TRIGGER %I', name); END LOOP;
        END $$"#;
        self.run_sql(sql).await;
    }

    async fn stale_rows(&self, mapping: &str) -> Option<i64> {
        let sql = "SELECT stale_rows FROM lockstep.fill WHERE mapping_name = $1 AND finished_at IS NOT NULL";
        self.client.query_one(sql, &[&mapping]).await.unwrap().get(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_there_before_arrive_as_the_version_of_their_fill_and_are_not_written_to() {
    let fixture = platform().await;
    // Small ranges, so that several workers have something to share.
    fixture
        .run_sql("WITH cut AS (DELETE FROM lockstep.fill_range RETURNING *) INSERT INTO lockstep.fill_range (mapping_name, destination, first_block, end_block) SELECT mapping_name, destination, b, b + 2 FROM cut, generate_series(0, 60, 2) b")
        .await;
    let rows = r#"SELECT sum(hashtext(u.ctid::text || u.xmin::text)) FROM "ProjectUser" u"#;
    let untouched = fixture.number(rows).await;
    let sequencer = fixture.start_sequencer();
    let workers =
        [fixture.start_to(fixture.clickhouse.clone(), quick()), fixture.start_to(fixture.clickhouse.clone(), quick())];
    fixture.whole().await;
    fixture.assert_equal().await;
    for worker in workers {
        worker.stop().await;
    }
    sequencer.stop().await.unwrap();
    // Written while others' transactions were open, a row may have been exported once more.
    let floor = fixture.number("SELECT floor FROM lockstep.fill WHERE mapping_name = 'users'").await;
    assert!(floor > 0);
    assert_eq!(fixture.ask("SELECT min(sync_sequence_id) FROM {raw}.users").await, floor.to_string());
    assert_eq!(fixture.number(rows).await, untouched);
    let shipped = "SELECT sum(shipped_rows)::bigint FROM lockstep.fill_range WHERE mapping_name = 'users'";
    let owned = r#"SELECT count(*) FROM "ProjectUser" u JOIN "Tenancy" t ON t."id" = u."tenancyId""#;
    assert_eq!(fixture.number(shipped).await, fixture.number(owned).await);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_whose_worker_died_is_shipped_by_another() {
    let fixture = platform().await;
    let destination = Faulty::new(fixture.clickhouse.clone());
    destination.script(Operation::Write, [Some(Fault::Hang)]);
    let dying = fixture.start_to(destination, quick());
    let claimed = "SELECT count(*) FROM lockstep.fill_range WHERE claimed_by IS NOT NULL AND finished_at IS NULL";
    eventually("a range to be claimed", DEADLINE, async || Ok(fixture.number(claimed).await == 1)).await.unwrap();
    dying.kill().await;
    let sequencer = fixture.start_sequencer();
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    let left = "SELECT count(*) FROM lockstep.fill_range WHERE finished_at IS NULL";
    eventually("the other ranges", DEADLINE, async || Ok(fixture.number(left).await == 1)).await.unwrap();
    // What five minutes do.
    fixture.run_sql("UPDATE lockstep.fill_range SET claimed_until = now() WHERE finished_at IS NULL").await;
    fixture.whole().await;
    fixture.assert_equal().await;
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_rewritten_meanwhile_is_read_again_from_its_start() {
    let fixture = platform().await;
    fixture.run_sql(r#"DELETE FROM "ProjectUser" WHERE "isAnonymous""#).await;
    fixture.run_sql(r#"VACUUM FULL "ProjectUser""#).await;
    let before = fixture.number("SELECT source_filenode::bigint FROM lockstep.fill WHERE mapping_name = 'users'").await;
    let sequencer = fixture.start_sequencer();
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    fixture.whole().await;
    let after = fixture.number("SELECT source_filenode::bigint FROM lockstep.fill WHERE mapping_name = 'users'").await;
    assert_ne!(before, after);
    fixture.eventually_equal().await;
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_what_changed_meanwhile_wins_whatever_arrives_first() {
    let fixture = platform().await;
    let tenancies = fixture.tenancies().await;
    let change =
        |third: &str, statement: &str| format!(r#"{statement} WHERE left("projectUserId"::text, 1) IN ({third})"#);
    // Some rows change before the base is read, others after; tombstones of the first come before it.
    fixture.run_sql(&change("'0','1','2'", r#"UPDATE "ProjectUser" SET "displayName" = 'changed'"#)).await;
    fixture.run_sql(&change("'3','4','5'", r#"DELETE FROM "ProjectUser""#)).await;
    fixture.pass_and_flush(&tenancies).await;
    let sequencer = fixture.start_sequencer();
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    fixture.whole().await;
    fixture.assert_equal().await;
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.run_sql(&change("'6','7','8'", r#"UPDATE "ProjectUser" SET "displayName" = 'changed later'"#)).await;
    fixture.run_sql(&change("'9','a','b'", r#"DELETE FROM "ProjectUser""#)).await;
    // Deleted and created again, with the same key.
    fixture
        .run_sql(
            r#"CREATE TEMPORARY TABLE again AS SELECT * FROM "TeamMemberDirectPermission" LIMIT 5;
               DELETE FROM "TeamMemberDirectPermission" p USING again a WHERE p."id" = a."id";
               INSERT INTO "TeamMemberDirectPermission" SELECT * FROM again"#,
        )
        .await;
    fixture.pass_and_flush(&tenancies).await;
    fixture.assert_equal().await;
    // A range that was read long ago arrives only now.
    for mapping in ["users", "team_permissions", "contact_channels"] {
        let late = "INSERT INTO {raw}.MAPPING SELECT * REPLACE (1 AS sync_sequence_id, 0 AS sync_is_deleted) FROM {raw}.MAPPING";
        fixture.change(&late.replace("MAPPING", mapping)).await;
    }
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_sync_leaves_rows_in_every_state_and_all_arrive() {
    let database = TestDatabase::create().await.unwrap();
    attached::former_sync(&database.connect().await.unwrap()).await.unwrap();
    let fixture = WorkerFixture::attached_to(database).await;
    let sequencer = fixture.start_sequencer();
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    fixture.eventually_equal().await;
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_move_between_blocks_while_ranges_are_read_are_exported_all_the_same() {
    let fixture = platform().await;
    fixture.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = repeat('x', 500)"#).await;
    fixture.run_sql(r#"VACUUM "ProjectUser""#).await;
    fixture.refill("users").await;
    fixture.cut_ranges("users").await;
    // Only the first blocks are free to be read: they have been emptied when the last are.
    let blocks = fixture.number(r#"SELECT pg_relation_size('"ProjectUser"') / 8192"#).await;
    assert!(blocks > 8, "{blocks} blocks");
    let half = blocks / 2;
    fixture.run_sql(&format!("UPDATE lockstep.fill_range SET claimed_by = 'a test', claimed_until = now() + interval '1 hour' WHERE mapping_name = 'users' AND first_block >= {half}")).await;
    let sequencer = fixture.start_sequencer();
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    let early = format!(
        "SELECT count(*) FROM lockstep.fill_range WHERE mapping_name = 'users' AND first_block < {half} AND finished_at IS NULL"
    );
    eventually("the first half to be read", DEADLINE, async || Ok(fixture.number(&early).await == 0)).await.unwrap();
    // Rows of the last blocks move to the first by updates of a column that nobody exports, as many times as it takes.
    let in_last = format!(r#"SELECT count(*) FROM "ProjectUser" WHERE (ctid::text::point)[0] >= {half}"#);
    let before = fixture.number(&in_last).await;
    fixture
        .run_sql(&format!(r#"DELETE FROM "ProjectUser" WHERE (ctid::text::point)[0] < {half} AND "isAnonymous""#))
        .await;
    for _ in 0..20 {
        fixture.run_sql(r#"VACUUM "ProjectUser""#).await;
        fixture
            .run_sql(&format!(r#"UPDATE "ProjectUser" SET "updatedAt" = now() WHERE (ctid::text::point)[0] >= {half}"#))
            .await;
    }
    let moved = before - fixture.number(&in_last).await;
    assert!(moved > 0, "no row moved to a block that had been read");
    fixture.run_sql("UPDATE lockstep.fill_range SET claimed_until = now() WHERE claimed_by = 'a test'").await;
    fixture.whole().await;
    fixture.eventually_equal().await;
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_rewritten_in_the_middle_of_a_fill_is_read_again_from_its_start() {
    let fixture = platform().await;
    fixture.refill("users").await;
    fixture.cut_ranges("users").await;
    fixture.run_sql("UPDATE lockstep.fill_range SET claimed_by = 'a test', claimed_until = now() + interval '1 hour' WHERE mapping_name = 'users' AND first_block > 0").await;
    let sequencer = fixture.start_sequencer();
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    let first = "SELECT count(*) FROM lockstep.fill_range WHERE mapping_name = 'users' AND first_block = 0 AND finished_at IS NULL";
    eventually("the first block to be read", DEADLINE, async || Ok(fixture.number(first).await == 0)).await.unwrap();
    let file = "SELECT source_filenode::bigint FROM lockstep.fill WHERE mapping_name = 'users'";
    let before = fixture.number(file).await;
    fixture
        .run_sql(r#"DELETE FROM "ProjectUser" WHERE "isAnonymous"; CLUSTER "ProjectUser" USING "ProjectUser_pkey""#)
        .await;
    fixture.run_sql("UPDATE lockstep.fill_range SET claimed_until = now() WHERE claimed_by = 'a test'").await;
    fixture.whole().await;
    assert_ne!(fixture.number(file).await, before);
    fixture.eventually_equal().await;
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refill_removes_what_the_source_no_longer_has_and_readers_see_no_gap() {
    let fixture = platform().await;
    let sequencer = fixture.start_sequencer();
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    fixture.users(fixture.tenancies().await[0], 30).await;
    fixture.whole().await;
    fixture.eventually_equal().await;
    // Deleted where no trigger could see it.
    fixture.delete_unnoticed().await;
    let owned = r#"SELECT count(*) FROM "ProjectUser" u JOIN "Tenancy" t ON t."id" = u."tenancyId""#;
    let (left, shown) =
        (fixture.number(owned).await, fixture.ask("SELECT count() FROM {views}.users").await.parse::<i64>().unwrap());
    assert!(left < shown, "nothing was deleted");
    fixture.refill("users").await;
    fixture.cut_ranges("users").await;
    eventually("the fill to end", DEADLINE, async || {
        let seen: i64 = fixture.ask("SELECT count() FROM {views}.users").await.parse()?;
        assert!(seen >= left, "readers saw {seen} of {left} rows");
        Ok(fixture.number(UNFILLED).await == 0)
    })
    .await
    .unwrap();
    assert_eq!(fixture.stale_rows("users").await, Some(shown - left));
    fixture.eventually_equal().await;
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refill_removes_nothing_that_comes_back_while_it_runs() {
    let fixture = platform().await;
    let sequencer = fixture.start_sequencer();
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    fixture.whole().await;
    let tenancy = fixture.tenancies().await[0];
    fixture.refill("users").await;
    fixture.cut_ranges("users").await;
    let mut last = uuid::Uuid::nil();
    eventually("the fill to end", DEADLINE, async || {
        last = fixture.user(tenancy, "new").await;
        fixture.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = "displayName" || 'x' WHERE "projectUserId" IN (SELECT "projectUserId" FROM "ProjectUser" LIMIT 3)"#).await;
        Ok(fixture.number(UNFILLED).await == 0)
    })
    .await
    .unwrap();
    assert_eq!(fixture.stale_rows("users").await, Some(0));
    fixture.eventually_equal().await;
    assert_eq!(fixture.ask(&format!("SELECT count() FROM {{views}}.users WHERE id = '{last}'")).await, "1");
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refill_with_rows_in_quarantine_removes_nothing_and_says_so() {
    let fixture = platform().await;
    let sequencer = fixture.start_sequencer();
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    let tenancy = fixture.tenancies().await[0];
    fixture.users(tenancy, 30).await;
    fixture.whole().await;
    fixture.eventually_equal().await;
    let shown = fixture.ask("SELECT count() FROM {views}.users").await;
    fixture.change(crate::quarantine::REFUSE).await;
    fixture.user(tenancy, "hunter2").await;
    eventually("the row to be in quarantine", DEADLINE, async || Ok(fixture.quarantined().await.len() == 1))
        .await
        .unwrap();
    fixture.delete_unnoticed().await;
    fixture.refill("users").await;
    fixture.whole().await;
    assert_eq!(fixture.stale_rows("users").await, None, "it was said how many were removed, and none were");
    assert_eq!(fixture.ask("SELECT count() FROM {views}.users").await, shown);
    // Mended, and filled again.
    fixture.change(crate::quarantine::TAKE).await;
    fixture.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = 'mended' WHERE "displayName" = 'hunter2'"#).await;
    eventually("the entry to go", DEADLINE, async || Ok(fixture.quarantined().await.is_empty())).await.unwrap();
    fixture.refill("users").await;
    fixture.whole().await;
    assert_eq!(fixture.stale_rows("users").await, Some(30));
    fixture.eventually_equal().await;
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_arrives_late_does_not_bring_back_what_was_deleted_meanwhile() {
    let fixture = platform().await;
    let sequencer = fixture.start_sequencer();
    let held = Faulty::holding_writes(fixture.clickhouse.clone());
    // One worker has read two ranges and stands still; a row of them is deleted, and another ships that.
    let slow = fixture.start_to(held.clone(), quick());
    held.until_held(2).await;
    let claims: String = {
        let claimed = "SELECT string_agg(quote_literal(claimed_by), ', ') FROM lockstep.fill_range WHERE claimed_by IS NOT NULL AND finished_at IS NULL";
        fixture.client.query_one(claimed, &[]).await.unwrap().get(0)
    };
    let other = fixture.start_to(fixture.clickhouse.clone(), quick());
    fixture.run_sql(r#"DELETE FROM "ContactChannel"; DELETE FROM "ProjectUser" WHERE "isAnonymous""#).await;
    eventually("the others' ranges", DEADLINE, async || {
        let left = format!(
            "SELECT count(*) FROM lockstep.fill_range WHERE finished_at IS NULL AND (claimed_by IS NULL OR claimed_by NOT IN ({claims}))"
        );
        Ok(fixture.number(&left).await == 0)
    })
    .await
    .unwrap();
    held.let_go();
    fixture.whole().await;
    fixture.eventually_equal().await;
    slow.stop().await;
    other.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}
