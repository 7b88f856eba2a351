//! Pages: rows are pushed field by field, and arrive in writes of limited size.

use lockstep_destinations::{Destination, Ended, Failure, Moment, PageStart, PageWriter, WriteLimits, WriteWindow};

use crate::fixture::with_database;

#[tokio::test]
async fn a_page_arrives_in_writes_of_limited_size() {
    with_database(|fixture| async move {
        let things = fixture.create_things().await;
        let limits = WriteLimits { chunk_bytes: 100, write_rows: 25, ..WriteLimits::default() };
        let mut page = fixture.clickhouse.open_page(PageStart { limits, ..things.page() });
        things.push(&mut page, 0..1000).await.unwrap();
        page.send().await.unwrap();
        let sent = page.sent();
        assert!((30..=50).contains(&sent.writes) && sent.bytes > 25_000, "{sent:?}");
        assert_eq!(page.end(&[]).await, Ok(Ended::RowsOnly));
        let read = format!("SELECT sum(id), sum(sync_sequence_id) FROM {}.things", fixture.raw);
        assert_eq!(fixture.clickhouse.fetch_text(&read).await.unwrap(), "499500\t499500\n");
    })
    .await;
}

#[tokio::test]
async fn a_page_that_is_dropped_or_late_is_not_written() {
    with_database(|fixture| async move {
        let things = fixture.create_things().await;
        let mut dropped = fixture.clickhouse.open_page(things.page());
        things.push(&mut dropped, 0..10).await.unwrap();
        dropped.send().await.unwrap();
        drop(dropped);
        let window =
            WriteWindow::new(Moment::now() - std::time::Duration::from_secs(60), std::time::Duration::from_secs(100));
        let mut late = fixture.clickhouse.open_page(PageStart { window, ..things.page() });
        things.push(&mut late, 0..10).await.unwrap();
        assert_eq!(late.end(&[]).await.unwrap_err().failure(), Failure::Late);
        let empty = fixture.clickhouse.open_page(things.page());
        assert_eq!(empty.end(&[]).await, Ok(Ended::RowsOnly));
        assert_eq!(fixture.number(&format!("SELECT count() FROM {}.things", fixture.raw)).await, 0);
    })
    .await;
}
