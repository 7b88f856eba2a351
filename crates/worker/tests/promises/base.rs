//! The base snapshot: rows that were there before capture arrive as version 0, and never win over what came later.

use std::time::Duration;

use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_testkit::attached;
use lockstep_testkit::databases::{TestDatabase, eventually};
use lockstep_worker::Limits;

use crate::fixture::{DEADLINE, House};

/// A platform with rows, to which Lockstep was attached a moment ago.
async fn platform() -> House {
    let database = TestDatabase::create().await.unwrap();
    attached::bare(&database.connect().await.unwrap()).await.unwrap();
    House::attached_to(database).await
}

fn quick() -> Limits {
    Limits { snapshot_poll_every: Duration::from_millis(50), ..Limits::default() }
}

async fn whole(house: &House) {
    eventually("every base snapshot to be whole", DEADLINE, async || {
        let open = "SELECT count(*) FROM lockstep.snapshot WHERE finished_at IS NULL";
        Ok(house.number(open).await == 0)
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_there_before_arrive_as_version_0_and_are_not_written_to() {
    let house = platform().await;
    // Small ranges, so that several workers have something to share.
    house
        .run_sql("WITH cut AS (DELETE FROM lockstep.snapshot_range RETURNING *) INSERT INTO lockstep.snapshot_range (mapping_name, destination, first_block, end_block) SELECT mapping_name, destination, b, b + 2 FROM cut, generate_series(0, 60, 2) b")
        .await;
    let rows = r#"SELECT sum(hashtext(u.ctid::text || u.xmin::text)) FROM "ProjectUser" u"#;
    let untouched = house.number(rows).await;
    let workers =
        [house.start_to(house.clickhouse.clone(), quick()), house.start_to(house.clickhouse.clone(), quick())];
    whole(&house).await;
    house.assert_equal().await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(house.ask("SELECT max(sync_sequence_id) FROM {raw}.users").await, "0");
    assert_eq!(house.number(rows).await, untouched);
    let shipped = "SELECT sum(shipped_rows)::bigint FROM lockstep.snapshot_range WHERE mapping_name = 'users'";
    let owned = r#"SELECT count(*) FROM "ProjectUser" u JOIN "Tenancy" t ON t."id" = u."tenancyId""#;
    assert_eq!(house.number(shipped).await, house.number(owned).await);
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_whose_worker_died_is_shipped_by_another() {
    let house = platform().await;
    let destination = Faulty::new(house.clickhouse.clone());
    destination.script(Operation::Write, [Some(Fault::Hang)]);
    let dying = house.start_to(destination, quick());
    let claimed = "SELECT count(*) FROM lockstep.snapshot_range WHERE claimed_by IS NOT NULL AND finished_at IS NULL";
    eventually("a range to be claimed", DEADLINE, async || Ok(house.number(claimed).await == 1)).await.unwrap();
    dying.kill().await;
    let worker = house.start_to(house.clickhouse.clone(), quick());
    let left = "SELECT count(*) FROM lockstep.snapshot_range WHERE finished_at IS NULL";
    eventually("the other ranges", DEADLINE, async || Ok(house.number(left).await == 1)).await.unwrap();
    // What five minutes do.
    house.run_sql("UPDATE lockstep.snapshot_range SET claimed_until = now() WHERE finished_at IS NULL").await;
    whole(&house).await;
    house.assert_equal().await;
    worker.stop().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_rewritten_meanwhile_is_read_again_from_its_start() {
    let house = platform().await;
    house.run_sql(r#"DELETE FROM "ProjectUser" WHERE "isAnonymous""#).await;
    house.run_sql(r#"VACUUM FULL "ProjectUser""#).await;
    let before =
        house.number("SELECT source_filenode::bigint FROM lockstep.snapshot WHERE mapping_name = 'users'").await;
    let worker = house.start_to(house.clickhouse.clone(), quick());
    whole(&house).await;
    let after =
        house.number("SELECT source_filenode::bigint FROM lockstep.snapshot WHERE mapping_name = 'users'").await;
    assert_ne!(before, after);
    house.stamp().await;
    house.announce(&house.tenancies().await, &[]).await;
    house.eventually_equal().await;
    worker.stop().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn del_1_what_changed_meanwhile_wins_whatever_arrives_first() {
    let house = platform().await;
    let tenancies = house.tenancies().await;
    let change =
        |third: &str, statement: &str| format!(r#"{statement} WHERE left("projectUserId"::text, 1) IN ({third})"#);
    // Some rows change before the base is read, others after; tombstones of the first come before it.
    house.run_sql(&change("'0','1','2'", r#"UPDATE "ProjectUser" SET "displayName" = 'changed'"#)).await;
    house.run_sql(&change("'3','4','5'", r#"DELETE FROM "ProjectUser""#)).await;
    house.stamp_and_flush(&tenancies).await;
    let worker = house.start_to(house.clickhouse.clone(), quick());
    whole(&house).await;
    house.assert_equal().await;
    worker.stop().await;
    house.run_sql(&change("'6','7','8'", r#"UPDATE "ProjectUser" SET "displayName" = 'changed later'"#)).await;
    house.run_sql(&change("'9','a','b'", r#"DELETE FROM "ProjectUser""#)).await;
    // Deleted and created again, with the same key.
    house
        .run_sql(
            r#"CREATE TEMPORARY TABLE again AS SELECT * FROM "TeamMemberDirectPermission" LIMIT 5;
               DELETE FROM "TeamMemberDirectPermission" p USING again a WHERE p."id" = a."id";
               INSERT INTO "TeamMemberDirectPermission" SELECT * FROM again"#,
        )
        .await;
    house.stamp_and_flush(&tenancies).await;
    house.assert_equal().await;
    // A range that was read long ago arrives only now.
    for mapping in ["users", "team_permissions", "contact_channels"] {
        let late = "INSERT INTO {raw}.MAPPING SELECT * REPLACE (0 AS sync_sequence_id, 0 AS sync_is_deleted) FROM {raw}.MAPPING";
        house.change(&late.replace("MAPPING", mapping)).await;
    }
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_sync_leaves_rows_in_every_state_and_all_arrive() {
    let database = TestDatabase::create().await.unwrap();
    attached::former_sync(&database.connect().await.unwrap()).await.unwrap();
    let house = House::attached_to(database).await;
    // Rows that the former system stamped are found by the sweep, unstamped ones by the base, flagged ones by stamping.
    house.stamp().await;
    let worker = house.start_to(house.clickhouse.clone(), quick());
    house.eventually_equal().await;
    worker.stop().await;
    house.remove().await;
}
