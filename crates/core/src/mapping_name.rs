//! The name of a mapping, which is also the name of its destination tables.

use std::fmt;
use std::str::FromStr;

/// A mapping's name: 1 to 63 characters of `a-z`, `0-9` and `_`, starting with a letter. Safe to use unquoted in SQL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MappingName(String);

/// The text is not a mapping name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no mapping name: use 1 to 63 of a-z, 0-9 and _, starting with a letter")]
pub struct InvalidMappingName(String);

impl MappingName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MappingName {
    type Err = InvalidMappingName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let rest = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        // 63 bytes is Postgres's limit for a name (NAMEDATALEN - 1).
        if first && rest && text.len() <= 63 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidMappingName(text.to_owned()))
        }
    }
}

impl fmt::Display for MappingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_need_no_quotes_are_accepted() {
        for good in ["users", "a", "team_member_profiles", "x9"] {
            assert_eq!(good.parse::<MappingName>().unwrap().as_str(), good);
        }
        for bad in ["", "9x", "_x", "Users", "a-b", "a b", "a\"b", "é", &"a".repeat(64)] {
            assert!(bad.parse::<MappingName>().is_err(), "{bad:?} was accepted");
        }
    }
}
