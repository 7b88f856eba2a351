//! What is to be erased, and where.

use lockstep_core::{Location, SequenceId, TenancyId};

/// An erasure whose wait is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Due {
    /// In `lockstep.erasure`.
    pub(crate) id: i64,
    pub(crate) tenancy: TenancyId,
    /// It exists in the source, and is not shipped.
    pub(crate) stopped: bool,
    /// No row of it has a higher number in the destination.
    pub(crate) up_to: SequenceId,
}

/// A place where such a tenancy is or was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) tenancy: TenancyId,
    pub(crate) location: Location,
    /// A tenancy that stays is or was there too: its rows, and its tombstones, stay.
    pub(crate) is_shared: bool,
}
