//! CUR-1: a cursor never passes a row that its destination does not hold durably.

use lockstep_core::SequenceId;
use lockstep_core::freshness::ChangeTimes;
use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_destinations::{DestinationError, Failure, WriteLimits};
use lockstep_mappings::postgres::fetch::PageLimits;
use lockstep_queue::TenantHint;
use lockstep_worker::{CursorsMove, Hints, Limits};

use crate::fixture::WorkerFixture;

fn fails(failure: Failure) -> DestinationError {
    DestinationError::new(failure, "ClickHouse", "as scripted")
}

#[tokio::test(flavor = "multi_thread")]
async fn cur_1_rows_whose_cursor_was_not_written_are_shipped_again() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.known_tenancy().await;
    fixture.users(tenancy, 10).await;
    fixture.pass().await;
    let destination = Faulty::new(fixture.clickhouse.clone());
    let mut flusher = fixture.flusher_to(destination.clone(), Limits::default());
    let hints = fixture.hints(&[tenancy]);
    for fault in [Fault::Before(fails(Failure::Unavailable)), Fault::LostConnection] {
        destination.script(Operation::Advance, [Some(fault)]);
        let flushed = flusher.flush(&hints).await;
        assert_eq!((flushed.rows, flushed.retry.pairs(), flushed.outage), (10, hints.pairs(), false));
        assert_eq!(fixture.cursor(tenancy, "users").await, SequenceId::BASE);
        assert_eq!(fixture.ask("SELECT count() FROM {views}.users").await, "10");
    }
    // Written, but the answer was lost: the same again does no harm.
    destination.script(Operation::Advance, [Some(Fault::After(fails(Failure::Unavailable)))]);
    assert!(!flusher.flush(&hints).await.retry.is_empty());
    let flushed = flusher.flush(&hints).await;
    assert!(flushed.retry.is_empty() && flushed.failed.is_empty());
    assert_eq!(destination.left(), 0);
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cur_1_a_write_that_fails_leaves_its_cursor_and_no_other() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.tenancy().await;
    let user = fixture.user(tenancy, "Ada").await;
    fixture.grant(tenancy, user).await;
    fixture.pass().await;
    let destination = Faulty::new(fixture.clickhouse.clone());
    let mut flusher = fixture.flusher_to(destination.clone(), Limits::default());
    for (fault, put_off) in [
        (Fault::LostConnection, false),
        (Fault::After(fails(Failure::Overloaded)), false),
        (Fault::Before(fails(Failure::Misconfigured)), true),
    ] {
        // Users are read and written first.
        destination.script(Operation::Write, [Some(fault)]);
        let flushed = flusher.flush(&fixture.hints(&[tenancy])).await;
        assert_eq!((flushed.retry.pairs(), flushed.failed.len()), if put_off { (0, 1) } else { (1, 0) }, "{flushed:?}");
        assert_eq!(fixture.cursor(tenancy, "users").await, SequenceId::BASE);
        assert!(fixture.cursor(tenancy, "project_permissions").await > SequenceId::BASE);
    }
    flusher.flush(&fixture.hints(&[tenancy])).await;
    assert!(fixture.cursor(tenancy, "users").await > SequenceId::BASE);
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cur_1_a_page_that_was_cut_moves_the_cursor_to_its_last_row() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.known_tenancy().await;
    fixture.users(tenancy, 100).await;
    fixture.pass().await;
    let limits = Limits {
        page: PageLimits { tenancy_rows: 30, total_rows: 1000 },
        write: WriteLimits { chunk_bytes: 300, write_rows: 7, ..WriteLimits::default() },
        ..Limits::default()
    };
    let mut flusher = fixture.flusher(limits);
    let mut hints = fixture.hints(&[tenancy]);
    for seen in [30, 60, 90, 100] {
        let flushed = flusher.flush(&hints).await;
        assert_eq!(fixture.ask("SELECT count() FROM {views}.users").await, seen.to_string());
        let last = fixture.ask("SELECT max(sync_sequence_id) FROM {raw}.users").await.parse().unwrap();
        if seen < 100 {
            assert_eq!(fixture.cursor(tenancy, "users").await, SequenceId::new(last));
        }
        assert_eq!(flushed.more.is_empty(), seen == 100);
        hints = flushed.more;
    }
    assert_eq!(fixture.cursor(tenancy, "users").await, fixture.head().await);
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cur_1_a_page_with_too_many_bytes_is_stopped_and_goes_on_from_there() {
    let fixture = WorkerFixture::new().await;
    let (large, small) = (fixture.tenancy().await, fixture.tenancy().await);
    fixture.users(large, 40).await;
    fixture.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = repeat('x', 100000)"#).await;
    let user = fixture.user(small, "Ada").await;
    fixture.grant(small, user).await;
    fixture.pass().await;
    let write = WriteLimits { chunk_bytes: 1000, write_bytes: 300_000, ..WriteLimits::default() };
    let limits = Limits { page_bytes: 1_000_000, write, ..Limits::default() };
    let mut flusher = fixture.flusher(limits);
    let mut left = fixture.hints(&[large, small]);
    let mut pages = 0;
    while !left.is_empty() {
        let flushed = flusher.flush(&left).await;
        assert!(flushed.failed.is_empty() && !flushed.outage, "{flushed:?}");
        left = flushed.retry;
        left.merge(&flushed.more);
        pages += 1;
    }
    assert!((5..20).contains(&pages), "{pages} flushes for four pages of users and the other mappings");
    fixture.assert_equal().await;
    // A tenancy that moved is tombstoned where it was only from whole pages.
    fixture.run_sql(&format!(r#"UPDATE "Tenancy" SET "branchId" = 'elsewhere' WHERE "id" = '{large}'"#)).await;
    fixture.pass().await;
    let mut left = fixture.hints(&[large]);
    while !left.is_empty() {
        let flushed = flusher.flush(&left).await;
        left = flushed.retry;
        left.merge(&flushed.more);
    }
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cur_1_what_the_destination_lost_behind_a_remembered_cursor_is_shipped_again() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.known_tenancy().await;
    fixture.users(tenancy, 10).await;
    fixture.pass().await;
    let mut flusher = fixture.flusher(Limits::default());
    flusher.flush(&fixture.hints(&[tenancy])).await;
    fixture.assert_equal().await;
    let before = fixture.head().await;
    // As if an older backup had been restored into it.
    fixture.change("TRUNCATE TABLE {raw}._stack_sync_metadata SYNC").await;
    fixture.change("TRUNCATE TABLE {raw}.users SYNC").await;
    fixture.users(tenancy, 5).await;
    fixture.pass().await;
    let hint = TenantHint {
        tenancy,
        mappings: vec!["users".parse().unwrap()],
        sequence: fixture.head().await,
        previous: vec![before],
        times: ChangeTimes::default(),
    };
    let mut hints = Hints::default();
    hints.add_batch(&[hint].into_iter().collect(), &fixture.mappings());
    // Another flush may take for granted what this one leaves to be written: nothing, before it is confirmed.
    let flushed = flusher.flush_with(&hints, CursorsMove::Meanwhile).await;
    assert_eq!((flushed.retry.pairs(), flushed.cursors.is_none()), (1, true), "{flushed:?}");
    let flushed = flusher.flush(&flushed.retry).await;
    assert!(flushed.retry.is_empty() && flushed.failed.is_empty(), "{flushed:?}");
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cur_1_flushes_that_follow_each_other_do_not_pass_over_what_the_destination_lost() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.known_tenancy().await;
    let (sequencer, worker) = (fixture.start_sequencer(), fixture.start());
    fixture.users(tenancy, 10).await;
    fixture.eventually_equal().await;
    for _ in 0..3 {
        fixture.change("TRUNCATE TABLE {raw}._stack_sync_metadata SYNC").await;
        fixture.change("TRUNCATE TABLE {raw}.users SYNC").await;
        // One at a time: a flush begins while the cursors of the last one are written.
        for _ in 0..30 {
            fixture.users(tenancy, 1).await;
        }
        fixture.eventually_equal().await;
    }
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}
