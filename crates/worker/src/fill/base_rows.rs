//! Rows of a fill, which come in no order and from tenancies that nobody named (ISO-1).

use std::collections::HashMap;

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_destinations::PageWriter;
use lockstep_mappings::codec::{CodecError, Row, RowHead};
use tokio_postgres::Client;

use crate::error::{ShipError, Violation};
use crate::flush::{OpenPage, RowFilter, push};
use crate::storage::{is_at, look_up};

/// Tenancies that are remembered while a range of the base is read: some tens of megabytes at most.
const MAX_REMEMBERED: usize = 65_536;

/// The rows of a range: what the read says about each tenancy is compared with the answer to another question, before any
/// of its rows is sent.
pub(super) struct BaseRows<'a> {
    /// Another connection: the one that reads is busy.
    lookups: &'a Client,
    said: HashMap<TenancyId, Location>,
    unverified: Vec<TenancyId>,
    /// The version of all rows.
    floor: SequenceId,
}

impl<'a> BaseRows<'a> {
    pub(super) fn new(lookups: &'a Client, floor: SequenceId) -> Self {
        Self { lookups, floor, said: HashMap::new(), unverified: Vec::new() }
    }

    fn note(&mut self, head: &RowHead<'_>) -> Result<(), ShipError> {
        let text =
            |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| CodecError::Stream("a name is not UTF-8"));
        let location = Location { project_id: text(head.project_id)?, branch_id: text(head.branch_id)? };
        self.said.insert(head.tenancy, location);
        self.unverified.push(head.tenancy);
        Ok(())
    }
}

impl<P: PageWriter> RowFilter<P> for BaseRows<'_> {
    fn accept(&mut self, row: &Row<'_>, page: &mut OpenPage<P>) -> Result<(), ShipError> {
        let head = &row.head;
        if head.sequence != self.floor || head.deleted {
            return Err(Violation::Order { tenancy: head.tenancy, sequence: head.sequence }.into());
        }
        match self.said.get(&head.tenancy) {
            Some(location) if is_at(head, location) => {}
            Some(_) => return Err(Violation::Location(head.tenancy).into()),
            None => self.note(head)?,
        }
        push(row, page)
    }

    async fn verify_before_send(&mut self) -> Result<(), ShipError> {
        if self.unverified.is_empty() {
            return Ok(());
        }
        let locations = look_up(self.lookups, &self.unverified).await?;
        for tenancy in self.unverified.drain(..) {
            // A tenancy that moved or went since the range was begun differs too: the range is read again later, and
            // by then its rows have changes of their own, or are ownerless.
            if locations.get(tenancy).map(|locations| &locations.now) != self.said.get(&tenancy) {
                return Err(Violation::Location(tenancy).into());
            }
        }
        if self.said.len() > MAX_REMEMBERED {
            self.said.clear();
        }
        Ok(())
    }
}
