//! Pages of a fill.

use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::codec::{CodecError, Row};
use uuid::Uuid;

use super::Postgres;
use crate::destination::{Ended, PageStart, PageWriter, Sent};
use crate::error::{DestinationError, Failure};

/// How far a fill has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FillPosition {
    /// Tells one fill from another with the same version.
    pub id: Uuid,
    /// The number that was drawn before the first row was read: the cursor that the fill ends with.
    pub version: SequenceId,
    /// The key of the last row that was passed, each column as text; none before the first.
    pub after: Option<Vec<String>>,
    /// Rows that were written so far.
    pub rows: u64,
}

/// A page of a fill: the rows behind a key, in the order of their keys. What the database has between them goes.
#[must_use = "a page that is dropped is not written"]
#[derive(Debug)]
pub struct FillPage {
    to: Postgres,
    from: FillPosition,
}

impl FillPage {
    pub(super) fn new(to: &Postgres, _start: PageStart<'_>, from: &FillPosition) -> Self {
        Self { to: to.clone(), from: from.clone() }
    }

    /// The source has no more rows after this page's.
    pub fn is_last(&mut self) {}

    /// A row was set aside: its key is passed, and what the database holds of it stays.
    ///
    /// # Errors
    /// [`CodecError`] where the key itself cannot be read.
    pub fn pass_over(&mut self, _row: &Row<'_>) -> Result<(), CodecError> {
        Ok(())
    }

    /// Where the fill stands once this page has ended.
    pub fn position(&self) -> FillPosition {
        self.from.clone()
    }
}

impl PageWriter for FillPage {
    fn push(&mut self, _row: &Row<'_>) -> Result<(), CodecError> {
        Ok(())
    }

    fn is_full(&self) -> bool {
        false
    }

    async fn send(&mut self) -> Result<(), DestinationError> {
        Ok(())
    }

    fn sent(&self) -> Sent {
        Sent::default()
    }

    async fn end(self, _: &[(TenancyId, SequenceId)]) -> Result<Ended, DestinationError> {
        Err(self.to.error(Failure::Unexpected, "not yet"))
    }
}
