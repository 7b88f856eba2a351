//! Pages of the stream: nothing old is written, whatever stood still in between.

use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::{Cursors, Destination, Failure, Keeps, PageWriter, Retry, Selection};
use uuid::Uuid;

use crate::fixture::{Fixture, fresh, push};

#[tokio::test]
async fn rows_arrive_change_and_go_with_their_cursor() {
    let fixture = Fixture::filled().await;
    assert_eq!(fixture.postgres.keeps(), Keeps::Rows);
    fixture.page(1, 10, &[(1, 5, Some("one")), (2, 6, Some("two")), (3, 7, Some("three"))]).await.unwrap();
    fixture.page(10, 20, &[(1, 11, Some("uno")), (2, 12, None), (4, 13, None)]).await.unwrap();
    fixture.shows(&[(1, "uno"), (3, "three")]).await;
    assert_eq!(fixture.at().await, 20);
    fixture.page(20, 30, &[(2, 21, Some("again"))]).await.unwrap();
    fixture.page(30, 31, &[]).await.unwrap();
    fixture.shows(&[(1, "uno"), (2, "again"), (3, "three")]).await;
    assert_eq!(fixture.at().await, 31);
    fixture.end().await;
}

#[tokio::test]
async fn idem_1_a_page_that_was_read_above_another_cursor_writes_nothing() {
    let fixture = Fixture::filled().await;
    fixture.page(1, 10, &[(1, 5, Some("one"))]).await.unwrap();
    for from in [0, 1, 9, 11] {
        let moved = fixture.page(from, 40, &[(1, 6, Some("old")), (2, 7, Some("new"))]).await.unwrap_err();
        assert_eq!((moved.failure(), moved.retry(), moved.code()), (Failure::Moved, Retry::Later, "LS-0211"));
    }
    fixture.shows(&[(1, "one")]).await;
    assert_eq!(fixture.at().await, 10);
    fixture.end().await;
}

#[tokio::test]
async fn del_1_a_late_page_brings_no_deleted_row_back() {
    let fixture = Fixture::filled().await;
    let from = [(fixture.tenancy, SequenceId::new(1))];
    // A process reads a page, and stands still. Another one goes on: it writes the row, and then its end.
    let other = fixture.another();
    let mut late = other.open_page(fixture.start(&from));
    push(&mut late, &fixture.mapping, fixture.tenancy, &[(1, 5, Some("late"))]).unwrap();
    fixture.page(1, 10, &[(1, 5, Some("one"))]).await.unwrap();
    fixture.page(10, 11, &[(1, 11, None)]).await.unwrap();
    let moved = late.end(&[(fixture.tenancy, SequenceId::new(12))]).await.unwrap_err();
    assert_eq!(moved.failure(), Failure::Moved);
    fixture.shows(&[]).await;
    assert_eq!(fixture.at().await, 11);
    fixture.end().await;
}

#[tokio::test]
async fn idem_1_of_two_processes_with_the_same_page_one_writes_it() {
    let fixture = Fixture::filled().await;
    let from = [(fixture.tenancy, SequenceId::new(1))];
    let to = [(fixture.tenancy, SequenceId::new(10))];
    let (one, other) = (fixture.another(), fixture.another());
    let pages = [&one, &other].map(|process| {
        let mut page = process.open_page(fixture.start(&from));
        push(&mut page, &fixture.mapping, fixture.tenancy, &[(1, 5, Some("one"))]).unwrap();
        page
    });
    let [one, other] = pages;
    let (one, other) = tokio::join!(one.end(&to), other.end(&to));
    let failures: Vec<_> = [one, other].into_iter().filter_map(Result::err).map(|error| error.failure()).collect();
    assert_eq!(failures, [Failure::Moved]);
    fixture.shows(&[(1, "one")]).await;
    fixture.end().await;
}

#[tokio::test]
async fn a_page_that_is_dropped_at_any_time_leaves_nothing_and_blocks_nobody() {
    let fixture = Fixture::filled().await;
    let from = [(fixture.tenancy, SequenceId::new(1))];
    let rows: Vec<_> = (1..=2_000).map(|key| (key, 5, Some("dropped"))).collect();
    for polls in 1..40 {
        let mut page = fixture.postgres.open_page(fixture.start(&from));
        push(&mut page, &fixture.mapping, fixture.tenancy, &rows).unwrap();
        let to = [(fixture.tenancy, SequenceId::new(10))];
        let mut ending = Box::pin(page.end(&to));
        let mut ended = false;
        for _ in 0..polls {
            if let std::task::Poll::Ready(done) = futures_util::poll!(&mut ending) {
                ended = done.is_ok();
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(ending);
        // Rows first: a page whose end is on its way is there with its cursor, and may arrive between two looks.
        let shown = fixture.shown().await.len();
        if ended || fixture.at().await == 10 {
            break;
        }
        assert_eq!(shown, 0, "after {polls} polls");
    }
    if fixture.at().await == 1 {
        fixture.page(1, 10, &[(1, 5, Some("kept"))]).await.unwrap();
        fixture.shows(&[(1, "kept")]).await;
    }
    fixture.end().await;
}

#[tokio::test]
async fn iso_1_a_row_of_another_tenancy_is_not_taken() {
    let fixture = Fixture::filled().await;
    let from = [(fixture.tenancy, SequenceId::new(1))];
    let mut page = fixture.postgres.open_page(fixture.start(&from));
    let other = TenancyId::new(Uuid::from_u128(8));
    let refused = push(&mut page, &fixture.mapping, other, &[(1, 5, Some("theirs"))]).unwrap_err();
    assert!(!refused.is_of_row() && refused.to_string().contains("another tenancy"), "{refused}");
    fixture.end().await;
}

#[tokio::test]
async fn iso_1_a_database_of_another_tenancy_is_refused() {
    let fixture = Fixture::filled().await;
    let other = crate::fixture::another(fixture.database.url(), TenancyId::new(Uuid::from_u128(8)));
    let refused = other.states(std::slice::from_ref(&fixture.mapping.name)).await.unwrap_err();
    assert_eq!(refused.failure(), Failure::Misconfigured);
    assert!(refused.to_string().contains("rows of this tenancy"), "{refused}");
    fixture.end().await;
}

#[tokio::test]
async fn cursors_are_those_of_mappings_that_stream_and_never_move_back() {
    let fixture = Fixture::filled().await;
    let (name, tenancy) = (fixture.mapping.name.clone(), fixture.tenancy);
    let at = |number| vec![(tenancy, name.clone(), SequenceId::new(number))];
    for number in [10, 30, 20] {
        fixture.postgres.advance(&at(number), fresh()).await.unwrap();
    }
    let expected = Cursors::from([((tenancy, name.clone()), SequenceId::new(30))]);
    assert_eq!(fixture.postgres.cursors(Selection::All, Selection::All).await.unwrap(), expected);
    let others = [TenancyId::new(Uuid::from_u128(8))];
    let none = fixture.postgres.cursors(Selection::These(&others), Selection::All).await.unwrap();
    assert_eq!(none, Cursors::new());
    // A mapping that was never filled has no cursor that could be moved, and takes the others' with it.
    let users = (tenancy, "users".parse().unwrap(), SequenceId::new(50));
    let moved = fixture.postgres.advance(&[at(50).remove(0), users], fresh()).await.unwrap_err();
    assert_eq!(moved.failure(), Failure::Moved);
    assert_eq!(fixture.at().await, 30);
    fixture.end().await;
}

#[tokio::test]
async fn a_row_that_is_there_already_fires_no_trigger() {
    let fixture = Fixture::filled().await;
    fixture.page(1, 10, &[(1, 5, Some("one")), (2, 6, Some("two"))]).await.unwrap();
    fixture
        .run(
            "CREATE TABLE public.fired (what text);
             CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN INSERT INTO public.fired VALUES (TG_OP); RETURN NEW; END $$;
             CREATE TRIGGER note BEFORE INSERT OR UPDATE OR DELETE ON public.team_member_profiles
               FOR EACH ROW EXECUTE FUNCTION public.note()",
        )
        .await;
    fixture.page(10, 20, &[(1, 11, Some("one")), (2, 12, Some("two")), (9, 13, None)]).await.unwrap();
    assert_eq!(fixture.number("SELECT count(*) FROM public.fired").await, 0);
    fixture.page(20, 30, &[(1, 21, Some("uno"))]).await.unwrap();
    assert_eq!(fixture.number("SELECT count(*) FROM public.fired WHERE what = 'UPDATE'").await, 1);
    fixture.end().await;
}

#[tokio::test]
async fn a_connection_that_is_not_used_is_closed_and_opened_again() {
    use std::time::Duration;
    let fixture = Fixture::filled().await;
    assert!(!fixture.postgres.close_idle(Duration::from_secs(60)));
    assert!(fixture.postgres.close_idle(Duration::ZERO));
    fixture.page(1, 10, &[(1, 5, Some("one"))]).await.unwrap();
    // The server ends it meanwhile: the next call says so, the one after it works.
    fixture.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lockstep' AND datname = current_database()").await;
    if let Err(error) = fixture.page(10, 11, &[]).await {
        assert_eq!(error.failure(), Failure::Unavailable, "{error}");
        fixture.page(10, 11, &[]).await.unwrap();
    }
    assert_eq!(fixture.at().await, 11);
    fixture.end().await;
}
