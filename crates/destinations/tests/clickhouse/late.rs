//! Writes within a window: in time, or never.

use std::time::Duration;

use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::{ClickHouse, Destination, Failure, Moment, Retry, Selection, WriteWindow};
use uuid::Uuid;

use crate::fixture::{encode_rows, with_database};

/// Of what was read so long ago, with a limit of two minutes.
fn window(ago: Duration) -> WriteWindow {
    WriteWindow::new(Moment::now() - ago, Duration::from_secs(120))
}

fn read_ago(clickhouse: &ClickHouse, ago: Duration) -> ClickHouse {
    clickhouse.clone().within(window(ago))
}

#[tokio::test]
async fn what_was_read_too_long_ago_is_neither_begun_nor_ended() {
    with_database(|fixture| async move {
        let table = fixture.create_rows_table().await;
        let statement = format!("INSERT INTO {table} FORMAT RowBinary");
        let late = read_ago(&fixture.clickhouse, Duration::from_secs(61));
        let error = late.insert(&statement).send(encode_rows(0..10, "late")).await.unwrap_err();
        assert_eq!((error.failure(), error.retry(), error.code()), (Failure::Late, Retry::Later, "LS-0209"));
        // Begun in time, and held up before its end.
        let window = WriteWindow::new(Moment::now(), Duration::from_secs(6));
        let mut insert = fixture.clickhouse.clone().within(window).insert(&statement);
        insert.send(encode_rows(0..10, "late")).await.unwrap();
        let mut every = tokio::time::interval(Duration::from_millis(20));
        while window.is_open() {
            every.tick().await;
        }
        assert_eq!(insert.end().await.unwrap_err().failure(), Failure::Late);
        let mut insert = read_ago(&fixture.clickhouse, Duration::ZERO).insert(&statement);
        insert.send(encode_rows(0..5, "in time")).await.unwrap();
        insert.end().await.unwrap();
        assert_eq!(fixture.number(&format!("SELECT count() FROM {table}")).await, 5);
    })
    .await;
}

#[tokio::test]
async fn a_cursor_is_not_moved_late_either() {
    with_database(|fixture| async move {
        let cursor = (TenancyId::new(Uuid::from_u128(1)), "users".parse().unwrap(), SequenceId::new(5));
        let late = fixture.clickhouse.advance(std::slice::from_ref(&cursor), window(Duration::from_secs(61))).await;
        assert_eq!(late.unwrap_err().failure(), Failure::Late);
        assert!(fixture.clickhouse.cursors(Selection::All, Selection::All).await.unwrap().is_empty());
    })
    .await;
}

/// The server has its own deadline: it keeps nothing of an insert that takes it too long, whoever waits for it.
#[tokio::test]
async fn the_server_keeps_nothing_that_it_does_not_finish_in_time() {
    with_database(|fixture| async move {
        let table = format!("{}.slow", fixture.raw);
        let create = format!(
            "CREATE TABLE {table} (id UInt64, slept UInt8 MATERIALIZED sleepEachRow(0.5)) ENGINE = MergeTree ORDER BY id"
        );
        fixture.clickhouse.execute(&create).await.unwrap();
        let window = WriteWindow::new(Moment::now(), Duration::from_secs(2));
        let mut insert =
            fixture.clickhouse.clone().within(window).insert(&format!("/* slow */ INSERT INTO {table} FORMAT RowBinary"));
        let rows: Vec<u8> = (0..5_u64).flat_map(u64::to_le_bytes).collect();
        insert.send(rows.into()).await.unwrap();
        assert!(insert.end().await.is_err());
        let running =
            format!("SELECT count() FROM system.processes WHERE query LIKE '/* slow */ INSERT INTO {table} %'");
        fixture.wait_for(&running, 0, "the server to be done with it").await;
        assert_eq!(fixture.number(&format!("SELECT count() FROM {table}")).await, 0);
    })
    .await;
}
