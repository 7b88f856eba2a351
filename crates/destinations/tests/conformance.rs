//! What every destination must do, as functions over the contract. They run against each destination, and against the
//! scripted one around it, which must keep the contract wherever its script says nothing.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "clickhouse/fixture.rs"]
#[allow(dead_code, reason = "shared with the tests of ClickHouse alone")]
mod fixture;
#[path = "conformance/subject.rs"]
mod subject;
#[path = "postgres/fixture.rs"]
#[allow(dead_code, reason = "shared with the tests of tenants' Postgres alone")]
mod tenant;

use self::subject::{From, Profile, Subject};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::compare::Compare;
use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_destinations::{
    ClickHouse, CursorAt, Cursors, Destination, DestinationError, Failure, Keeps, Moment, PageStart, PageWriter,
    Postgres, Retry, Selection, WriteLimits, WriteWindow,
};
use lockstep_mappings::clickhouse::raw_table;
use lockstep_mappings::codec::{CodecError, CopyReader, Row};
use lockstep_mappings::postgres::compare::Scope;
use lockstep_mappings::{Mapping, MappingSet};
use uuid::Uuid;

/// Runs each function against ClickHouse, a tenant's Postgres, and the scripted destination around both.
macro_rules! conformance {
    ($($test:ident)*) => {
        mod clickhouse {
            $(#[tokio::test] async fn $test() { crate::on_clickhouse(|clickhouse| clickhouse, crate::$test).await })*
        }
        mod faulty {
            use lockstep_destinations::faulty::Faulty;
            $(#[tokio::test] async fn $test() { crate::on_clickhouse(Faulty::new, crate::$test).await })*
        }
        mod postgres {
            $(#[tokio::test] async fn $test() { crate::on_postgres(|postgres| postgres, crate::$test).await })*
        }
        mod faulty_postgres {
            use lockstep_destinations::faulty::Faulty;
            $(#[tokio::test] async fn $test() { crate::on_postgres(Faulty::new, crate::$test).await })*
        }
    };
}

/// Runs each function against destinations that keep versions, of many tenancies.
macro_rules! conformance_of_versions {
    ($($test:ident)*) => {
        mod clickhouse_versions {
            $(#[tokio::test] async fn $test() { crate::on_clickhouse(|clickhouse| clickhouse, crate::$test).await })*
        }
        mod faulty_versions {
            use lockstep_destinations::faulty::Faulty;
            $(#[tokio::test] async fn $test() { crate::on_clickhouse(Faulty::new, crate::$test).await })*
        }
    };
}

/// With mappings that were filled without a row, so that they have cursors.
async fn on_postgres<D: Destination, F>(
    wrap: impl FnOnce(Postgres) -> D + Send + 'static,
    test: impl FnOnce(Subject<D, Postgres>) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let fixture = tenant::Fixture::filled().await;
    let (postgres, mapping, tenancy) = (fixture.postgres.clone(), Arc::clone(&fixture.mapping), fixture.tenancy);
    test(Subject { destination: wrap(postgres.clone()), readable: postgres, mapping, tenancy }).await;
    fixture.end().await;
}

async fn on_clickhouse<D: Destination, F>(
    wrap: impl FnOnce(ClickHouse) -> D + Send + 'static,
    test: impl FnOnce(Subject<D, ClickHouse>) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    fixture::with_database(|fixture| async move {
        let set = MappingSet::built_in();
        let mapping = Arc::new(set.get(&"team_member_profiles".parse().unwrap()).unwrap().clone());
        let clickhouse = fixture.clickhouse;
        for statement in raw_table(&mapping, clickhouse.databases()).create() {
            clickhouse.execute(&statement).await.unwrap();
        }
        test(Subject { destination: wrap(clickhouse.clone()), readable: clickhouse, mapping, tenancy: tenancy(1) })
            .await;
    })
    .await;
}

conformance! {
    rows_arrive_as_they_were_sent
    a_write_without_rows_does_nothing
    the_highest_number_of_a_page_wins
    idem_1_rows_that_are_written_again_are_there_once
    del_1_a_tombstone_hides_what_was_read_before_it_whenever_that_arrives
    what_was_read_too_long_ago_is_neither_begun_nor_ended
    cur_1_a_cursor_is_not_moved_late
    writes_that_fail_before_after_and_in_between_can_be_repeated
    cursors_that_fail_or_hang_can_be_asked_for_again
    a_write_that_is_dropped_leaves_nothing
    cur_1_a_cursor_never_moves_back
}

conformance_of_versions! {
    writes_are_cut_where_they_are_told_to
    the_highest_number_wins_whatever_arrives_last
    a_tombstone_hides_what_is_below_it_whenever_that_arrives
    a_chunk_that_was_not_sent_to_its_end_breaks_the_write
    cursors_come_back_as_they_were_advanced
    twenty_thousand_tenants_are_one_lookup
}

async fn rows_arrive_as_they_were_sent<D: Destination>(subject: Subject<D, impl Compare>) {
    let name = "emoji 🦀, 'quotes', \t and \\";
    let rows: Vec<Profile<'_>> = (0..1_000).map(|key| (key, 1, Some(name))).collect();
    subject.write(&rows).await;
    subject.shows(&(0..1_000).map(|key| (key, name)).collect::<Vec<_>>()).await;
}

async fn the_highest_number_of_a_page_wins<D: Destination>(subject: Subject<D, impl Compare>) {
    subject.write(&[(1, 5, Some("old")), (2, 6, None), (3, 7, Some("gone")), (1, 8, Some("new"))]).await;
    subject.write(&[(2, 9, Some("back")), (3, 10, None)]).await;
    subject.shows(&[(1, "new"), (2, "back")]).await;
}

async fn del_1_a_tombstone_hides_what_was_read_before_it_whenever_that_arrives<D: Destination>(
    subject: Subject<D, impl Compare>,
) {
    subject.write(&[(1, 10, Some("here")), (2, 10, Some("here"))]).await;
    // What was read before the deletion, and is written after it.
    let from = subject.from().await;
    let mut late = subject.destination.open_page(subject.page(fresh(), &from));
    subject.push(&mut late, &[(1, 11, Some("late")), (3, 12, Some("late"))]).await.unwrap();
    subject.write(&[(1, 20, None), (3, 20, None)]).await;
    if let Err(error) = end(late, &from).await {
        assert_eq!((error.failure(), error.retry()), (Failure::Moved, Retry::Later), "{error}");
    }
    subject.shows(&[(2, "here")]).await;
    subject.write(&[(1, 21, Some("again"))]).await;
    subject.shows(&[(1, "again"), (2, "here")]).await;
}

async fn writes_are_cut_where_they_are_told_to<D: Destination>(subject: Subject<D, impl Compare>) {
    let name = "emoji 🦀, 'quotes', \t and \\";
    let rows: Vec<Profile<'_>> = (0..1_000).map(|key| (key, 1, Some(name))).collect();
    let limits = WriteLimits { chunk_bytes: 100, write_rows: 25, ..WriteLimits::default() };
    let from = subject.from().await;
    let mut page = subject.destination.open_page(PageStart { limits, ..subject.page(fresh(), &from) });
    subject.push(&mut page, &rows).await.unwrap();
    page.send().await.unwrap();
    let sent = page.sent();
    assert!((30..=50).contains(&sent.writes) && sent.bytes > 50_000, "{sent:?}");
    end(page, &from).await.unwrap();
    subject.shows(&(0..1_000).map(|key| (key, name)).collect::<Vec<_>>()).await;
}

async fn a_write_without_rows_does_nothing<D: Destination>(subject: Subject<D, impl Compare>) {
    subject.write(&[]).await;
    subject.shows(&[]).await;
}

async fn the_highest_number_wins_whatever_arrives_last<D: Destination>(subject: Subject<D, impl Compare>) {
    subject.write(&[(1, 20, Some("new")), (2, 5, Some("old"))]).await;
    subject.write(&[(1, 10, Some("old")), (2, 6, Some("new"))]).await;
    subject.write(&[(3, 8, Some("new")), (3, 7, Some("old"))]).await;
    subject.shows(&[(1, "new"), (2, "new"), (3, "new")]).await;
}

async fn idem_1_rows_that_are_written_again_are_there_once<D: Destination>(subject: Subject<D, impl Compare>) {
    for _ in 0..3 {
        subject.write(&[(1, 10, Some("one")), (2, 11, None), (3, 12, Some("three"))]).await;
    }
    subject.shows(&[(1, "one"), (3, "three")]).await;
}

async fn a_tombstone_hides_what_is_below_it_whenever_that_arrives<D: Destination>(subject: Subject<D, impl Compare>) {
    subject.write(&[(1, 10, Some("gone")), (2, 10, Some("back"))]).await;
    subject.write(&[(1, 20, None), (2, 20, None), (3, 20, None)]).await;
    subject.shows(&[]).await;
    // A late write of what was read before the deletion, and a row that was made again.
    subject.write(&[(1, 11, Some("late")), (3, 12, Some("late")), (2, 21, Some("again"))]).await;
    subject.shows(&[(2, "again")]).await;
}

async fn what_was_read_too_long_ago_is_neither_begun_nor_ended<D: Destination>(subject: Subject<D, impl Compare>) {
    let from = subject.from().await;
    let mut late = subject.destination.open_page(subject.page(read_ago(Duration::from_secs(61)), &from));
    subject.push(&mut late, &[(1, 1, Some("late"))]).await.unwrap();
    let error = end(late, &from).await.unwrap_err();
    assert_eq!((error.failure(), error.retry(), error.code()), (Failure::Late, Retry::Later, "LS-0209"));
    // Begun in time, and held up before its end.
    let window = WriteWindow::new(Moment::now(), Duration::from_secs(6));
    let mut page = subject.destination.open_page(subject.page(window, &from));
    subject.push(&mut page, &[(1, 1, Some("late"))]).await.unwrap();
    page.send().await.unwrap();
    let mut every = tokio::time::interval(Duration::from_millis(20));
    while window.is_open() {
        every.tick().await;
    }
    assert_eq!(end(page, &from).await.unwrap_err().failure(), Failure::Late);
    let mut in_time = subject.destination.open_page(subject.page(read_ago(Duration::ZERO), &from));
    subject.push(&mut in_time, &[(2, 1, Some("in time"))]).await.unwrap();
    end(in_time, &from).await.unwrap();
    subject.shows(&[(2, "in time")]).await;
}

async fn cur_1_a_cursor_is_not_moved_late<D: Destination>(subject: Subject<D, impl Compare>) {
    let before = subject.cursors().await;
    let late = subject.destination.advance(&[subject.at(50)], read_ago(Duration::from_secs(61))).await;
    assert_eq!(late.unwrap_err().failure(), Failure::Late);
    assert_eq!(subject.cursors().await, before);
}

async fn writes_that_fail_before_after_and_in_between_can_be_repeated<D: Destination>(
    subject: Subject<D, impl Compare>,
) {
    let faulty = Faulty::new(subject.destination.clone());
    faulty.script(
        Operation::Write,
        [Some(Fault::Before(scripted())), Some(Fault::LostConnection), Some(Fault::After(scripted()))],
    );
    let rows = [(1, 10, Some("one")), (2, 11, Some("two"))];
    assert_eq!(subject.try_write(&faulty, &rows).await, Err(scripted()));
    assert_eq!(subject.try_write(&faulty, &rows).await.unwrap_err().failure(), Failure::Unavailable);
    subject.shows(&[]).await;
    // The answer was lost, the rows were not.
    assert_eq!(subject.try_write(&faulty, &rows).await, Err(scripted()));
    subject.shows(&[(1, "one"), (2, "two")]).await;
    assert_eq!(faulty.left(), 0);
    assert_eq!(subject.try_write(&faulty, &rows).await, Ok(()));
    subject.shows(&[(1, "one"), (2, "two")]).await;
}

async fn cursors_that_fail_or_hang_can_be_asked_for_again<D: Destination>(subject: Subject<D, impl Compare>) {
    let faulty = Faulty::new(subject.destination.clone());
    let at = [subject.at(4)];
    faulty.script(Operation::Advance, [Some(Fault::After(scripted())), Some(Fault::Hang)]);
    faulty.script(Operation::Cursors, [Some(Fault::Before(scripted()))]);
    assert_eq!(faulty.advance(&at, fresh()).await, Err(scripted()));
    assert!(tokio::time::timeout(Duration::from_millis(50), faulty.advance(&at, fresh())).await.is_err());
    assert_eq!(faulty.cursors(Selection::All, Selection::All).await, Err(scripted()));
    // The answer was lost, the cursor was not.
    assert_eq!(faulty.cursors(Selection::All, Selection::All).await.unwrap().len(), 1);
}

async fn a_write_that_is_dropped_leaves_nothing<D: Destination>(subject: Subject<D, impl Compare>) {
    let from = subject.from().await;
    let mut page = subject.destination.open_page(subject.page(fresh(), &from));
    // Whole rows: what the destination has is complete as far as it goes, and still must not be kept.
    subject.push(&mut page, &[(1, 10, Some("abandoned"))]).await.unwrap();
    page.send().await.unwrap();
    drop(page);
    subject.write(&[(2, 11, Some("kept"))]).await;
    subject.shows(&[(2, "kept")]).await;
}

async fn a_chunk_that_was_not_sent_to_its_end_breaks_the_write<D: Destination>(subject: Subject<D, impl Compare>) {
    let name = "x".repeat(16_000);
    let rows: Vec<Profile<'_>> = (0..2_000).map(|key| (key, 1, Some(name.as_str()))).collect();
    let limits = WriteLimits { chunk_bytes: 40_000_000, ..WriteLimits::default() };
    let from = subject.from().await;
    let mut page = subject.destination.open_page(PageStart { limits, ..subject.page(fresh(), &from) });
    // 30 MB at once fill every buffer on the way: some send has to wait, and is dropped while it does.
    let mut dropped = false;
    for _ in 0..100 {
        subject.push(&mut page, &rows).await.unwrap();
        if tokio::time::timeout(Duration::ZERO, page.send()).await.is_err() {
            dropped = true;
            break;
        }
    }
    assert!(dropped, "3 GB were taken without a wait");
    assert_eq!(end(page, &from).await.unwrap_err().retry(), Retry::Later);
}

async fn cursors_come_back_as_they_were_advanced<D: Destination>(subject: Subject<D, impl Compare>) {
    let destination = &subject.destination;
    let teams: MappingName = "teams".parse().unwrap();
    let (ours, nobody) = (tenancy(1), tenancy(3));
    let all = vec![users_at(1, i64::MAX), (ours, teams.clone(), SequenceId::new(7)), users_at(2, 0)];
    destination.advance(&all, fresh()).await.unwrap();
    let expected: Cursors = all.iter().cloned().map(|(id, name, at)| ((id, name), at)).collect();
    assert_eq!(subject.cursors().await, expected);
    let one = destination.cursors(Selection::These(&[ours]), Selection::These(std::slice::from_ref(&teams))).await;
    assert_eq!(one.unwrap(), Cursors::from([((ours, teams), SequenceId::new(7))]));
    for tenancies in [&[nobody][..], &[]] {
        let none = destination.cursors(Selection::These(tenancies), Selection::All).await.unwrap();
        assert_eq!(none, Cursors::new(), "nothing that was asked for was found");
    }
    destination.advance(&[], fresh()).await.unwrap();
}

async fn cur_1_a_cursor_never_moves_back<D: Destination>(subject: Subject<D, impl Compare>) {
    for at in [10, 30, 20] {
        subject.destination.advance(&[subject.at(at)], fresh()).await.unwrap();
    }
    let (id, name, at) = subject.at(30);
    assert_eq!(subject.cursors().await, Cursors::from([((id, name), at)]));
}

async fn twenty_thousand_tenants_are_one_lookup<D: Destination>(subject: Subject<D, impl Compare>) {
    let at: Vec<CursorAt> = (1..=20_000).map(|number: i64| users_at(number.unsigned_abs().into(), number)).collect();
    subject.destination.advance(&at, fresh()).await.unwrap();
    let asked: Vec<TenancyId> = at.iter().rev().map(|(id, ..)| *id).collect();
    let users: MappingName = "users".parse().unwrap();
    let found = subject.destination.cursors(Selection::These(&asked), Selection::These(&[users])).await.unwrap();
    assert_eq!(found.len(), 20_000);
    assert!(at.iter().all(|(id, name, at)| found.get(&(*id, name.clone())) == Some(at)));
}

/// Ends a page that was read above these cursors.
async fn end(page: impl PageWriter, from: &From) -> Result<(), DestinationError> {
    let until: From = from.iter().map(|(id, at)| (*id, SequenceId::new(at.get() + 1))).collect();
    page.end(&until).await.map(drop)
}

/// For what was read so long ago, with a limit of two minutes.
fn read_ago(ago: Duration) -> WriteWindow {
    WriteWindow::new(Moment::now() - ago, Duration::from_secs(120))
}

fn fresh() -> WriteWindow {
    read_ago(Duration::ZERO)
}

fn tenancy(id: u128) -> TenancyId {
    TenancyId::new(Uuid::from_u128(id))
}

/// A cursor of the mapping `users`.
fn users_at(id: u128, at: i64) -> CursorAt {
    (tenancy(id), "users".parse().unwrap(), SequenceId::new(at))
}

fn scripted() -> DestinationError {
    DestinationError::new(Failure::Overloaded, "clickhouse", "scripted")
}
