//! The scripted destination keeps to its script, and otherwise is the destination it wraps.

use std::time::Duration;

use crate::fixture::{Things, fresh, with_database};
use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_destinations::{ClickHouse, Destination, DestinationError, Ended, Failure, PageWriter, Selection};
use uuid::Uuid;

async fn write(destination: &Faulty<ClickHouse>, things: &Things) -> Result<(), DestinationError> {
    let mut page = destination.open_page(things.page());
    things.push(&mut page, 0..10).await?;
    page.end(&[]).await.map(|ended| assert_eq!(ended, Ended::RowsOnly))
}

fn scripted() -> DestinationError {
    DestinationError::new(Failure::Overloaded, "ClickHouse", "scripted")
}

#[tokio::test]
async fn writes_fail_before_after_and_in_between() {
    with_database(|fixture| async move {
        let things = fixture.create_things().await;
        let faulty = Faulty::new(fixture.clickhouse.clone());
        faulty.script(
            Operation::Write,
            [Some(Fault::Before(scripted())), None, Some(Fault::After(scripted())), Some(Fault::LostConnection)],
        );
        let count = format!("SELECT count() FROM {}.things", fixture.raw);
        assert_eq!(write(&faulty, &things).await, Err(scripted()));
        assert_eq!(fixture.number(&count).await, 0);
        assert_eq!(write(&faulty, &things).await, Ok(()));
        assert_eq!(fixture.number(&count).await, 10);
        assert_eq!(write(&faulty, &things).await, Err(scripted()));
        assert_eq!(fixture.number(&count).await, 20);
        assert_eq!(write(&faulty, &things).await.unwrap_err().failure(), Failure::Unavailable);
        assert_eq!(fixture.number(&count).await, 20);
        assert_eq!(faulty.left(), 0);
        assert_eq!(write(&faulty, &things).await, Ok(()));
    })
    .await;
}

#[tokio::test]
async fn cursors_fail_and_hang() {
    with_database(|fixture| async move {
        let faulty = Faulty::new(fixture.clickhouse.clone());
        let users: MappingName = "users".parse().unwrap();
        let at = [(TenancyId::new(Uuid::new_v4()), users, SequenceId::new(4))];
        faulty.script(Operation::Advance, [Some(Fault::After(scripted())), Some(Fault::Hang)]);
        faulty.script(Operation::Cursors, [Some(Fault::Before(scripted()))]);
        assert_eq!(faulty.advance(&at, fresh()).await, Err(scripted()));
        assert!(tokio::time::timeout(Duration::from_millis(50), faulty.advance(&at, fresh())).await.is_err());
        assert_eq!(faulty.cursors(Selection::All, Selection::All).await, Err(scripted()));
        // The answer was lost, the cursor was not.
        assert_eq!(faulty.cursors(Selection::All, Selection::All).await.unwrap().len(), 1);
    })
    .await;
}
