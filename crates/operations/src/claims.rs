//! Who may decide what a place shows of a key, and what of that has not arrived: by that `explain` and the verifier judge. Pure,
//! but for reading a row. The verifier's module `judge` has the argument.

use std::collections::{BTreeMap, HashMap};

use lockstep_core::{SequenceId, TenancyId};
use tokio_postgres::Row;

/// A tenancy that is or was at the place of a key, and what it can still change there: see
/// [`lockstep_mappings::postgres::compare::claims`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Which.
    pub tenancy: TenancyId,
    /// It is not in the source.
    pub gone: bool,
    /// Its last change of the key, if there is one above the cursor that the first look found.
    pub sequence: Option<SequenceId>,
    /// Something that concerns the key has no number yet, or the tenancy is to be erased.
    pub waiting: bool,
    /// Where the cursor of the tenancy was before the source was read.
    pub cursor: SequenceId,
}

/// What may still mend a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pending {
    /// Something that concerns the key has no number.
    Number,
    /// The tenancy is gone, and its rows are to be erased.
    Erasure,
    /// This change has not arrived.
    Change(SequenceId),
    /// The mapping's fill has not ended.
    Fill,
}

/// What has to stay the same from one look to the next for a difference to be real: each claim with its last change.
pub type Version = BTreeMap<TenancyId, Option<SequenceId>>;

impl Claim {
    /// Of a row that has it from the column `first` on: behind project, branch and key.
    pub fn read(row: &Row, first: usize, cursors: &HashMap<TenancyId, SequenceId>) -> Self {
        let tenancy = TenancyId::new(row.get(first));
        Self {
            tenancy,
            gone: row.get(first + 1),
            sequence: row.get::<_, Option<i64>>(first + 2).map(SequenceId::new),
            waiting: row.get(first + 3),
            cursor: cursors.get(&tenancy).copied().unwrap_or_default(),
        }
    }

    /// Its change, where that has not arrived.
    pub fn above_cursor(&self) -> Option<SequenceId> {
        self.sequence.filter(|sequence| *sequence > self.cursor)
    }

    fn pending(&self) -> Option<Pending> {
        match self {
            Self { gone: true, waiting, .. } => waiting.then_some(Pending::Erasure),
            Self { waiting: true, .. } => Some(Pending::Number),
            _ => self.above_cursor().map(Pending::Change),
        }
    }
}

/// What may still mend a difference; none where it is owed.
pub fn pending(claims: &[Claim], is_filled: bool) -> Option<Pending> {
    claims.iter().find_map(Claim::pending).or((!is_filled).then_some(Pending::Fill))
}

/// What has to stay the same.
pub fn version(claims: &[Claim]) -> Version {
    claims.iter().map(|claim| (claim.tenancy, claim.sequence)).collect()
}
