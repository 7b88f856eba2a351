//! Where each mapping stands in a tenant's database.

use lockstep_core::SequenceId;

use super::FillPosition;

/// Where a mapping stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MappingState {
    /// It has to be filled: it never was, or its definition has gained a column since.
    Absent,
    /// A fill is under way.
    Filling(FillPosition),
    /// It holds everything through this number, which the next page is read above.
    At(SequenceId),
}

/// Whether a mapping's table fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prepared {
    /// It is as it has to be.
    Fits,
    /// It was not there and was created.
    Created,
    /// It was given columns that the definition has gained: it has to be filled again.
    Changed,
    /// It is of another shape, which is told in words. Nothing was changed.
    Misfit(Vec<String>),
}

/// One thing that was checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What it is and how it stands, in words.
    pub what: String,
    /// Whether it is well.
    pub ok: bool,
}
