//! SEQ-1: commit order is sequence order, whoever stamps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::Client;
use uuid::Uuid;

use super::fixture::{Fixture, drain, insert_users};

/// Rows of two tables above a number, in one snapshot.
const ABOVE: &str = r#"
SELECT "sequenceId", "projectUserId" FROM "ProjectUser" WHERE "sequenceId" > $1
UNION ALL SELECT "sequenceId", "teamId" FROM "Team" WHERE "sequenceId" > $1"#;

/// Reads on from the highest number that it has seen, as a worker does, and remembers what it saw.
async fn read(client: Client, stop: Arc<AtomicBool>) -> BTreeMap<i64, Uuid> {
    let mut seen = BTreeMap::new();
    loop {
        let last_round = stop.load(Ordering::SeqCst);
        let after = seen.last_key_value().map_or(0, |(sequence, _)| *sequence);
        for row in client.query(ABOVE, &[&after]).await.unwrap() {
            seen.insert(row.get(0), row.get(1));
        }
        if last_round {
            return seen;
        }
    }
}

/// Writes rows in transactions, some of which stay open while others begin and end.
async fn write(client: Client, tenancy: Uuid, first: i64) {
    for round in 0..30 {
        client.batch_execute("BEGIN").await.unwrap();
        insert_users(&client, tenancy, first + round * 10, 10).await;
        let team = Uuid::new_v4();
        let insert = r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt") VALUES ($1, $2, $3, 'main', 'T', now())"#;
        client.execute(insert, &[&tenancy, &team, &tenancy.to_string()]).await.unwrap();
        // Slow transactions are what the order has to withstand.
        client.batch_execute(&format!("SELECT pg_sleep({})", if round % 3 == 0 { 0.02 } else { 0.0 })).await.unwrap();
        let update = r#"UPDATE "ProjectUser" SET "displayName" = $2 WHERE "tenancyId" = $1 AND random() < 0.2"#;
        client.execute(update, &[&tenancy, &format!("round {round}")]).await.unwrap();
        client.batch_execute("COMMIT").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seq_1_commit_order_is_sequence_order() {
    let fixture = Fixture::new().await;
    let tenancies = [fixture.tenancy(1).await, fixture.tenancy(2).await];
    let (stop_stamping, stop_reading) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let reader = tokio::spawn(read(fixture.database.connect().await.unwrap(), Arc::clone(&stop_reading)));
    let mut stampers = Vec::new();
    for _ in 0..2 {
        let (mut stamper, stop) = (fixture.stamper(), Arc::clone(&stop_stamping));
        stampers.push(tokio::spawn(async move {
            let mut stamped = 0;
            while !stop.load(Ordering::SeqCst) {
                stamped += stamper.poll().await.unwrap().stamped_rows;
            }
            drain(&mut stamper).await;
            stamped
        }));
    }
    let mut writers = Vec::new();
    for (place, tenancy) in (0..).zip(tenancies) {
        writers.push(tokio::spawn(write(fixture.database.connect().await.unwrap(), tenancy, place * 10_000)));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    stop_stamping.store(true, Ordering::SeqCst);
    for stamper in stampers {
        assert!(stamper.await.unwrap() > 0, "one of the stampers had nothing to do: the test shows little");
    }
    stop_reading.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();
    let rows = fixture.client.query(ABOVE, &[&0_i64]).await.unwrap();
    assert_eq!(rows.len(), 660);
    for row in rows {
        let (sequence, id) = (row.get(0), row.get(1));
        assert_eq!(seen.get(&sequence), Some(&id), "the reader missed number {sequence}");
    }
    assert_eq!(
        fixture.number("SELECT last_sequence FROM lockstep.sequence_head").await,
        *seen.last_key_value().unwrap().0
    );
    fixture.remove().await;
}

#[tokio::test]
async fn seq_1_holds_where_sessions_keep_numbers_for_later() {
    let fixture = Fixture::new().await;
    fixture.execute("ALTER SEQUENCE global_seq_id CACHE 50 INCREMENT BY 11").await;
    let tenancy = fixture.tenancy(1).await;
    let mut stampers = [fixture.stamper(), fixture.stamper()];
    let mut last = 0;
    for round in 0..6 {
        fixture.users(tenancy, round, 1).await;
        stampers[usize::try_from(round % 2).unwrap()].poll().await.unwrap();
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
    assert_eq!(drain(&mut fixture.stamper()).await.stamped_rows, 10);
    fixture.remove().await;
}

#[tokio::test]
async fn a_sequence_that_does_not_grow_is_refused() {
    let fixture = Fixture::new().await;
    fixture.execute("ALTER SEQUENCE global_seq_id INCREMENT BY -1 MINVALUE -1000").await;
    let error = fixture.stamper().poll().await.unwrap_err();
    assert!(error.to_string().starts_with("LS-0501") && !error.is_retryable(), "{error}");
    fixture.remove().await;
}

#[tokio::test]
async fn a_source_that_was_not_prepared_is_waited_for() {
    let fixture = Fixture::new().await;
    fixture.execute("ALTER SCHEMA lockstep RENAME TO elsewhere").await;
    let mut stamper = fixture.stamper();
    let error = stamper.poll().await.unwrap_err();
    assert!(error.to_string().starts_with("LS-0023") && error.is_retryable(), "{error}");
    fixture.execute("ALTER SCHEMA elsewhere RENAME TO lockstep").await;
    stamper.poll().await.unwrap();
    fixture.remove().await;
}
