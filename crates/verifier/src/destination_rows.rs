//! Rows of ClickHouse, one at a time, in the order of the merge.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use lockstep_destinations::clickhouse::Timeouts;
use lockstep_destinations::{ClickHouse, DestinationError, Failure};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::{Databases, compare_rows};
use lockstep_mappings::codec::CodecError;
use lockstep_mappings::postgres::compare::{Key, Scope};

use crate::error::VerifyError;
use crate::row::{Row, Shape};
use crate::source_rows::STREAM_IDLE;

/// A row above this is an error, not memory. A field of Postgres has at most 1 GB, a reasonable row far less.
const MAX_ROW_BYTES: usize = 256 * 1024 * 1024;

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, DestinationError>> + Send>>;

/// The answer of [`compare_rows`].
///
/// ClickHouse hangs up on a reader that takes nothing for 30 seconds (`http_send_timeout`, which no query can raise).
/// That happens whenever the source alone has many rows in a stretch, as it does while a first sync runs. So a stream that
/// breaks off is opened again behind the last row that came.
pub(crate) struct DestinationRows<'a> {
    clickhouse: ClickHouse,
    databases: &'a Databases,
    mapping: &'a Mapping,
    shape: &'a Shape,
    scope: Scope<'a>,
    chunks: Option<Chunks>,
    buffer: BytesMut,
    /// The last row that came since the stream was opened; empty before the first.
    last: BytesMut,
    /// Where the stream was opened again.
    after: Option<Key>,
}

impl<'a> DestinationRows<'a> {
    /// The first row that is wanted opens the stream.
    pub(crate) fn new(
        clickhouse: &ClickHouse,
        databases: &'a Databases,
        mapping: &'a Mapping,
        shape: &'a Shape,
        scope: Scope<'a>,
    ) -> Self {
        let timeouts = Timeouts { stream_idle: STREAM_IDLE, ..clickhouse.timeouts() };
        let clickhouse = clickhouse.clone().with_timeouts(timeouts);
        let (buffer, last) = (BytesMut::new(), BytesMut::new());
        Self { clickhouse, databases, mapping, shape, scope, chunks: None, buffer, last, after: None }
    }

    /// The next row, `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>, VerifyError> {
        loop {
            if let Some((row, used)) = decode(self.shape, &self.buffer)? {
                self.last = self.buffer.split_to(used);
                return Ok(Some(row));
            }
            if self.buffer.len() > MAX_ROW_BYTES {
                return Err(CodecError::Stream("a row of ClickHouse is larger than 256 MiB").into());
            }
            match self.chunks().try_next().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) if self.buffer.is_empty() => return Ok(None),
                Ok(None) => return Err(CodecError::Stream("the answer of ClickHouse is cut").into()),
                Err(error) => self.go_on_after(error)?,
            }
        }
    }

    fn chunks(&mut self) -> &mut Chunks {
        let Self { clickhouse, databases, mapping, scope, after, .. } = self;
        self.chunks.get_or_insert_with(|| {
            Box::pin(clickhouse.stream(&compare_rows(mapping, databases, *scope, after.as_ref())))
        })
    }

    /// The next stream begins behind the last row; what came of the row after it is forgotten. A stream that broke off
    /// without a row would do so for ever, and a key that cannot be asked for is no place to go on from.
    fn go_on_after(&mut self, error: DestinationError) -> Result<(), VerifyError> {
        let last = decode(self.shape, &self.last)?.and_then(|(row, _)| self.shape.key(&row));
        if error.failure() != Failure::Unavailable || last.is_none() {
            return Err(error.into());
        }
        tracing::debug!(mapping = %self.mapping.name, %error, "ClickHouse hung up: going on behind the last row");
        self.after = last;
        self.chunks = None;
        self.buffer.clear();
        self.last.clear();
        Ok(())
    }
}

/// One row of `RowBinary` and how many bytes it takes; `None` when more have to come.
fn decode(shape: &Shape, bytes: &[u8]) -> Result<Option<(Row, usize)>, CodecError> {
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
type Split<'a> = (&'a [u8], &'a [u8]);

/// A length in LEB128, then so many bytes.
fn split_string(bytes: &[u8]) -> Result<Option<Split<'_>>, CodecError> {
    let mut length = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        // Four bytes hold lengths up to 256 MiB, which is more than a row may have.
        if index == 4 {
            return Err(CodecError::Stream("a row of ClickHouse is larger than 256 MiB"));
        }
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(bytes[index + 1..].split_at_checked(length));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use lockstep_mappings::MappingSet;

    use super::*;

    #[test]
    fn a_row_that_arrives_byte_by_byte_is_the_same_row() {
        let set = MappingSet::load(None).unwrap();
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
