//! Rows of the source, one at a time, in the order of the merge.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use lockstep_core::TenancyId;
use lockstep_destinations::compare::{Row, Shape};
use lockstep_mappings::codec::{CodecError, CopyReader, Fields};
use lockstep_schema::SourceError;
use tokio_postgres::{Client, CopyOutStream};
use uuid::Uuid;

use crate::error::VerifyError;

/// A stream without a row for so long is given up. Before the first one Postgres sorts the whole mapping.
const STREAM_IDLE: Duration = Duration::from_mins(15);

/// The answer of [`lockstep_mappings::postgres::compare::rows`].
pub(crate) struct SourceRows<'s> {
    shape: &'s Shape,
    stream: Pin<Box<CopyOutStream>>,
    reader: CopyReader,
    decoded: VecDeque<Row>,
}

impl<'s> SourceRows<'s> {
    pub(crate) async fn open(client: &Client, sql: &str, shape: &'s Shape) -> Result<Self, VerifyError> {
        let opened = tokio::time::timeout(STREAM_IDLE, client.copy_out(sql)).await;
        let stream = Box::pin(opened.map_err(|_| SourceError::Timeout(STREAM_IDLE))??);
        Ok(Self { shape, stream, reader: CopyReader::default(), decoded: VecDeque::new() })
    }

    /// The next row, `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>, VerifyError> {
        loop {
            if let Some(row) = self.decoded.pop_front() {
                return Ok(Some(row));
            }
            let message = tokio::time::timeout(STREAM_IDLE, self.stream.try_next())
                .await
                .map_err(|_| SourceError::Timeout(STREAM_IDLE))??;
            let Some(message) = message else {
                return if self.reader.is_complete() { Ok(None) } else { Err(CodecError::Stream("it is cut").into()) };
            };
            let (shape, decoded, bytes) = (self.shape, &mut self.decoded, message.len());
            self.reader.rows(&message, |fields| {
                decoded.push_back(decode(shape, fields, bytes)?);
                Ok::<_, CodecError>(())
            })?;
        }
    }
}

fn decode(shape: &Shape, mut fields: Fields<'_>, bytes: usize) -> Result<Row, CodecError> {
    // The tenancy follows the columns.
    let expected = shape.fields() + 1;
    if fields.left() != expected {
        return Err(CodecError::FieldCount { found: fields.left(), expected });
    }
    let mut row = Row::with_capacity(shape.fields(), bytes);
    for _ in 0..shape.fields() {
        row.push(fields.next_field()?);
    }
    let tenancy = fields.next_field()?.map(Uuid::from_slice).transpose();
    row.tenancy = tenancy.map_err(|_| CodecError::Stream("the tenancy of a row is no uuid"))?.map(TenancyId::new);
    Ok(row)
}
