//! Cursors in their table: a merge moves none back, and names of others are passed over.

use std::time::Duration;

use crate::fixture::with_database;
use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::{Cursors, Destination, Moment, Selection, WriteWindow};
use uuid::Uuid;

#[tokio::test]
async fn cur_1_a_merge_moves_no_cursor_back() {
    with_database(|fixture| async move {
        let (id, users) = (TenancyId::new(Uuid::new_v4()), "users".parse::<MappingName>().unwrap());
        let window = WriteWindow::new(Moment::now(), Duration::from_secs(120));
        for at in [10, 30, 20] {
            fixture.clickhouse.advance(&[(id, users.clone(), SequenceId::new(at))], window).await.unwrap();
        }
        let expected = Cursors::from([((id, users), SequenceId::new(30))]);
        let before_merge = fixture.clickhouse.cursors(Selection::All, Selection::All).await;
        assert_eq!(before_merge.unwrap(), expected);
        fixture
            .clickhouse
            .execute(&format!("OPTIMIZE TABLE {}._stack_sync_metadata FINAL", fixture.raw))
            .await
            .unwrap();
        let after_merge = fixture.clickhouse.cursors(Selection::All, Selection::All).await;
        assert_eq!(after_merge.unwrap(), expected);
    })
    .await;
}

#[tokio::test]
async fn names_of_another_system_in_the_same_table_are_passed_over() {
    with_database(|fixture| async move {
        let sql = format!(
            "INSERT INTO {}._stack_sync_metadata (tenancy_id, mapping_name, last_synced_sequence_id) \
             VALUES (generateUUIDv4(), 'Not Ours', 5)",
            fixture.raw
        );
        fixture.clickhouse.execute(&sql).await.unwrap();
        assert_eq!(fixture.clickhouse.cursors(Selection::All, Selection::All).await.unwrap(), Cursors::new());
    })
    .await;
}
