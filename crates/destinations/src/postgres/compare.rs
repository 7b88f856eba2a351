//! Reading a tenant's table back, on a connection of its own.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{Stream, StreamExt, pin_mut, stream};
use lockstep_core::{Location, SequenceId};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::Measure;
use lockstep_mappings::codec::{CodecError, CopyReader, Fields};
use lockstep_mappings::postgres::compare::{Grouping, Key, Scope};
use lockstep_mappings::tenant::{self, compare::Rows};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Postgres;
use super::connection::{Timeouts, Trouble, open};
use super::failure::Doing;
use crate::compare::{Compare, Group, GroupTotals, Held, Row, Totals};
use crate::error::{DestinationError, Failure};

/// What may come before the next row was taken: a row's values, with room.
const ROW_BYTES: u64 = 128 * 1024 * 1024;
/// Rows that are read ahead.
const READ_AHEAD: usize = 256;
/// Adding up a whole table takes longer than a statement may.
const TOTALS_LIMIT: Duration = Duration::from_mins(15);

impl Compare for Postgres {
    /// Every row has the location of the scope, where that names one, else an empty one: the database knows none. Keys of
    /// several locations are looked for as if they were of the first.
    fn rows<'a>(
        &self,
        mapping: &'a Mapping,
        scope: Scope<'a>,
    ) -> impl Stream<Item = Result<Row, DestinationError>> + Send + 'a {
        let sql = tenant::compare::rows(mapping, of_scope(scope));
        let location = match scope {
            Scope::All | Scope::Projects(_) => None,
            Scope::Locations(locations) => locations.first(),
            Scope::Buckets(location, _) => Some(location),
            Scope::Keys(keys) => keys.first().map(|key| &key.location),
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

    async fn totals(
        &self,
        mapping: &Mapping,
        scope: Scope<'_>,
        measure: Measure,
        grouping: Grouping,
    ) -> Result<GroupTotals, DestinationError> {
        let sql = match measure {
            Measure::Versions { .. } => tenant::compare::count(mapping),
            Measure::Content(seed) => tenant::compare::totals(mapping, of_scope(scope), seed, grouping),
        };
        totals(self, sql).await.map_err(|trouble| trouble.error)
    }

    async fn held(&self, _: &Mapping, _: &[Key]) -> Result<HashMap<Key, Held>, DestinationError> {
        Ok(HashMap::new())
    }

    async fn ahead(
        &self,
        _: &Mapping,
        _: Scope<'_>,
        _: SequenceId,
        _: usize,
    ) -> Result<Vec<(Key, SequenceId)>, DestinationError> {
        Ok(Vec::new())
    }
}

/// Where rows are is nothing that the database knows.
const fn of_scope(scope: Scope<'_>) -> Rows<'_> {
    match scope {
        Scope::All | Scope::Projects(_) | Scope::Locations(_) => Rows::All,
        Scope::Buckets(_, buckets) => Rows::Buckets(buckets),
        Scope::Keys(keys) => Rows::Keys(keys),
    }
}

async fn totals(from: &Postgres, sql: String) -> Result<GroupTotals, Trouble> {
    let timeouts = Timeouts { statement: TOTALS_LIMIT, ..from.inner.timeouts };
    let session = open(&from.inner.id, &from.inner.connection, &from.inner.network, timeouts).await?;
    let limits = tenant::Limits { statement: TOTALS_LIMIT, ..from.limits() };
    let mut answers = session.run(&[tenant::begin(limits), sql, "COMMIT".to_owned()], Doing::Other).await?;
    answers.pop();
    let rows = answers.pop().ok_or_else(|| from.odd_answer())?.rows;
    let parsed = rows.iter().map(|row| {
        let [bucket, rows, sum] = row.as_slice() else { return None };
        let location = Location { project_id: String::new(), branch_id: String::new() };
        let group = Group { location, bucket: bucket.as_deref()?.parse().ok()? };
        Some((group, Totals { rows: rows.as_deref()?.parse().ok()?, sum: sum.as_deref()?.parse().ok()? }))
    });
    parsed.collect::<Option<_>>().ok_or_else(|| from.odd_answer().into())
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
    let limits = tenant::Limits { statement: Duration::ZERO, ..from.limits() };
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
