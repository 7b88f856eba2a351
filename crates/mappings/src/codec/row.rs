//! One row of [`crate::postgres::fetch`]: what it says about itself, and its columns as they came.

use lockstep_core::{SequenceId, TenancyId};
use uuid::Uuid;

use super::{CodecError, Fields};
use crate::mapping::Mapping;

/// Fields beside the mapping's own: tenancy, project, branch, sequence, tombstone or not.
const OWN_FIELDS: usize = 5;

/// What a row says about itself, for checks and cursors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowHead<'a> {
    /// Whose it is.
    pub tenancy: TenancyId,
    /// Where it goes, UTF-8.
    pub project_id: &'a [u8],
    /// Where it goes, UTF-8.
    pub branch_id: &'a [u8],
    /// Its version.
    pub sequence: SequenceId,
    /// Whether it is a tombstone.
    pub deleted: bool,
}

/// A row of one mapping. The values of its columns are not looked at yet.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// What it says about itself.
    pub head: RowHead<'a>,
    columns: Fields<'a>,
    /// Bytes of the longest value.
    longest: usize,
}

impl<'a> Row<'a> {
    /// Takes a row of this mapping apart.
    ///
    /// # Errors
    /// The row is not one of this mapping; nothing that follows it can be trusted.
    pub fn read(mut fields: Fields<'a>, mapping: &Mapping) -> Result<Self, CodecError> {
        let (expected, found) = (mapping.columns.len() + OWN_FIELDS, fields.left());
        if found != expected {
            return Err(CodecError::FieldCount { found, expected });
        }
        let tenancy = TenancyId::new(Uuid::from_bytes(own("tenancy_id", fields.next_field()?)?));
        let project_id = present("project_id", fields.next_field()?)?;
        let branch_id = present("branch_id", fields.next_field()?)?;
        let columns = fields;
        let mut longest = 0;
        for _ in &mapping.columns {
            longest = longest.max(fields.next_field()?.map_or(0, <[u8]>::len));
        }
        let sequence = SequenceId::new(i64::from_be_bytes(own("sync_sequence_id", fields.next_field()?)?));
        let deleted = i16::from_be_bytes(own("sync_is_deleted", fields.next_field()?)?) != 0;
        Ok(Self { head: RowHead { tenancy, project_id, branch_id, sequence, deleted }, columns, longest })
    }

    /// Checks that no value of this row of `mapping` has more bytes than `limit`.
    ///
    /// # Errors
    /// [`CodecError::TooLong`] names the first column with one that has.
    pub fn fits(&self, mapping: &Mapping, limit: usize) -> Result<(), CodecError> {
        if self.longest <= limit {
            return Ok(());
        }
        let mut fields = self.columns;
        for column in &mapping.columns {
            let bytes = fields.next_field()?.map_or(0, <[u8]>::len);
            if bytes > limit {
                return Err(CodecError::TooLong { column: column.name.clone(), bytes, limit });
            }
        }
        Ok(())
    }

    /// The columns of the mapping, in order, and behind them the row's sequence and whether it is a tombstone.
    pub const fn columns(&self) -> Fields<'a> {
        self.columns
    }
}

pub(super) fn wrong(column: &str, problem: &'static str) -> CodecError {
    CodecError::Value { column: column.to_owned(), problem }
}

pub(super) fn present<'a>(column: &str, field: Option<&'a [u8]>) -> Result<&'a [u8], CodecError> {
    field.ok_or_else(|| wrong(column, "is null, which its type does not allow"))
}

/// A field of Lockstep's own.
fn own<const N: usize>(column: &str, field: Option<&[u8]>) -> Result<[u8; N], CodecError> {
    fixed(column, present(column, field)?)
}

pub(super) fn fixed<const N: usize>(column: &str, value: &[u8]) -> Result<[u8; N], CodecError> {
    value.try_into().map_err(|_| wrong(column, "has another width than its type"))
}
