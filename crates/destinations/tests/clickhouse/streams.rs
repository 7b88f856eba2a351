//! Streams: whole, or an error; never a part that looks whole.

use std::pin::pin;
use std::time::Duration;

use crate::fixture::{Fixture, with_database};
use futures_util::TryStreamExt;
use lockstep_destinations::clickhouse::{MAX_TEXT_BYTES, Timeouts};
use lockstep_destinations::{DestinationError, Failure};

/// The bytes that came, and the error if there was one.
async fn read(fixture: &Fixture, sql: &str) -> (usize, Option<DestinationError>) {
    let mut stream = pin!(fixture.clickhouse.stream(sql));
    let mut bytes = 0;
    loop {
        match stream.try_next().await {
            Ok(Some(chunk)) => bytes += chunk.len(),
            Ok(None) => return (bytes, None),
            Err(error) => {
                assert!(stream.try_next().await.is_ok_and(|next| next.is_none()), "a stream went on after an error");
                return (bytes, Some(error));
            }
        }
    }
}

#[tokio::test]
async fn a_stream_delivers_every_byte() {
    with_database(|fixture| async move {
        let (bytes, error) = read(&fixture, "SELECT number FROM numbers(3000000) FORMAT RowBinary").await;
        assert_eq!((bytes, error), (24_000_000, None));
        assert_eq!(read(&fixture, "SELECT number FROM numbers(0) FORMAT RowBinary").await, (0, None));
    })
    .await;
}

#[tokio::test]
async fn an_exception_in_the_middle_of_a_stream_is_noticed() {
    with_database(|fixture| async move {
        // Row sizes that put the exception at many different places of a chunk.
        for size in 10..30 {
            // A number, the length of the text in at most two bytes, the text.
            let row_bytes = 1 + 2 + 8 * size;
            let sql = format!(
                "SELECT throwIf(number = 300000), repeat('hunter2 ', {size}) FROM numbers(1000000) \
                 SETTINGS max_block_size = 10000, max_threads = 1 FORMAT RowBinary"
            );
            let (bytes, error) = read(&fixture, &sql).await;
            assert!(bytes > 1_000_000, "the exception came before the first rows");
            assert!(bytes <= 300_000 * row_bytes, "a part of the exception passed for rows");
            let error = error.expect("half an answer passed for a whole one");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn rows_that_read_like_an_exception_are_rows() {
    with_database(|fixture| async move {
        let text = "\r\n__exception__\r\nCode: 60. DB::Exception: x))\n";
        let sql = format!("SELECT '{text}' FROM numbers(1000000) FORMAT RowBinary");
        assert_eq!(read(&fixture, &sql).await, (1_000_000 * (text.len() + 1), None));
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_silent_for_too_long_ends() {
    with_database(|mut fixture| async move {
        let timeouts = Timeouts { stream_idle: Duration::from_millis(200), ..Timeouts::default() };
        fixture.clickhouse = fixture.clickhouse.with_timeouts(timeouts);
        let (bytes, error) = read(&fixture, "SELECT sleep(3) FORMAT RowBinary").await;
        let error = error.expect("a stream without a byte went on");
        assert_eq!((bytes, error.failure()), (0, Failure::Unavailable));
        assert!(error.to_string().contains("200 ms"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_dropped_ends_its_query() {
    with_database(|fixture| async move {
        // It answers nothing until its end, so the server would not notice by writing.
        let sql = format!("/* {} */ SELECT count() FROM system.numbers FORMAT RowBinary", fixture.raw);
        let running = format!("SELECT count() FROM system.processes WHERE query LIKE '/* {} */%'", fixture.raw);
        {
            let mut stream = pin!(fixture.clickhouse.stream(&sql));
            tokio::select! {
                item = stream.try_next() => panic!("an endless query answered {item:?}"),
                () = fixture.wait_for(&running, 1, "the query to be under way") => {}
            }
        }
        fixture.wait_for(&running, 0, "the query to be cancelled").await;
    })
    .await;
}

#[tokio::test]
async fn a_text_is_bounded() {
    with_database(|fixture| async move {
        let text = fixture.clickhouse.fetch_text("SELECT repeat('x', 1000) FROM numbers(3)").await.unwrap();
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [1000, 1000, 1000]);
        let sql = format!("SELECT repeat('x', 1024) FROM numbers({})", MAX_TEXT_BYTES / 1024);
        assert_eq!(fixture.clickhouse.fetch_text(&sql).await.unwrap_err().failure(), Failure::TooLarge);
    })
    .await;
}

#[tokio::test]
async fn small_answers_arrive_as_typed_rows() {
    with_database(|fixture| async move {
        let rows: Vec<(String, Option<i64>, u64)> = fixture
            .clickhouse
            .fetch_rows("SELECT 'a\\n\"b', NULL, toUInt64(18446744073709551615) UNION ALL SELECT 'c', toInt64(-5), 1 ORDER BY 1")
            .await
            .unwrap();
        assert_eq!(rows, [("a\n\"b".to_owned(), None, u64::MAX), ("c".to_owned(), Some(-5), 1)]);
        let error = fixture.clickhouse.fetch_rows::<(u64,)>("SELECT 'hunter2'").await.unwrap_err();
        assert_eq!(error.failure(), Failure::Unexpected);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    })
    .await;
}
