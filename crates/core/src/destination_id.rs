//! Which destination something is about.

use std::borrow::Cow;
use std::fmt;

use uuid::Uuid;

/// The platform's own ClickHouse, as Lockstep's tables, pauses, health and errors call it.
pub const CLICKHOUSE: &str = "clickhouse";

/// The id of a destination: one word for it in Lockstep's tables, in pauses, health and errors.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DestinationId(Cow<'static, str>);

impl DestinationId {
    /// The platform's own ClickHouse.
    pub const fn clickhouse() -> Self {
        Self(Cow::Borrowed(CLICKHOUSE))
    }

    /// A tenant's own database, by its id in `lockstep.tenant_destination`.
    pub fn tenant(id: Uuid) -> Self {
        Self(Cow::Owned(id.to_string()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for DestinationId {
    fn from(id: &'static str) -> Self {
        Self(Cow::Borrowed(id))
    }
}

impl fmt::Display for DestinationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
