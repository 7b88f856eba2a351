//! Fills: resumed where they stopped, without a gap for readers, and without what the source no longer has.

use lockstep_core::SequenceId;
use lockstep_destinations::postgres::MappingState;
use lockstep_destinations::{Destination, Failure, PageWriter};

use crate::fixture::{Fixture, pass_over, push};

#[tokio::test]
async fn a_fill_goes_on_where_another_process_was_killed() {
    let fixture = Fixture::empty().await;
    fixture.postgres.prepare(&fixture.mapping).await.unwrap();
    assert_eq!(fixture.state().await, MappingState::Absent);
    let first = fixture.postgres.begin_fill(&fixture.mapping, SequenceId::new(100)).await.unwrap();
    assert_eq!((first.version, first.rows, &first.after), (SequenceId::new(100), 0, &None));
    let page = fixture.fill_page(&first, &[(1, 100, Some("one")), (2, 100, Some("two"))]);
    let second = page.position();
    let _ = page.end(&[]).await.unwrap();
    // A page that was read and never written.
    drop(fixture.fill_page(&second, &[(3, 100, Some("lost"))]));
    let other = fixture.another();
    let states = other.states(std::slice::from_ref(&fixture.mapping.name)).await.unwrap();
    assert_eq!(states[&fixture.mapping.name], MappingState::Filling(second.clone()));
    assert_eq!(second.rows, 2);
    let mut last = fixture.fill_page(&second, &[(3, 100, Some("three"))]);
    last.is_last();
    let _ = last.end(&[]).await.unwrap();
    fixture.shows(&[(1, "one"), (2, "two"), (3, "three")]).await;
    assert_eq!(fixture.at().await, 100);
    fixture.end().await;
}

#[tokio::test]
async fn a_fill_that_is_begun_again_begins_with_its_first_row_and_takes_no_page_of_the_one_before() {
    let fixture = Fixture::empty().await;
    fixture.postgres.prepare(&fixture.mapping).await.unwrap();
    let first = fixture.postgres.begin_fill(&fixture.mapping, SequenceId::new(100)).await.unwrap();
    let page = fixture.fill_page(&first, &[(1, 100, Some("one"))]);
    let passed = page.position();
    let _ = page.end(&[]).await.unwrap();
    let again = fixture.postgres.begin_fill(&fixture.mapping, SequenceId::new(200)).await.unwrap();
    assert_eq!((again.version, again.rows, &again.after), (SequenceId::new(200), 0, &None));
    let late = fixture.fill_page(&passed, &[(2, 100, Some("late"))]).end(&[]).await;
    assert_eq!(late.unwrap_err().failure(), Failure::Moved);
    let mut last = fixture.fill_page(&again, &[(3, 200, Some("three"))]);
    last.is_last();
    let _ = last.end(&[]).await.unwrap();
    fixture.shows(&[(3, "three")]).await;
    assert_eq!(fixture.at().await, 200);
    fixture.end().await;
}

#[tokio::test]
async fn a_page_of_a_fill_is_written_once() {
    let fixture = Fixture::empty().await;
    fixture.postgres.prepare(&fixture.mapping).await.unwrap();
    let from = fixture.postgres.begin_fill(&fixture.mapping, SequenceId::new(100)).await.unwrap();
    for failure in [None, Some(Failure::Moved)] {
        let ended = fixture.fill_page(&from, &[(1, 100, Some("one"))]).end(&[]).await;
        assert_eq!(ended.err().map(|error| error.failure()), failure);
    }
    fixture.end().await;
}

#[tokio::test]
async fn a_refill_removes_what_the_source_no_longer_has_and_readers_see_no_gap() {
    let fixture = Fixture::filled().await;
    let all: Vec<_> = (1..=6).map(|key| (key, 5, Some("old"))).collect();
    fixture.page(1, 10, &all).await.unwrap();
    let first = fixture.postgres.begin_fill(&fixture.mapping, SequenceId::new(20)).await.unwrap();
    fixture.shows(&[(1, "old"), (2, "old"), (3, "old"), (4, "old"), (5, "old"), (6, "old")]).await;
    // 2 is gone, 3 was set aside.
    let mut page = fixture.fill_page(&first, &[(1, 20, Some("new"))]);
    pass_over(&mut page, &fixture.mapping, fixture.tenancy, (3, 20, Some("unreadable")));
    push(&mut page, &fixture.mapping, fixture.tenancy, &[(4, 20, Some("new"))]).unwrap();
    let second = page.position();
    let _ = page.end(&[]).await.unwrap();
    fixture.shows(&[(1, "new"), (3, "old"), (4, "new"), (5, "old"), (6, "old")]).await;
    let mut page = fixture.fill_page(&second, &[(6, 20, Some("new")), (7, 20, Some("new"))]);
    page.is_last();
    let _ = page.end(&[]).await.unwrap();
    fixture.shows(&[(1, "new"), (3, "old"), (4, "new"), (6, "new"), (7, "new")]).await;
    assert_eq!(fixture.at().await, 20);
    fixture.end().await;
}

#[tokio::test]
async fn the_last_page_removes_all_that_follows_and_may_be_empty() {
    let fixture = Fixture::filled().await;
    fixture.page(1, 10, &[(1, 5, Some("old")), (2, 6, Some("old"))]).await.unwrap();
    fixture.fill(20, &[]).await;
    fixture.shows(&[]).await;
    fixture.end().await;
}

#[tokio::test]
async fn idem_1_a_page_of_the_stream_from_before_a_fill_is_not_written_during_it_nor_after() {
    let fixture = Fixture::filled().await;
    fixture.page(1, 10, &[(1, 5, Some("one"))]).await.unwrap();
    let from = [(fixture.tenancy, SequenceId::new(10))];
    let to = [(fixture.tenancy, SequenceId::new(10))];
    let late = || {
        let mut page = fixture.postgres.open_page(fixture.start(&from));
        push(&mut page, &fixture.mapping, fixture.tenancy, &[(1, 6, Some("late"))]).unwrap();
        page
    };
    let (during, after) = (late(), late());
    // The fill's number is the very cursor that those pages were read above.
    let position = fixture.postgres.begin_fill(&fixture.mapping, SequenceId::new(10)).await.unwrap();
    assert_eq!(during.end(&to).await.unwrap_err().failure(), Failure::Moved);
    let ahead = [(fixture.tenancy, fixture.mapping.name.clone(), SequenceId::new(50))];
    let advanced = fixture.postgres.advance(&ahead, crate::fixture::fresh()).await;
    assert_eq!(advanced.unwrap_err().failure(), Failure::Moved);
    let mut page = fixture.fill_page(&position, &[(1, 10, Some("new"))]);
    page.is_last();
    let _ = page.end(&[]).await.unwrap();
    assert_eq!(after.end(&to).await.unwrap_err().failure(), Failure::Moved);
    fixture.shows(&[(1, "new")]).await;
    fixture.end().await;
}

#[tokio::test]
async fn a_first_fill_meets_rows_that_somebody_else_has_written_meanwhile() {
    let fixture = Fixture::empty().await;
    fixture.postgres.prepare(&fixture.mapping).await.unwrap();
    let from = fixture.postgres.begin_fill(&fixture.mapping, SequenceId::new(100)).await.unwrap();
    fixture
        .run("INSERT INTO public.team_member_profiles (team_id, user_id, created_at) SELECT i, i, now() FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS i) x")
        .await;
    let mut page = fixture.fill_page(&from, &[(1, 100, Some("one")), (2, 100, Some("two"))]);
    page.is_last();
    let _ = page.end(&[]).await.unwrap();
    fixture.shows(&[(1, "one"), (2, "two")]).await;
    fixture.end().await;
}

#[tokio::test]
async fn a_tenant_sees_how_fresh_its_database_is() {
    let fixture = Fixture::filled().await;
    let state = "SELECT through_sequence_id, state FROM public.lockstep_status WHERE mapping_name = 'team_member_profiles' AND of_time <= now()";
    let row = fixture.client.query_one(state, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, String>(1)), (1, "streaming".to_owned()));
    fixture.postgres.begin_fill(&fixture.mapping, SequenceId::new(20)).await.unwrap();
    let row = fixture.client.query_one(state, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, String>(1)), (1, "filling".to_owned()));
    fixture.end().await;
}
