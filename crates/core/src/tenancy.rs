//! Whose data it is: a tenancy, and where its rows live in ClickHouse.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The id of a row in `"Tenancy"`: the unit that is announced, read, shipped and erased.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenancyId(Uuid);

impl TenancyId {
    /// Wraps the primary key of `"Tenancy"`.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// The key as Postgres holds it.
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for TenancyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TenancyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenancyId({})", self.0)
    }
}

impl FromStr for TenancyId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Where a tenancy's rows live in ClickHouse: the first two columns of every row.
///
/// Tenancies that differ only in organisation share a location; row ids keep them apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Location {
    /// `"Tenancy"."projectId"`.
    pub project_id: String,
    /// `"Tenancy"."branchId"`.
    pub branch_id: String,
}
