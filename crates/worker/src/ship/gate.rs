//! What every row passes before it is written: its tenancy and place are checked on the way (ISO-1).

use std::collections::HashMap;

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_mappings::codec::{CodecError, Fields, RowHead, RowTranscoder};
use lockstep_mappings::postgres::fetch::Work;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::error::{ShipError, Violation};
use crate::lookup::{Residence, Residences, is_at};
use crate::plan::{Extents, MAX_IN_A_ROW, Page};
use crate::storage::look_up;

/// Checks rows and appends those that may be written.
pub(crate) trait Gate {
    /// Appends the row to `out`, or leaves `out` as it was and returns false.
    ///
    /// # Errors
    /// The read must not go on, and nothing of it may be kept.
    fn admit(&mut self, fields: Fields<'_>, out: &mut Vec<u8>) -> Result<bool, ShipError>;

    /// Called before rows leave this process.
    ///
    /// # Errors
    /// As [`Gate::admit`].
    async fn vouch(&mut self) -> Result<(), ShipError> {
        Ok(())
    }
}

/// For a page of news.
pub(crate) struct PageGate<'a> {
    pub(crate) transcoder: &'a RowTranscoder,
    pub(crate) page: Page<'a>,
}

impl Gate for PageGate<'_> {
    fn admit(&mut self, fields: Fields<'_>, out: &mut Vec<u8>) -> Result<bool, ShipError> {
        let before = out.len();
        match self.transcoder.transcode(fields, out) {
            Ok(head) => {
                let admitted = self.page.accept(&head)?;
                if !admitted {
                    out.truncate(before);
                }
                Ok(admitted)
            }
            Err(error @ CodecError::Value { .. }) => {
                self.page.refuse(&self.transcoder.head(fields)?, error)?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Every row starts with its tenancy.
fn tenancy_of(mut fields: Fields<'_>) -> Result<TenancyId, ShipError> {
    let id = fields.next_field()?.and_then(|id| Uuid::from_slice(id).ok());
    id.map(TenancyId::new).ok_or(ShipError::Codec(CodecError::Stream("a row does not start with a tenancy")))
}

fn transcode<'a>(transcoder: &RowTranscoder, fields: Fields<'a>, out: &mut Vec<u8>) -> Result<RowHead<'a>, ShipError> {
    match transcoder.transcode(fields, out) {
        Err(error @ CodecError::Value { .. }) => Err(ShipError::Refused { tenancy: tenancy_of(fields)?, error }),
        other => Ok(other?),
    }
}

/// For what changes of tenancies have made of their former locations: rows of whoever lives there now, and tombstones.
pub(crate) struct FormerGate<'a> {
    transcoder: &'a RowTranscoder,
    expected: HashMap<TenancyId, (&'a Residence, Work, SequenceId)>,
    admitted: Extents,
}

impl<'a> FormerGate<'a> {
    /// For these tenancies, each with its cursor and where that will stand.
    pub(crate) fn new(transcoder: &'a RowTranscoder, moved: &[(Work, SequenceId)], residences: &'a Residences) -> Self {
        let expected = moved
            .iter()
            .filter_map(|(work, up_to)| Some((work.tenancy, (residences.get(work.tenancy)?, *work, *up_to))));
        Self { transcoder, expected: expected.collect(), admitted: Extents::new() }
    }

    /// Adds what was admitted to what else goes into the page.
    pub(crate) fn add_to(self, extents: &mut Extents) {
        for (tenancy, own) in self.admitted {
            let extent = extents.entry(tenancy).or_default();
            extent.rows += own.rows;
            extent.sequences.extend(own.sequences);
        }
    }
}

impl Gate for FormerGate<'_> {
    fn admit(&mut self, fields: Fields<'_>, out: &mut Vec<u8>) -> Result<bool, ShipError> {
        let head = transcode(self.transcoder, fields, out)?;
        let Some((residence, work, up_to)) = self.expected.get(&head.tenancy) else {
            return Err(Violation::Tenancy(head.tenancy).into());
        };
        if !residence.former.iter().any(|former| is_at(&head, former)) {
            return Err(Violation::Location(head.tenancy).into());
        }
        if head.sequence <= work.after || head.sequence > *up_to {
            return Err(Violation::Order { tenancy: head.tenancy, sequence: head.sequence }.into());
        }
        let extent = self.admitted.entry(head.tenancy).or_default();
        extent.rows += 1;
        // One more than are ever set aside together tells that there are too many.
        if extent.sequences.len() <= MAX_IN_A_ROW as usize {
            extent.sequences.insert(head.sequence);
        }
        Ok(true)
    }
}

/// Tenancies that are remembered while a range of the base is read: some tens of megabytes at most.
const MAX_REMEMBERED: usize = 65_536;

/// For base rows, which come in no order and from tenancies that nobody named: what the read says about each tenancy is
/// compared with the answer to another question, before any of its rows is sent.
pub(crate) struct BaseGate<'a> {
    transcoder: &'a RowTranscoder,
    /// Another connection: the one that reads is busy.
    lookups: &'a Client,
    said: HashMap<TenancyId, Location>,
    unverified: Vec<TenancyId>,
    /// The version of all rows.
    floor: SequenceId,
}

impl<'a> BaseGate<'a> {
    pub(crate) fn new(transcoder: &'a RowTranscoder, lookups: &'a Client, floor: SequenceId) -> Self {
        Self { transcoder, lookups, floor, said: HashMap::new(), unverified: Vec::new() }
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

impl Gate for BaseGate<'_> {
    fn admit(&mut self, fields: Fields<'_>, out: &mut Vec<u8>) -> Result<bool, ShipError> {
        let head = transcode(self.transcoder, fields, out)?;
        if head.sequence != self.floor || head.deleted {
            return Err(Violation::Order { tenancy: head.tenancy, sequence: head.sequence }.into());
        }
        match self.said.get(&head.tenancy) {
            Some(location) if is_at(&head, location) => Ok(true),
            Some(_) => Err(Violation::Location(head.tenancy).into()),
            None => self.note(&head).map(|()| true),
        }
    }

    async fn vouch(&mut self) -> Result<(), ShipError> {
        if self.unverified.is_empty() {
            return Ok(());
        }
        let residences = look_up(self.lookups, &self.unverified).await?;
        for tenancy in self.unverified.drain(..) {
            // A tenancy that moved or went since the range was begun differs too: the range is read again later, and
            // by then its rows have changes of their own, or are ownerless.
            if residences.get(tenancy).map(|residence| &residence.now) != self.said.get(&tenancy) {
                return Err(Violation::Location(tenancy).into());
            }
        }
        if self.said.len() > MAX_REMEMBERED {
            self.said.clear();
        }
        Ok(())
    }
}
