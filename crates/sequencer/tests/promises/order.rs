//! SEQ-1: commit order is sequence order, whoever numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lockstep_mappings::postgres::inbox;
use lockstep_testkit::databases::eventually;
use tokio_postgres::Client;
use uuid::Uuid;

use super::fixture::{EXPANDED, Fixture, SOON, drain, insert_users, user_id};

/// The head, and the changes above a number, in one snapshot.
const ABOVE: &str = "
SELECT (SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1), c.sequence, c.uuid_1
FROM (VALUES (1)) one LEFT JOIN lockstep.change c ON c.sequence > $1";

/// Reads on from the head that it has seen, as a worker does, and remembers what it saw.
async fn read(client: Client, stop: Arc<AtomicBool>) -> BTreeMap<i64, Uuid> {
    let (mut seen, mut head) = (BTreeMap::new(), 0);
    loop {
        let last_round = stop.load(Ordering::SeqCst);
        for row in client.query(ABOVE, &[&head]).await.unwrap() {
            head = row.get(0);
            if let Some(sequence) = row.get::<_, Option<i64>>(1) {
                assert!(sequence <= head, "change {sequence} is seen before the pass that gave it its number: {head}");
                seen.insert(sequence, row.get(2));
            }
        }
        if last_round {
            return seen;
        }
    }
}

/// Writes rows in transactions, some of which stay open while others begin and end, and some of which undo what they did.
async fn write(client: Client, tenancy: Uuid, first: i64) {
    for round in 0..30 {
        client.batch_execute("BEGIN").await.unwrap();
        insert_users(&client, tenancy, first + round * 10, 10).await;
        client.batch_execute("SAVEPOINT undone").await.unwrap();
        insert_users(&client, tenancy, UNDONE + first + round, 1).await;
        client.batch_execute("ROLLBACK TO undone").await.unwrap();
        let team = r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt") VALUES ($1, gen_random_uuid(), $2, 'main', 'T', now())"#;
        client.execute(team, &[&tenancy, &tenancy.to_string()]).await.unwrap();
        // Slow transactions are what the order has to withstand.
        client.batch_execute(&format!("SELECT pg_sleep({})", if round % 3 == 0 { 0.02 } else { 0.0 })).await.unwrap();
        let update = r#"UPDATE "ProjectUser" SET "displayName" = $2 WHERE "tenancyId" = $1 AND random() < 0.2"#;
        client.execute(update, &[&tenancy, &format!("round {round}")]).await.unwrap();
        client.batch_execute("COMMIT; BEGIN").await.unwrap();
        insert_users(&client, tenancy, UNDONE + first + round, 1).await;
        client.batch_execute("ROLLBACK").await.unwrap();
    }
}

/// From this number on users are never committed.
const UNDONE: i64 = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seq_1_commit_order_is_sequence_order() {
    let fixture = Fixture::new().await;
    let tenancies = [fixture.tenancy(1).await, fixture.tenancy(2).await];
    let (stop_numbering, stop_reading) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let reader = tokio::spawn(read(fixture.database.connect().await.unwrap(), Arc::clone(&stop_reading)));
    let mut sequencers = Vec::new();
    for _ in 0..2 {
        let (mut numbering, stop) = (fixture.numbering(), Arc::clone(&stop_numbering));
        sequencers.push(tokio::spawn(async move {
            let mut changes = 0;
            while !stop.load(Ordering::SeqCst) {
                changes += numbering.poll().await.unwrap().changes;
            }
            drain(&mut numbering).await;
            changes
        }));
    }
    let mut writers = Vec::new();
    for (place, tenancy) in (0..).zip(tenancies) {
        writers.push(tokio::spawn(write(fixture.database.connect().await.unwrap(), tenancy, place * 10_000)));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    stop_numbering.store(true, Ordering::SeqCst);
    for sequencer in sequencers {
        assert!(sequencer.await.unwrap() > 0, "one of them had nothing to do: the test shows little");
    }
    stop_reading.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();
    let changes = fixture.client.query("SELECT sequence, uuid_1 FROM lockstep.change", &[]).await.unwrap();
    assert!(changes.len() >= 660);
    assert_eq!(changes.len(), seen.len());
    for row in changes {
        let (sequence, id) = (row.get(0), row.get(1));
        assert_eq!(seen.get(&sequence), Some(&id), "the reader missed number {sequence}");
    }
    assert_eq!(fixture.head().await, *seen.last_key_value().unwrap().0);
    // The last number of a row is of a pass that sees the row as it is.
    let unseen = r#"
SELECT count(*) FROM "ProjectUser" s
WHERE NOT EXISTS (SELECT 1 FROM lockstep.change c WHERE c.uuid_1 = s."projectUserId"
  AND pg_visible_in_snapshot(s.xmin::text::xid8, (SELECT p.consumed FROM lockstep.pass p WHERE p.last_sequence >= c.sequence ORDER BY p.id LIMIT 1)))"#;
    assert_eq!(fixture.number(unseen).await, 0);
    let undone = format!(
        "SELECT count(*) FROM lockstep.change WHERE uuid_1 >= '{}' AND uuid_1 < '{}'",
        user_id(UNDONE),
        user_id(2 * UNDONE)
    );
    assert_eq!(fixture.number(&undone).await, 0, "what was rolled back has a number");
    assert_eq!(fixture.unseen().await, 0);
    fixture.remove().await;
}

#[tokio::test]
async fn seq_1_a_transaction_that_commits_late_has_numbers_above_all_before() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut numbering = fixture.numbering();
    let late = fixture.database.connect().await.unwrap();
    late.batch_execute("BEGIN").await.unwrap();
    insert_users(&late, tenancy, 0, 1).await;
    for round in 1..20 {
        fixture.users(tenancy, round, 1).await;
        drain(&mut numbering).await;
        assert_eq!(fixture.user_sequence(tenancy, 0).await, -1);
    }
    // Another sequencer knows it too.
    numbering = fixture.numbering();
    late.batch_execute("COMMIT").await.unwrap();
    assert_eq!(drain(&mut numbering).await.changes, 1);
    assert_eq!(fixture.user_sequence(tenancy, 0).await, fixture.head().await);
    fixture.remove().await;
}

#[tokio::test]
async fn seq_1_a_transaction_of_two_phases_is_numbered_when_it_is_committed() {
    let fixture = Fixture::new().await;
    if fixture.number("SELECT current_setting('max_prepared_transactions')::bigint").await == 0 {
        return fixture.remove().await;
    }
    let tenancy = fixture.tenancy(1).await;
    let mut numbering = fixture.numbering();
    let name = fixture.database.name().to_owned();
    fixture.execute("BEGIN").await;
    fixture.users(tenancy, 0, 1).await;
    fixture.execute(&format!("PREPARE TRANSACTION '{name}'")).await;
    fixture.users(tenancy, 1, 1).await;
    drain(&mut numbering).await;
    fixture.execute(&format!("COMMIT PREPARED '{name}'")).await;
    drain(&mut numbering).await;
    assert!(fixture.user_sequence(tenancy, 0).await > fixture.user_sequence(tenancy, 1).await);
    fixture.remove().await;
}

#[tokio::test]
async fn seq_1_holds_where_numbers_are_far_apart() {
    let fixture = Fixture::new().await;
    fixture.execute("ALTER SEQUENCE lockstep.sequence INCREMENT BY 11").await;
    let tenancy = fixture.tenancy(1).await;
    let mut both = [fixture.numbering(), fixture.numbering()];
    let mut last = 0;
    for round in 0..6 {
        fixture.users(tenancy, round, 1).await;
        drain(&mut both[usize::try_from(round % 2).unwrap()]).await;
        let sequence = fixture.user_sequence(tenancy, round).await;
        assert!(sequence > last, "number {sequence} was handed out after {last}");
        last = sequence;
    }
    fixture.remove().await;
}

#[tokio::test]
async fn seq_1_holds_whatever_isolation_the_database_has_by_default() {
    let fixture = Fixture::new().await;
    let name = fixture.database.name();
    fixture.execute(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")).await;
    fixture.execute(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 10).await;
    assert_eq!(drain(&mut fixture.numbering()).await.changes, 10);
    fixture.remove().await;
}

#[tokio::test]
async fn a_sequence_that_does_not_grow_is_refused() {
    let fixture = Fixture::new().await;
    for (wrong, right) in
        [("INCREMENT BY -1 MINVALUE -1000", "INCREMENT BY 1"), ("CYCLE", "NO CYCLE"), ("CACHE 50", "CACHE 1")]
    {
        fixture.execute(&format!("ALTER SEQUENCE lockstep.sequence {wrong}")).await;
        let error = fixture.numbering().poll().await.unwrap_err();
        assert!(error.to_string().starts_with("LS-0501") && !error.is_retryable(), "{error}");
        fixture.execute(&format!("ALTER SEQUENCE lockstep.sequence {right}")).await;
        fixture.numbering().poll().await.unwrap();
    }
    fixture.remove().await;
}

#[tokio::test]
async fn a_source_that_was_not_prepared_is_waited_for() {
    let fixture = Fixture::new().await;
    fixture.execute("ALTER SCHEMA lockstep RENAME TO elsewhere").await;
    let mut numbering = fixture.numbering();
    let error = numbering.poll().await.unwrap_err();
    assert!(error.to_string().starts_with("LS-0023") && error.is_retryable(), "{error}");
    fixture.execute("ALTER SCHEMA elsewhere RENAME TO lockstep").await;
    numbering.poll().await.unwrap();
    fixture.remove().await;
}

/// However many lines are there that have numbers, a look reads a few blocks of the indexes' ranges.
#[tokio::test]
async fn an_idle_look_reads_a_bounded_number_of_blocks_whatever_old_snapshot_is_held() {
    let fixture = Fixture::new().await;
    let old = fixture.database.connect().await.unwrap();
    old.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM lockstep.pass").await.unwrap();
    let mut numbering = fixture.numbering();
    let tenancy = fixture.tenancy(1).await;
    for share in 0..20 {
        fixture.users(tenancy, share * 10_000, 10_000).await;
        drain(&mut numbering).await;
    }
    // Whichever has its turn.
    let all = "SELECT (pg_relation_size('lockstep.inbox_0') + pg_relation_size('lockstep.inbox_1')) / 8192";
    let all = fixture.number(all).await;
    assert!(all > 2_000, "{all} blocks are too few to show anything");
    // Its upkeep lets the indexes cover what is full.
    let sequencer = fixture.run();
    fixture.until("expansions to be worked off", EXPANDED).await;
    fixture.until("everything to be numbered", &format!("SELECT NOT EXISTS ({})", inbox::unseen())).await;
    fixture.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0").await;
    fixture
        .execute(&format!(
            "PREPARE look (bigint, bigint[], bigint, bigint, bigint[]) AS {}",
            inbox::look("FALSE", false)
        ))
        .await;
    let arguments = "SELECT format('%s, %L, 20000, 9223372036854775807, %L', pg_snapshot_xmax(consumed), ARRAY(SELECT pg_snapshot_xip(consumed)::text), '{}') FROM lockstep.pass ORDER BY id DESC LIMIT 1";
    let arguments: String = fixture.client.query_one(arguments, &[]).await.unwrap().get(0);
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE look ({arguments})");
    let plan = async || {
        let row = fixture.client.query_one(&explain, &[]).await?;
        anyhow::Ok(row.get::<_, serde_json::Value>(0)[0]["Plan"].clone())
    };
    let is_bounded = async || {
        let plan = plan().await?;
        let blocks =
            ["Shared Hit Blocks", "Shared Read Blocks"].map(|name| plan[name].as_i64().unwrap_or(i64::MAX / 4));
        Ok(blocks.iter().sum::<i64>() < 150)
    };
    eventually("a look to read few blocks", SOON, is_bounded).await.unwrap();
    sequencer.stop().await;
    let plan = plan().await.unwrap();
    let text = plan.to_string();
    assert!(text.contains("inbox_0_xid_idx") && text.contains("inbox_1_xid_idx"), "{plan:#}");
    old.batch_execute("COMMIT").await.unwrap();
    fixture.remove().await;
}

/// With few lines left to number among many that have theirs, and with many: as far as they are counted, and no more is read.
#[tokio::test]
async fn lines_without_a_number_are_counted_up_to_a_limit_without_reading_those_before_them() {
    const LIMIT: i64 = 10_000;
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 200_000).await;
    drain(&mut fixture.numbering()).await;
    assert_eq!(fixture.unseen().await, 0);
    fixture.users(tenancy, 300_000, 7).await;
    assert_eq!(fixture.unseen().await, 7);
    fixture.users(tenancy, 400_000, LIMIT + 7).await;
    assert_eq!(fixture.unseen().await, LIMIT + 14);
    let counted = inbox::count_unseen(LIMIT);
    assert_eq!(fixture.number(&counted).await, LIMIT);
    fixture.execute("SET enable_seqscan = off").await;
    let explained = fixture.client.query_one(&format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {counted}"), &[]).await;
    let plan: serde_json::Value = explained.unwrap().get(0);
    let blocks = |kind: &str| plan[0]["Plan"][kind].as_i64().unwrap();
    let read = blocks("Shared Hit Blocks") + blocks("Shared Read Blocks");
    let held = "SELECT (pg_relation_size('lockstep.inbox_0') + pg_relation_size('lockstep.inbox_1')) / 8192";
    assert!(read * 3 < fixture.number(held).await, "{read} blocks were read");
    fixture.remove().await;
}
