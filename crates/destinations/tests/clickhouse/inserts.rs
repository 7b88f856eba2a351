//! Inserts: all or nothing, few parts, nothing taken for a duplicate.

use std::time::Duration;

use crate::fixture::{encode_rows, insert_all, with_database};
use bytes::Bytes;
use lockstep_destinations::clickhouse::Timeouts;
use lockstep_destinations::{Destination, Failure, Moment, Retry, WriteWindow};

#[tokio::test]
async fn an_insert_dropped_without_end_leaves_nothing() {
    with_database(|fixture| async move {
        let table = fixture.create_rows_table().await;
        let mut insert = fixture.clickhouse.insert(&fixture.insert_rows());
        // Whole rows: what the server has is complete as far as it goes, and still must not be kept.
        for _ in 0..20 {
            insert.send(encode_rows(0..10_000, "abandoned")).await.unwrap();
        }
        let running = format!(
            "SELECT count() FROM system.processes WHERE replaceAll(query, '`', '') LIKE 'INSERT INTO {}.rows %'",
            fixture.raw
        );
        fixture.wait_for(&running, 1, "the insert to be under way").await;
        drop(insert);
        fixture.wait_for(&running, 0, "the server to give up the insert").await;
        assert_eq!(fixture.number(&format!("SELECT count() FROM {table}")).await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_insert_that_fails_at_its_last_row_leaves_nothing() {
    with_database(|fixture| async move {
        let table = fixture.create_rows_table().await;
        let mut insert = fixture.clickhouse.insert(&fixture.insert_rows());
        for _ in 0..30 {
            insert.send(encode_rows(0..10_000, "good")).await.unwrap();
        }
        insert.send(Bytes::from_static(&[1, 2, 3])).await.unwrap();
        let error = insert.end().await.unwrap_err();
        assert_eq!((error.failure(), error.retry(), error.server_code()), (Failure::Rejected, Retry::Bisect, Some(33)));
        assert_eq!(fixture.number(&format!("SELECT count() FROM {table}")).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_million_rows_make_at_most_two_parts() {
    with_database(|fixture| async move {
        let table = fixture.create_rows_table().await;
        fixture.clickhouse.execute(&format!("SYSTEM STOP MERGES {table}")).await.unwrap();
        // About 300 bytes a row.
        let chunks = std::iter::repeat_n(wide_rows(2_500, 289), 400);
        insert_all(&fixture.clickhouse, &fixture.insert_rows(), chunks).await.unwrap();
        assert_eq!(fixture.number(&format!("SELECT count() FROM {table}")).await, 1_000_000);
        let parts = format!(
            "SELECT count() FROM system.parts WHERE active AND database = '{}' AND table = 'rows'",
            fixture.raw
        );
        let parts = fixture.number(&parts).await;
        assert!(parts <= 2, "one insert made {parts} parts");
    })
    .await;
}

/// Rows whose name has 128 to 16,383 bytes: its length takes two.
fn wide_rows(rows: u64, name_bytes: usize) -> Bytes {
    let mut encoded = Vec::new();
    for id in 0..rows {
        encoded.extend_from_slice(&id.to_le_bytes());
        encoded.extend([u8::try_from(name_bytes % 128).unwrap() | 0x80, u8::try_from(name_bytes / 128).unwrap()]);
        encoded.resize(encoded.len() + name_bytes, b'x');
    }
    Bytes::from(encoded)
}

#[tokio::test]
async fn rows_that_come_back_are_not_dropped_as_duplicates() {
    with_database(|fixture| async move {
        let table = format!("{}.rows", fixture.raw);
        // What replicated tables do by default.
        let create = format!(
            "CREATE TABLE {table} (id UInt64, name String) ENGINE = MergeTree ORDER BY id \
             SETTINGS non_replicated_deduplication_window = 100"
        );
        fixture.clickhouse.execute(&create).await.unwrap();
        for _ in 0..2 {
            let rows = [encode_rows(0..10, "the same block")];
            insert_all(&fixture.clickhouse, &fixture.insert_rows(), rows).await.unwrap();
        }
        assert_eq!(fixture.number(&format!("SELECT count() FROM {table}")).await, 20);
    })
    .await;
}

#[tokio::test]
async fn an_insert_into_a_table_that_is_absent_fails() {
    with_database(|fixture| async move {
        let statement = format!("INSERT INTO {}.absent FORMAT RowBinary", fixture.raw);
        let chunks = std::iter::repeat_n(encode_rows(0..10_000, "nowhere"), 100);
        let error = insert_all(&fixture.clickhouse, &statement, chunks).await.unwrap_err();
        assert_eq!((error.failure(), error.server_code()), (Failure::Misconfigured, Some(60)));
    })
    .await;
}

#[tokio::test]
async fn an_insert_that_the_server_does_not_finish_in_time_fails() {
    with_database(|fixture| async move {
        let table = format!("{}.slow", fixture.raw);
        let create = format!(
            "CREATE TABLE {table} (id UInt64, slept UInt8 MATERIALIZED sleepEachRow(2)) ENGINE = MergeTree ORDER BY id"
        );
        fixture.clickhouse.execute(&create).await.unwrap();
        let timeouts = Timeouts { insert_end: Duration::from_millis(300), ..Timeouts::default() };
        let mut insert =
            fixture.clickhouse.clone().with_timeouts(timeouts).insert(&format!("INSERT INTO {table} FORMAT RowBinary"));
        insert.send(Bytes::from_static(&[1, 0, 0, 0, 0, 0, 0, 0])).await.unwrap();
        let error = insert.end().await.unwrap_err();
        assert_eq!((error.failure(), error.retry()), (Failure::Unavailable, Retry::Later));
    })
    .await;
}

#[tokio::test]
async fn pieces_that_wait_to_be_merged_are_counted() {
    with_database(|fixture| async move {
        let table = fixture.create_rows_table().await;
        assert_eq!(fixture.clickhouse.unmerged().await.unwrap(), 0);
        fixture.clickhouse.execute(&format!("SYSTEM STOP MERGES {table}")).await.unwrap();
        for number in 0..5 {
            insert_all(&fixture.clickhouse, &fixture.insert_rows(), [encode_rows(number..number + 1, "one")])
                .await
                .unwrap();
        }
        assert_eq!(fixture.clickhouse.unmerged().await.unwrap(), 5);
    })
    .await;
}

/// What a machine that stood still between reading and writing does not know, the server sees when the insert begins.
#[tokio::test]
async fn the_server_s_own_clock_refuses_what_comes_too_late() {
    with_database(|fixture| async move {
        let table = fixture.create_rows_table().await;
        // Both clocks of this machine say that the window is open; the server's does not.
        let frozen = WriteWindow::new(Moment::now(), Duration::from_secs(86_400));
        let insert = fixture.clickhouse.clone().within(frozen);
        let statement = fixture.insert_rows();
        let until = lockstep_mappings::clickhouse::write_until(1_000, None);
        let late = format!(
            "/* late */ {}",
            statement.replace(" FORMAT", &format!(" SETTINGS log_comment = '{until}' FORMAT"))
        );
        let error = insert_all(&insert, &late, [encode_rows(0..10, "late")]).await.unwrap_err();
        assert_eq!((error.failure(), error.server_code()), (Failure::Late, Some(469)));
        assert_eq!(fixture.number(&format!("SELECT count() FROM {table}")).await, 0);
        insert_all(&insert, &statement, [encode_rows(0..10, "in time")]).await.unwrap();
        assert_eq!(fixture.number(&format!("SELECT count() FROM {table}")).await, 10);
        // A constraint of somebody else's is about rows.
        fixture.clickhouse.execute(&format!("ALTER TABLE {table} ADD CONSTRAINT theirs CHECK id < 100")).await.unwrap();
        let error = insert_all(&insert, &statement, [encode_rows(100..101, "refused")]).await.unwrap_err();
        assert_eq!((error.failure(), error.server_code()), (Failure::Rejected, Some(469)));
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
