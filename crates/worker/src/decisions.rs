//! What a worker decides about a page, for the model of the whole (`tests/model.rs`): no database, no bytes.

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_mappings::codec::RowHead;
use lockstep_mappings::postgres::fetch::{PageLimits, Work};

use crate::lookup::Residences;
use crate::plan::{Isolation, Page};

/// Where cursors may go, and who has more, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// Each tenancy whose cursor moves, and to where.
    pub forward: Vec<(TenancyId, SequenceId)>,
    /// Tenancies that a limit kept from being read whole.
    pub continued: Vec<TenancyId>,
}

/// Takes a page's rows (tenancy, number, whether it is a tombstone) as they come, and settles it.
///
/// # Errors
/// A row is not one that was asked for, or not in order.
pub fn page(
    work: &[Work],
    rows: &[(TenancyId, SequenceId, bool)],
    limits: PageLimits,
    head: SequenceId,
) -> Result<Decided, String> {
    let mut residences = Residences::default();
    for work in work {
        residences.add(work.tenancy, Location { project_id: String::new(), branch_id: String::new() }, None);
    }
    let isolation = Isolation::default();
    let mut page = Page::new(work.iter().copied(), &residences, limits, &isolation);
    for &(tenancy, sequence, deleted) in rows {
        let head = RowHead { tenancy, project_id: b"", branch_id: b"", sequence, deleted };
        page.accept(&head).map_err(|violation| violation.to_string())?;
    }
    let settled = page.settle(head);
    let forward = settled.forward.iter().map(|(work, to)| (work.tenancy, *to)).collect();
    Ok(Decided { forward, continued: settled.continued })
}
