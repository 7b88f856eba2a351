//! Which mappings an installation has: which of the built-in ones, and where its own are.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use super::check::{Check, given};
use crate::mapping_name::MappingName;

/// Flags about mappings.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct MappingArgs {
    /// Directory with definitions of your own, loaded beside the built-in ones
    #[arg(long, env = "LOCKSTEP_MAPPINGS_DIR", value_name = "DIR", global = true)]
    pub(super) mappings_dir: Option<PathBuf>,
    /// Which built-in mappings there are: all, none, or names with commas between them (default: all)
    #[arg(long, env = "LOCKSTEP_BUILT_IN_MAPPINGS", value_name = "all|none|NAMES", global = true)]
    pub(super) built_in_mappings: Option<String>,
}

/// Where the definitions of mappings come from. The default is every built-in one, and none beside them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MappingSources {
    /// The built-in ones.
    pub built_in: BuiltInMappings,
    /// Operators' own: each `*.toml` in this directory.
    pub directory: Option<PathBuf>,
}

/// Which of the built-in mappings an installation has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum BuiltInMappings {
    /// Each of them.
    #[default]
    All,
    /// Those that are named; nobody has checked that there are such.
    Only(BTreeSet<MappingName>),
}

impl BuiltInMappings {
    /// Whether the installation has the built-in mapping of this name.
    pub fn has(&self, name: &MappingName) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }
}

/// As the setting has it.
impl fmt::Display for BuiltInMappings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Only(names) if names.is_empty() => f.write_str("none"),
            Self::Only(names) => {
                let names: Vec<_> = names.iter().map(MappingName::as_str).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

impl MappingArgs {
    pub(super) fn resolve(&self, check: &mut Check) -> MappingSources {
        MappingSources {
            built_in: built_in(check, self.built_in_mappings.as_deref()),
            directory: check.directory("LOCKSTEP_MAPPINGS_DIR", self.mappings_dir.as_deref()),
        }
    }
}

fn built_in(check: &mut Check, value: Option<&str>) -> BuiltInMappings {
    let names = match given(value) {
        None | Some("all") => return BuiltInMappings::All,
        Some("none") => BTreeSet::new(),
        Some(names) => {
            let names = names.split(',').map(str::trim).map(str::parse);
            names.collect::<Result<_, _>>().unwrap_or_else(|error| {
                check.problem(format!("LOCKSTEP_BUILT_IN_MAPPINGS must be all, none, or names with commas: {error}"));
                BTreeSet::new()
            })
        }
    };
    BuiltInMappings::Only(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_mappings_are_all_none_or_those_that_are_named() {
        let of = |value: &str| {
            let mut check = Check::default();
            let sources =
                MappingArgs { built_in_mappings: Some(value.to_owned()), mappings_dir: None }.resolve(&mut check);
            (sources.built_in, check.problems().len())
        };
        let only = |names: &[&str]| BuiltInMappings::Only(names.iter().map(|name| name.parse().unwrap()).collect());
        assert_eq!(of(" "), (BuiltInMappings::All, 0));
        assert_eq!(of("all"), (BuiltInMappings::All, 0));
        assert_eq!(of("none"), (only(&[]), 0));
        assert_eq!(of("users, teams"), (only(&["users", "teams"]), 0));
        assert_eq!(of("users,,Teams"), (only(&[]), 1));
        assert_eq!(only(&["users", "teams"]).to_string(), "teams,users");
        assert_eq!([BuiltInMappings::All, only(&[])].map(|built_in| built_in.to_string()), ["all", "none"]);
    }
}
