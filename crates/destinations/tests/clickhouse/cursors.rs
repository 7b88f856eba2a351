//! CUR-1 at the destination: cursors are kept, found in one question, and never move back.

use std::time::Instant;

use crate::fixture::{fresh, with_database};
use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::{CursorAt, Cursors, Destination, Selection};
use uuid::Uuid;

fn tenancy() -> TenancyId {
    TenancyId::new(Uuid::new_v4())
}

fn mapping(name: &str) -> MappingName {
    name.parse().unwrap()
}

#[tokio::test]
async fn cursors_come_back_as_they_were_advanced() {
    with_database(|fixture| async move {
        let (ours, other, users, teams) = (tenancy(), tenancy(), mapping("users"), mapping("teams"));
        let all: Vec<CursorAt> = vec![
            (ours, users.clone(), SequenceId::new(i64::MAX)),
            (ours, teams.clone(), SequenceId::new(7)),
            (other, users.clone(), SequenceId::BASE),
        ];
        fixture.clickhouse.advance(&all, fresh()).await.unwrap();
        let expected: Cursors = all.iter().cloned().map(|(id, name, at)| ((id, name), at)).collect();
        assert_eq!(fixture.clickhouse.cursors(Selection::All, Selection::All).await.unwrap(), expected);

        let one =
            fixture.clickhouse.cursors(Selection::These(&[ours]), Selection::These(std::slice::from_ref(&teams))).await;
        assert_eq!(one.unwrap(), Cursors::from([((ours, teams), SequenceId::new(7))]));
        let none = fixture.clickhouse.cursors(Selection::These(&[tenancy()]), Selection::All).await;
        assert_eq!(none.unwrap(), Cursors::new());
        let nothing_asked = fixture.clickhouse.cursors(Selection::These(&[]), Selection::All).await;
        assert_eq!(nothing_asked.unwrap(), Cursors::new());
        fixture.clickhouse.advance(&[], fresh()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn cur_1_a_cursor_never_moves_back() {
    with_database(|fixture| async move {
        let (id, users) = (tenancy(), mapping("users"));
        for at in [10, 30, 20] {
            fixture.clickhouse.advance(&[(id, users.clone(), SequenceId::new(at))], fresh()).await.unwrap();
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

#[tokio::test]
async fn twenty_thousand_tenants_are_one_lookup() {
    with_database(|fixture| async move {
        let users = mapping("users");
        let tenants: Vec<TenancyId> = (0..20_000).map(|_| tenancy()).collect();
        let at: Vec<CursorAt> = (1..).zip(&tenants).map(|(at, id)| (*id, users.clone(), SequenceId::new(at))).collect();
        let started = Instant::now();
        fixture.clickhouse.advance(&at, fresh()).await.unwrap();
        println!("20,000 cursors advanced in {} ms", started.elapsed().as_millis());
        let mut asked = tenants.clone();
        asked.reverse();
        let started = Instant::now();
        let found = fixture.clickhouse.cursors(Selection::These(&asked), Selection::These(&[users])).await.unwrap();
        println!("20,000 cursors read in {} ms", started.elapsed().as_millis());
        assert_eq!(found.len(), 20_000);
        assert!(at.iter().all(|(id, name, at)| found.get(&(*id, name.clone())) == Some(at)));
    })
    .await;
}
