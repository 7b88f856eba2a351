//! Which versions of ClickHouse have what our statements need.

use std::fmt;

use lockstep_mappings::clickhouse::each_server;

use super::{ClickHouse, error};
use crate::error::{DestinationError, Failure};

/// A version as ClickHouse counts: a year, and a release of that year.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Version {
    year: u32,
    release: u32,
}

/// The oldest version on which every statement was run. Nothing older is refused for its age alone: see [`FEATURES`].
const MINIMUM: Version = Version { year: 25, release: 5 };

/// What no older version has, and a statement cannot do without.
struct Feature {
    /// The release that brought it.
    since: Version,
    /// As it stands in our statements.
    text: &'static str,
    /// What it is needed for.
    why: &'static str,
}

/// Everything that came after 23.1, the oldest first.
const FEATURES: [Feature; 3] = [
    Feature {
        since: Version { year: 23, release: 2 },
        text: "ReplacingMergeTree(sync_sequence_id, sync_is_deleted)",
        why: "a tombstone hides its row in every read with FINAL",
    },
    Feature {
        since: Version { year: 24, release: 2 },
        text: "SQL SECURITY DEFINER",
        why: "tenants read views and have no right on the tables below them",
    },
    Feature {
        since: Version { year: 25, release: 1 },
        text: "max_bytes_ratio_before_external_sort",
        why: "the verifier's sorts go to disk at a size that is known, whatever memory is free",
    },
];

impl Version {
    /// The beginning of what `version()` answers: `25.8.3.66`, or `25.8.3.10034.altinitystable`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split('.').map(str::parse);
        Some(Self { year: numbers.next()?.ok()?, release: numbers.next()?.ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.year, self.release)
    }
}

/// Asks every server for its version, and fails with [`Failure::Outdated`] where one is too old.
pub(super) async fn check(server: &ClickHouse) -> Result<(), DestinationError> {
    let sql = format!("SELECT version() FROM {}", each_server("one", &server.databases));
    let answers: Vec<(String,)> = server.fetch_rows(&sql).await?;
    answers.iter().try_for_each(|(answer,)| judge(answer))
}

/// Fails with [`Failure::Outdated`] where this version is too old.
pub(super) fn judge(answer: &str) -> Result<(), DestinationError> {
    let Some(version) = Version::parse(answer) else {
        return Err(error(Failure::Unexpected, "it tells a version that is no version of ClickHouse's"));
    };
    if version >= MINIMUM {
        return Ok(());
    }
    let lacks: String = FEATURES
        .iter()
        .filter(|feature| version < feature.since)
        .map(|feature| format!("; it lacks `{}` ({}: {})", feature.text, feature.since, feature.why))
        .collect();
    Err(error(Failure::Outdated, format!("it has version {version}, and {MINIMUM} or later is needed{lacks}")))
}

#[cfg(test)]
mod tests {
    use lockstep_mappings::MappingSet;
    use lockstep_mappings::clickhouse::{Comments, Databases, compare_rows, raw_table, view};
    use lockstep_mappings::postgres::compare::Scope;

    use super::*;

    #[test]
    fn the_minimum_and_what_is_newer_will_do_whoever_built_it() {
        for answer in ["25.5.2.1", "25.8.3.10034.altinitystable\n", "26.7.2.1", "30.1"] {
            assert_eq!(judge(answer), Ok(()), "{answer}");
        }
        assert_eq!(judge("a proxy").unwrap_err().failure(), Failure::Unexpected);
    }

    #[test]
    fn an_older_version_is_refused_with_what_it_lacks() {
        let refused = |answer| judge(answer).unwrap_err();
        let error = refused("23.10.1.1");
        assert_eq!((error.failure(), error.code()), (Failure::Outdated, "LS-0207"));
        let said = error.to_string();
        assert!(
            said.contains("version 23.10, and 25.5 or later") && said.contains("`SQL SECURITY DEFINER` (24.2"),
            "{said}"
        );
        assert!(!said.contains("ReplacingMergeTree"), "{said}");
        assert!(!refused("25.3.1.1").to_string().contains("lacks"), "nothing is known to be missing there");
    }

    #[test]
    fn every_feature_is_in_a_statement_and_the_minimum_has_it() {
        let set = MappingSet::built_in();
        let users = set.iter().find(|mapping| mapping.name.as_str() == "users").unwrap();
        let databases = Databases { raw: "raw".to_owned(), views: "views".to_owned(), cluster: None, fsync: false };
        let mut statements = raw_table(users, &databases).create();
        statements
            .extend([view(users, &databases, &Comments::default()), compare_rows(users, &databases, Scope::All, None)]);
        for Feature { since, text, .. } in FEATURES {
            assert!(statements.iter().any(|statement| statement.contains(text)), "nothing needs {text}");
            assert!(since <= MINIMUM, "{text}");
        }
    }
}
