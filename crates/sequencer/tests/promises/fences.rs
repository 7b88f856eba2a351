//! Fences: a number that covers everything that was committed before it was asked for.

use lockstep_sequencer::Report;

use super::fixture::{Fixture, drain, user_id};

async fn ask(fixture: &Fixture) -> i64 {
    fixture.number("INSERT INTO lockstep.fence DEFAULT VALUES RETURNING id").await
}

/// -1 while it is not answered.
async fn answer(fixture: &Fixture, fence: i64) -> i64 {
    fixture.number_of("SELECT sequence FROM lockstep.fence WHERE id = $1", &[&fence]).await
}

#[tokio::test]
async fn a_fence_is_answered_while_nothing_else_happens() {
    let fixture = Fixture::new().await;
    let mut stamper = fixture.stamper();
    let fence = ask(&fixture).await;
    assert_eq!(stamper.poll().await.unwrap(), Report { answered_fences: 1, ..Report::default() });
    assert_eq!(answer(&fixture, fence).await, 0);
    assert_eq!(stamper.poll().await.unwrap(), Report::default());
    fixture.remove().await;
}

#[tokio::test]
async fn a_fence_covers_all_rows_tombstones_and_dependents() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    // More than one pass can stamp.
    fixture.users(tenancy, 0, 2_500).await;
    fixture
        .execute(r#"DELETE FROM "ProjectUser" WHERE "projectUserId" > '00000000-0000-09a0-0000-000000000001'"#)
        .await;
    let fence = ask(&fixture).await;
    let mut stamper = fixture.stamper();
    stamper.poll().await.unwrap();
    assert_eq!(answer(&fixture, fence).await, -1, "one pass is too short for all of them");
    drain(&mut stamper).await;
    let highest = r#"SELECT greatest((SELECT max("sequenceId") FROM "ProjectUser"), (SELECT max("sequenceId") FROM "DeletedRow"))"#;
    assert_eq!(answer(&fixture, fence).await, fixture.number(highest).await);
    let unstamped = r#"SELECT (SELECT count(*) FROM "ProjectUser" WHERE "sequenceId" IS NULL) + (SELECT count(*) FROM "DeletedRow" WHERE "sequenceId" IS NULL) + (SELECT count(*) FROM lockstep.touch)"#;
    assert_eq!(fixture.number(unstamped).await, 0);
    fixture.remove().await;
}

#[tokio::test]
async fn a_fence_waits_for_rows_that_are_locked() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut stamper = fixture.stamper();
    drain(&mut stamper).await;
    fixture.users(tenancy, 0, 2).await;
    let other = fixture.database.connect().await.unwrap();
    other.batch_execute("BEGIN").await.unwrap();
    // The row is held and written: what the fence has to cover is its state before that.
    let update = r#"UPDATE "ProjectUser" SET "displayName" = 'x' WHERE "projectUserId" = $1"#;
    other.execute(update, &[&user_id(0)]).await.unwrap();
    let fence = ask(&fixture).await;
    for _ in 0..3 {
        stamper.poll().await.unwrap();
        assert_eq!(answer(&fixture, fence).await, -1);
    }
    other.batch_execute("COMMIT").await.unwrap();
    drain(&mut stamper).await;
    assert_eq!(answer(&fixture, fence).await, fixture.user_sequence(tenancy, 0).await);
    fixture.remove().await;
}

#[tokio::test]
async fn a_fence_waits_for_dependents_that_are_locked() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 1).await;
    let mut stamper = fixture.stamper();
    drain(&mut stamper).await;
    let channel = r#"INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt") VALUES ($1, $2, $2, 'EMAIL', 'TRUE', false, 'a@b', now())"#;
    fixture.client.execute(channel, &[&tenancy, &user_id(0)]).await.unwrap();
    let other = fixture.database.connect().await.unwrap();
    other.batch_execute(r#"BEGIN; SELECT FROM "ProjectUser" FOR UPDATE"#).await.unwrap();
    let fence = ask(&fixture).await;
    for _ in 0..3 {
        stamper.poll().await.unwrap();
        assert_eq!(answer(&fixture, fence).await, -1);
    }
    other.batch_execute("COMMIT").await.unwrap();
    drain(&mut stamper).await;
    assert_eq!(answer(&fixture, fence).await, fixture.user_sequence(tenancy, 0).await);
    fixture.remove().await;
}

#[tokio::test]
async fn a_fence_does_not_wait_for_what_was_not_committed() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut stamper = fixture.stamper();
    drain(&mut stamper).await;
    let other = fixture.database.connect().await.unwrap();
    other.batch_execute("BEGIN").await.unwrap();
    super::fixture::insert_users(&other, tenancy, 0, 1).await;
    let fence = ask(&fixture).await;
    drain(&mut stamper).await;
    assert!(answer(&fixture, fence).await >= 0);
    other.batch_execute("COMMIT").await.unwrap();
    drain(&mut stamper).await;
    assert!(fixture.user_sequence(tenancy, 0).await > answer(&fixture, fence).await);
    fixture.remove().await;
}

/// Under steady writes: each writer commits a row, asks for a fence, and the row's number must be covered by the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_is_exact_while_others_write() {
    let fixture = std::sync::Arc::new(Fixture::new().await);
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 50).await;
    let mut stamper = fixture.stamper();
    drain(&mut stamper).await;
    let mut writers = Vec::new();
    for writer in 0..3 {
        let client = fixture.database.connect().await.unwrap();
        writers.push(tokio::spawn(async move {
            for round in 0..40_i64 {
                let user = user_id((round * 7 + writer * 3) % 50);
                let update =
                    r#"UPDATE "ProjectUser" SET "displayName" = $2 WHERE "projectUserId" = $1 RETURNING "sequenceId""#;
                let name = format!("{writer} {round}");
                let before: i64 = client.query_one(update, &[&user, &name]).await.unwrap().get(0);
                let ask = "INSERT INTO lockstep.fence DEFAULT VALUES RETURNING id";
                let fence: i64 = client.query_one(ask, &[]).await.unwrap().get(0);
                let covered = loop {
                    let row =
                        client.query_one("SELECT sequence FROM lockstep.fence WHERE id = $1", &[&fence]).await.unwrap();
                    if let Some(covered) = row.get::<_, Option<i64>>(0) {
                        break covered;
                    }
                    tokio::task::yield_now().await;
                };
                // Since then others may have written the row again: its number may be higher, and it was flagged by them.
                let now = r#"SELECT "sequenceId" FROM "ProjectUser" WHERE "projectUserId" = $1"#;
                let stamped: i64 = client.query_one(now, &[&user]).await.unwrap().get(0);
                assert!(
                    stamped > before,
                    "the row of writer {writer}, round {round}, was not stamped before the answer"
                );
                assert!(covered > before);
            }
        }));
    }
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        stamper.poll().await.unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    std::sync::Arc::into_inner(fixture).unwrap().remove().await;
}
