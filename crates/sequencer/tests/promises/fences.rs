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

async fn answered(fixture: &Fixture, fence: i64) -> i64 {
    fixture
        .until(
            "the fence to be answered",
            &format!("SELECT sequence IS NOT NULL FROM lockstep.fence WHERE id = {fence}"),
        )
        .await;
    answer(fixture, fence).await
}

#[tokio::test]
async fn a_fence_is_answered_while_nothing_else_happens() {
    let fixture = Fixture::new().await;
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    let fence = ask(&fixture).await;
    let report = numbering.poll().await.unwrap();
    assert_eq!((report.answered_fences, report.changes, report.passed), (1, 0, true));
    assert_eq!(answer(&fixture, fence).await, 0);
    let idle = numbering.poll().await.unwrap();
    assert_eq!(Report { still_at: None, ..idle }, Report::default());
    fixture.remove().await;
}

#[tokio::test]
async fn a_fence_covers_rows_that_were_deleted_and_the_rest_of_large_transactions() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    drain(&mut fixture.numbering()).await;
    fixture.expand().await;
    // More than one pass takes.
    fixture.users(tenancy, 0, 50_000).await;
    fixture
        .execute(r#"DELETE FROM "ProjectUser" WHERE "projectUserId" > '00000000-0000-09a0-0000-000000000001'"#)
        .await;
    let fence = ask(&fixture).await;
    let mut numbering = fixture.numbering();
    numbering.poll().await.unwrap();
    assert_eq!(answer(&fixture, fence).await, -1, "one pass is too short for all of them");
    drain(&mut numbering).await;
    assert_eq!(answer(&fixture, fence).await, fixture.number("SELECT max(sequence) FROM lockstep.change").await);
    assert_eq!(fixture.unseen().await, 0);
    fixture.remove().await;
}

#[tokio::test]
async fn a_fence_waits_for_what_has_to_be_searched() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 3).await;
    drain(&mut fixture.numbering()).await;
    fixture.expand().await;
    drain(&mut fixture.numbering()).await;
    let before = fixture.head().await;
    fixture.execute(r#"UPDATE "Tenancy" SET "branchId" = 'other'"#).await;
    let fence = ask(&fixture).await;
    let mut numbering = fixture.numbering();
    for _ in 0..5 {
        numbering.poll().await.unwrap();
        assert_eq!(answer(&fixture, fence).await, -1);
    }
    let sequencer = fixture.run();
    let covered = answered(&fixture, fence).await;
    sequencer.stop().await;
    let users = "SELECT count(DISTINCT uuid_1) FROM lockstep.change WHERE sequence > $1 AND sequence <= $2";
    assert_eq!(fixture.number_of(users, &[&before, &covered]).await, 3, "not all of them are covered by {covered}");
    fixture.remove().await;
}

#[tokio::test]
async fn a_fence_does_not_wait_for_rows_that_are_locked_and_covers_what_they_were() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    drain(&mut fixture.numbering()).await;
    fixture.expand().await;
    fixture.users(tenancy, 0, 2).await;
    let other = fixture.database.connect().await.unwrap();
    other.batch_execute("BEGIN").await.unwrap();
    // The row is held and written: what the fence has to cover is its state before that.
    let update = r#"UPDATE "ProjectUser" SET "displayName" = 'x' WHERE "projectUserId" = $1"#;
    other.execute(update, &[&user_id(0)]).await.unwrap();
    let fence = ask(&fixture).await;
    drain(&mut fixture.numbering()).await;
    let covered = answer(&fixture, fence).await;
    assert!(covered >= fixture.user_sequence(tenancy, 0).await && covered > 0);
    other.batch_execute("COMMIT").await.unwrap();
    drain(&mut fixture.numbering()).await;
    assert!(fixture.user_sequence(tenancy, 0).await > covered);
    fixture.remove().await;
}

#[tokio::test]
async fn a_fence_does_not_wait_for_what_was_not_committed() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    fixture.expand().await;
    let other = fixture.database.connect().await.unwrap();
    other.batch_execute("BEGIN").await.unwrap();
    super::fixture::insert_users(&other, tenancy, 0, 1).await;
    let fence = ask(&fixture).await;
    drain(&mut numbering).await;
    assert!(answer(&fixture, fence).await >= 0);
    other.batch_execute("COMMIT").await.unwrap();
    drain(&mut numbering).await;
    assert!(fixture.user_sequence(tenancy, 0).await > answer(&fixture, fence).await);
    fixture.remove().await;
}

/// Under steady writes: each writer commits a row and asks for a fence, and the answer must cover the row's change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_is_exact_while_others_write() {
    let fixture = std::sync::Arc::new(Fixture::new().await);
    let tenancy = fixture.tenancy(1).await;
    fixture.users(tenancy, 0, 50).await;
    let mut numbering = fixture.numbering();
    drain(&mut numbering).await;
    fixture.expand().await;
    let mut writers = Vec::new();
    for writer in 0..3 {
        let client = fixture.database.connect().await.unwrap();
        writers.push(tokio::spawn(async move {
            let head = "SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1";
            for round in 0..40_i64 {
                let user = user_id((round * 7 + writer * 3) % 50);
                let before: i64 = client.query_one(head, &[]).await.unwrap().get(0);
                let update = r#"UPDATE "ProjectUser" SET "displayName" = $2 WHERE "projectUserId" = $1"#;
                client.execute(update, &[&user, &format!("{writer} {round}")]).await.unwrap();
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
                let change =
                    "SELECT count(*) FROM lockstep.change WHERE uuid_1 = $1 AND sequence > $2 AND sequence <= $3";
                let changes: i64 = client.query_one(change, &[&user, &before, &covered]).await.unwrap().get(0);
                assert!(changes > 0, "the row of writer {writer}, round {round}, was not numbered before the answer");
            }
        }));
    }
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        numbering.poll().await.unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    std::sync::Arc::into_inner(fixture).unwrap().remove().await;
}
