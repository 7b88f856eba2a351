//! The name of a tenant's user.

use std::fmt;
use std::str::FromStr;

use lockstep_core::TenancyId;

/// The longest name, in bytes.
const MAX_BYTES: usize = 64;

/// A user's name that means the same in SQL and in users XML: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`, beginning with a
/// letter or `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct UserName(String);

/// The text is no name of a user.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("use 1 to 64 of A-Z, a-z, 0-9, _ and -, beginning with a letter or _")]
pub struct InvalidUserName;

impl UserName {
    /// The name that a tenancy's user has unless another is asked for.
    pub fn of(tenancy: TenancyId) -> Self {
        Self(format!("tenant_{}", tenancy.as_uuid().simple()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_plain(text) && text.len() <= MAX_BYTES { Ok(Self(text.to_owned())) } else { Err(InvalidUserName) }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a name can be that of an element of users XML, where a dot would begin another element.
pub(super) fn is_plain(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
