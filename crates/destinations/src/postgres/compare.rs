//! Reading a tenant's table back, on a connection of its own.

use futures_util::{Stream, StreamExt, pin_mut, stream};
use lockstep_core::Location;
use lockstep_mappings::Mapping;
use lockstep_mappings::codec::{CodecError, CopyReader, Fields};
use lockstep_mappings::postgres::compare::{Key, Scope};
use lockstep_mappings::tenant::{self, compare::Rows};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Postgres;
use super::connection::Trouble;
use super::failure::Doing;
use crate::compare::{Compare, Row};
use crate::error::{DestinationError, Failure};

/// What may come before the next row was taken: a row's values, with room.
const ROW_BYTES: u64 = 128 * 1024 * 1024;
/// Rows that are read ahead.
const READ_AHEAD: usize = 256;

impl Compare for Postgres {
    /// Every row has the location of the scope, where that names one, else an empty one: the database knows none. Keys of
    /// several locations are looked for as if they were of the first.
    fn rows<'a>(
        &self,
        mapping: &'a Mapping,
        scope: Scope<'a>,
    ) -> impl Stream<Item = Result<Row, DestinationError>> + Send + 'a {
        let (sql, location) = match scope {
            Scope::All => (tenant::compare::rows(mapping, Rows::All), None),
            Scope::Locations(locations) => (tenant::compare::rows(mapping, Rows::All), locations.first()),
            Scope::Keys(keys) => (tenant::compare::rows(mapping, Rows::Keys(keys)), keys.first().map(of_key)),
        };
        let location =
            location.cloned().unwrap_or_else(|| Location { project_id: String::new(), branch_id: String::new() });
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        let (from, columns) = (self.clone(), mapping.columns.len());
        let reading = async move {
            if let Err(trouble) = read(&from, &sql, &location, columns, &sender).await {
                // Nobody listens any more where this fails.
                let _ = sender.send(Err(trouble.error)).await;
            }
        };
        let reading = stream::once(reading).filter_map(async |()| None);
        let rows = stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|row| (row, receiver)));
        stream::select(reading, rows)
    }
}

const fn of_key(key: &Key) -> &Location {
    &key.location
}

async fn read(
    from: &Postgres,
    sql: &str,
    location: &Location,
    columns: usize,
    to: &mpsc::Sender<Result<Row, DestinationError>>,
) -> Result<(), Trouble> {
    let session = from.connect().await?;
    // A whole table takes longer than a statement may; each of its rows does not.
    let limits = tenant::Limits { statement: std::time::Duration::ZERO, ..from.limits() };
    session.run(&[tenant::begin(limits)], Doing::Other).await?;
    let copy = session.copy_out(sql, ROW_BYTES).await?;
    pin_mut!(copy);
    let mut reader = CopyReader::default();
    loop {
        let next = timeout(from.inner.timeouts.statement, copy.next()).await;
        let message = match next {
            Ok(Some(message)) => message.map_err(|error| session.trouble(&error, Doing::Other))?,
            Ok(None) => break,
            Err(_) => return Err(DestinationError::unanswered(from.inner.id.clone()).into()),
        };
        session.allowance.renew(ROW_BYTES);
        let mut rows = Vec::new();
        let split = reader.rows::<CodecError>(&message, |fields| {
            if rows.len() < 2 {
                rows.push(row(fields, location, columns, message.len())?);
            }
            Ok(())
        });
        split.map_err(|_| from.odd_answer())?;
        if rows.len() > 1 {
            // PostgreSQL sends each row in a message of its own; whatever sends more means to fill memory.
            return Err(from.odd_answer().into());
        }
        for row in rows {
            if to.send(Ok(row)).await.is_err() {
                return Ok(());
            }
        }
    }
    if !reader.is_complete() {
        return Err(from.error(Failure::Unavailable, "its answer broke off").into());
    }
    session.run(&["COMMIT".to_owned()], Doing::Other).await.map(drop)
}

fn row(mut fields: Fields<'_>, location: &Location, columns: usize, bytes: usize) -> Result<Row, CodecError> {
    if fields.left() != columns {
        return Err(CodecError::FieldCount { found: fields.left(), expected: columns });
    }
    let mut row = Row::with_capacity(columns + 2, bytes);
    row.push(Some(location.project_id.as_bytes()));
    row.push(Some(location.branch_id.as_bytes()));
    for _ in 0..columns {
        row.push(fields.next_field()?);
    }
    Ok(row)
}
