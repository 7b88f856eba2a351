//! The rows of a page, encoded and gathered until its end: each key once, as its last change has left it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::codec::{COPY_HEADER, COPY_TRAILER, CodecError, Row, append_copy_key, append_copy_row};

use crate::destination::Sent;

/// What a key has become.
#[derive(Debug)]
struct Entry {
    key: Range<usize>,
    /// `None`: it is gone.
    row: Option<Range<usize>>,
    sequence: SequenceId,
}

/// Rows and keys of a page.
#[derive(Debug)]
pub(super) struct Gathered {
    mapping: Arc<Mapping>,
    tenancy: TenancyId,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    places: HashMap<Box<[u8]>, usize>,
}

impl Gathered {
    pub(super) fn new(mapping: &Arc<Mapping>, tenancy: TenancyId) -> Self {
        let mapping = Arc::clone(mapping);
        Self { mapping, tenancy, bytes: Vec::new(), entries: Vec::new(), places: HashMap::new() }
    }

    pub(super) const fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Takes a row, or a tombstone. On an error everything is as it was before.
    pub(super) fn push(&mut self, row: &Row<'_>) -> Result<(), CodecError> {
        self.take(row, !row.head.deleted)
    }

    /// Takes a row's key alone.
    pub(super) fn push_key(&mut self, row: &Row<'_>) -> Result<(), CodecError> {
        self.take(row, false)
    }

    fn take(&mut self, row: &Row<'_>, with_values: bool) -> Result<(), CodecError> {
        if row.head.tenancy != self.tenancy {
            // One database, one tenancy: whatever brought it here, it does not arrive (ISO-1).
            return Err(CodecError::Stream(
                "a row is of another tenancy than the database that it was to be written to",
            ));
        }
        let start = self.bytes.len();
        append_copy_key(&self.mapping, row, &mut self.bytes)?;
        let key = start..self.bytes.len();
        let mut values = None;
        if with_values {
            if let Err(error) = append_copy_row(&self.mapping, row, &mut self.bytes) {
                self.bytes.truncate(start);
                return Err(error);
            }
            values = Some(key.end..self.bytes.len());
        }
        let entry = Entry { key: key.clone(), row: values, sequence: row.head.sequence };
        match self.places.get(&self.bytes[key.clone()]) {
            Some(&place) if self.entries[place].sequence > entry.sequence => {}
            Some(&place) => self.entries[place] = entry,
            None => {
                self.places.insert(self.bytes[key].into(), self.entries.len());
                self.entries.push(entry);
            }
        }
        Ok(())
    }

    pub(super) fn sent(&self) -> Sent {
        let bytes = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        Sent { bytes, writes: u64::from(bytes > 0) }
    }

    pub(super) fn row_count(&self) -> u64 {
        self.entries.iter().filter(|entry| entry.row.is_some()).count().try_into().unwrap_or(u64::MAX)
    }

    /// The rows as one binary `COPY`; `None` where there are none.
    pub(super) fn rows(&self) -> Option<Bytes> {
        self.stream(self.entries.iter().filter_map(|entry| entry.row.clone()))
    }

    /// The keys without a row as one binary `COPY`; `None` where there are none.
    pub(super) fn keys(&self) -> Option<Bytes> {
        self.stream(self.entries.iter().filter(|entry| entry.row.is_none()).map(|entry| entry.key.clone()))
    }

    fn stream(&self, ranges: impl Iterator<Item = Range<usize>>) -> Option<Bytes> {
        let mut stream = COPY_HEADER.to_vec();
        for range in ranges {
            stream.extend_from_slice(&self.bytes[range]);
        }
        if stream.len() == COPY_HEADER.len() {
            return None;
        }
        stream.extend_from_slice(COPY_TRAILER);
        Some(stream.into())
    }
}
