//! Rows of ClickHouse, one at a time, in the order of the comparison.

use std::pin::Pin;
use std::time::Duration;

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt, stream};
use lockstep_core::SequenceId;
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::{Measure, compare_rows};
use lockstep_mappings::postgres::compare::{Grouping, Key, Scope};

use super::{ClickHouse, Timeouts, error, totals};
use crate::compare::{Compare, GroupTotals, Held, Row, Shape};
use crate::error::{DestinationError, Failure};

/// A stream without a byte for so long is given up. Before the first one ClickHouse sorts the whole mapping.
const STREAM_IDLE: Duration = Duration::from_mins(15);
/// A row above this is an error, not memory. A field of Postgres has at most 1 GB, a reasonable row far less.
pub(super) const MAX_ROW_BYTES: usize = 256 * 1024 * 1024;

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, DestinationError>> + Send>>;

impl Compare for ClickHouse {
    fn rows<'a>(
        &self,
        mapping: &'a Mapping,
        scope: Scope<'a>,
    ) -> impl Stream<Item = Result<Row, DestinationError>> + Send + 'a {
        let (buffer, last) = (BytesMut::new(), BytesMut::new());
        let (clickhouse, shape) = (self.patient(), Shape::of(mapping));
        let rows = Rows { clickhouse, mapping, shape, scope, chunks: None, buffer, last, after: None };
        stream::try_unfold(rows, |mut rows| async move { Ok(rows.next().await?.map(|row| (row, rows))) })
    }

    async fn totals(
        &self,
        mapping: &Mapping,
        scope: Scope<'_>,
        measure: Measure,
        grouping: Grouping,
    ) -> Result<GroupTotals, DestinationError> {
        totals::totals(&self.patient(), mapping, scope, measure, grouping).await
    }

    async fn held(&self, mapping: &Mapping, keys: &[Key]) -> Result<HashMap<Key, Held>, DestinationError> {
        totals::held(self, mapping, keys).await
    }

    async fn ahead(
        &self,
        mapping: &Mapping,
        scope: Scope<'_>,
        head: SequenceId,
        limit: usize,
    ) -> Result<Vec<(Key, SequenceId)>, DestinationError> {
        totals::ahead(&self.patient(), mapping, scope, head, limit).await
    }
}

impl ClickHouse {
    /// The same, for statements that are silent for long before they answer.
    fn patient(&self) -> Self {
        let timeouts = Timeouts { stream_idle: STREAM_IDLE, ..self.timeouts };
        self.clone().with_timeouts(timeouts)
    }
}

/// The answer of [`compare_rows`].
///
/// ClickHouse hangs up on a reader that takes nothing for 30 seconds (`http_send_timeout`, which no query can raise).
/// That happens whenever the source alone has many rows in a stretch, as it does while a first sync runs. So a stream that
/// breaks off is opened again behind the last row that came.
struct Rows<'a> {
    clickhouse: ClickHouse,
    mapping: &'a Mapping,
    shape: Shape,
    scope: Scope<'a>,
    chunks: Option<Chunks>,
    buffer: BytesMut,
    /// The last row that came since the stream was opened; empty before the first.
    last: BytesMut,
    /// Where the stream was opened again.
    after: Option<Key>,
}

impl Rows<'_> {
    /// The next row, `None` after the last.
    async fn next(&mut self) -> Result<Option<Row>, DestinationError> {
        loop {
            if let Some((row, used)) = decode(&self.shape, &self.buffer)? {
                self.last = self.buffer.split_to(used);
                return Ok(Some(row));
            }
            if self.buffer.len() > MAX_ROW_BYTES {
                return Err(too_large());
            }
            match self.chunks().try_next().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) if self.buffer.is_empty() => return Ok(None),
                Ok(None) => return Err(error(Failure::Unexpected, "its answer is cut")),
                Err(broken) => self.go_on_after(broken)?,
            }
        }
    }

    fn chunks(&mut self) -> &mut Chunks {
        let Self { clickhouse, mapping, scope, after, .. } = self;
        self.chunks.get_or_insert_with(|| {
            Box::pin(clickhouse.stream(&compare_rows(mapping, &clickhouse.databases, *scope, after.as_ref())))
        })
    }

    /// The next stream begins behind the last row; what came of the row after it is forgotten. A stream that broke off
    /// without a row would do so for ever, and a key that cannot be asked for is no place to go on from.
    fn go_on_after(&mut self, broken: DestinationError) -> Result<(), DestinationError> {
        let last = decode(&self.shape, &self.last)?.and_then(|(row, _)| self.shape.key(&row));
        if broken.failure() != Failure::Unavailable || last.is_none() {
            return Err(broken);
        }
        tracing::debug!(mapping = %self.mapping.name, error = %broken, "ClickHouse hung up: going on behind the last row");
        self.after = last;
        self.chunks = None;
        self.buffer.clear();
        self.last.clear();
        Ok(())
    }
}

/// One row of `RowBinary` and how many bytes it takes; `None` when more have to come.
fn decode(shape: &Shape, bytes: &[u8]) -> Result<Option<(Row, usize)>, DestinationError> {
    let mut rest = bytes;
    let mut row = Row::with_capacity(shape.fields(), 512);
    for field in 0..shape.fields() {
        if shape.is_nullable(field) {
            let Some((&null, after)) = rest.split_first() else { return Ok(None) };
            rest = after;
            if null != 0 {
                row.push(None);
                continue;
            }
        }
        let Some((value, after)) = split_string(rest)? else { return Ok(None) };
        row.push(Some(value));
        rest = after;
    }
    Ok(Some((row, bytes.len() - rest.len())))
}

/// What was taken from the front, and what follows it.
pub(super) type Split<'a> = (&'a [u8], &'a [u8]);

/// A length in LEB128, then so many bytes.
pub(super) fn split_string(bytes: &[u8]) -> Result<Option<Split<'_>>, DestinationError> {
    let mut length = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        // Four bytes hold lengths up to 256 MiB, which is more than a row may have.
        if index == 4 {
            return Err(too_large());
        }
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(bytes[index + 1..].split_at_checked(length));
        }
    }
    Ok(None)
}

fn too_large() -> DestinationError {
    error(Failure::TooLarge, format!("a row is larger than {} MiB", MAX_ROW_BYTES / 1024 / 1024))
}

#[cfg(test)]
mod tests {
    use lockstep_mappings::MappingSet;

    use super::*;

    #[test]
    fn a_row_that_arrives_byte_by_byte_is_the_same_row() {
        let set = MappingSet::built_in();
        let shape = Shape::of(set.get(&"team_member_profiles".parse().unwrap()).unwrap());
        let long = "x".repeat(300);
        let mut bytes = Vec::new();
        for text in ["p", "b", "team", "user"] {
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend_from_slice(text.as_bytes());
        }
        // display_name is null, profile_image_url long, created_at follows.
        bytes.extend_from_slice(&[1, 0, 0xac, 0x02]);
        bytes.extend_from_slice(long.as_bytes());
        bytes.extend_from_slice(&[1, b'0']);
        for end in 0..bytes.len() {
            assert_eq!(decode(&shape, &bytes[..end]).unwrap(), None, "{end} bytes of a row passed for all");
        }
        let (row, used) = decode(&shape, &[&bytes[..], b"more"].concat()).unwrap().unwrap();
        assert_eq!(used, bytes.len());
        assert_eq!((row.field(4), row.field(5), row.field(6)), (None, Some(long.as_bytes()), Some(&b"0"[..])));
    }
}
