//! Pages of the stream.

use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::codec::{CodecError, Row};

use super::Postgres;
use crate::destination::{Ended, PageStart, PageWriter, Sent};
use crate::error::{DestinationError, Failure};

/// A page of a mapping: gathered in memory, and written in one transaction at its end, with its cursor.
#[must_use = "a page that is dropped is not written"]
#[derive(Debug)]
pub struct Page {
    to: Postgres,
}

impl Page {
    pub(super) fn new(to: &Postgres, _start: PageStart<'_>) -> Self {
        Self { to: to.clone() }
    }
}

impl PageWriter for Page {
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
