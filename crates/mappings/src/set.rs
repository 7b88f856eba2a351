//! All mappings of an installation: the built-in ones and the operator's own.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

use lockstep_core::MappingName;

use crate::definition::{DefinitionError, DefinitionErrors, parse_definition};
use crate::mapping::{Mapping, SourceTable};
use crate::postgres::capture;

/// The built-in definitions, each with the name of its file.
const BUILT_IN: &[(&str, &str)] = &[
    ("users.toml", include_str!("../definitions/users.toml")),
    ("contact_channels.toml", include_str!("../definitions/contact_channels.toml")),
    ("teams.toml", include_str!("../definitions/teams.toml")),
    ("team_member_profiles.toml", include_str!("../definitions/team_member_profiles.toml")),
    ("team_permissions.toml", include_str!("../definitions/team_permissions.toml")),
    ("team_invitations.toml", include_str!("../definitions/team_invitations.toml")),
    ("email_outboxes.toml", include_str!("../definitions/email_outboxes.toml")),
    ("session_replays.toml", include_str!("../definitions/session_replays.toml")),
    ("project_permissions.toml", include_str!("../definitions/project_permissions.toml")),
    ("notification_preferences.toml", include_str!("../definitions/notification_preferences.toml")),
    ("refresh_tokens.toml", include_str!("../definitions/refresh_tokens.toml")),
    ("connected_accounts.toml", include_str!("../definitions/connected_accounts.toml")),
];

/// A definition larger than this is a mistake, not a definition.
const MAX_DEFINITION_BYTES: u64 = 1024 * 1024;

/// Checked mappings, in the order of their definitions, with unique names.
#[derive(Clone, Debug)]
pub struct MappingSet {
    mappings: Vec<Mapping>,
}

impl MappingSet {
    /// The built-in mappings and those of `directory`, every `*.toml` in it in the order of their names.
    ///
    /// # Errors
    /// Everything that is wrong in any file, each with file, line, column name and remedy.
    pub fn load(directory: Option<&Path>) -> Result<Self, DefinitionErrors> {
        let mut files: Vec<(String, String)> =
            BUILT_IN.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let mut errors = Vec::new();
        if let Some(directory) = directory {
            match read_directory(directory) {
                Ok(own) => files.extend(own),
                Err(error) => errors.push(error),
            }
        }
        Self::parse(&files, errors)
    }

    /// The mappings of the given `(file name, text)` pairs alone.
    ///
    /// # Errors
    /// As [`MappingSet::load`].
    pub fn from_texts(files: &[(String, String)]) -> Result<Self, DefinitionErrors> {
        Self::parse(files, Vec::new())
    }

    fn parse(files: &[(String, String)], mut errors: Vec<DefinitionError>) -> Result<Self, DefinitionErrors> {
        let mut mappings: Vec<Mapping> = Vec::new();
        for (file, text) in files {
            match parse_definition(file, text) {
                Ok(mapping) => match mappings.iter().find(|other| other.name == mapping.name) {
                    Some(other) => {
                        let problem = format!("the name {} is taken by {}", mapping.name, other.file);
                        errors.push(DefinitionError::of_file(file.clone(), problem, "choose another name"));
                    }
                    None => mappings.push(mapping),
                },
                Err(found) => errors.extend(found),
            }
        }
        let set = Self { mappings };
        errors.extend(capture::clashes(&set).into_iter().map(|mapping| {
            let name = &mapping.name;
            let problem =
                format!("the name {name}, alone or with a join's, is one that another mapping has with a join's");
            let remedy = "choose a name that is no mapping's and join's put together with _";
            DefinitionError::of_file(mapping.file.clone(), problem, remedy)
        }));
        if errors.is_empty() { Ok(set) } else { Err(DefinitionErrors(errors)) }
    }

    /// The mappings, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter()
    }

    /// The mapping of this name.
    pub fn get(&self, name: &MappingName) -> Option<&Mapping> {
        self.mappings.iter().find(|mapping| mapping.name == *name)
    }

    /// The source tables in order of name, each with the mappings that read it.
    pub fn by_source(&self) -> BTreeMap<&SourceTable, Vec<&Mapping>> {
        let mut tables: BTreeMap<&SourceTable, Vec<&Mapping>> = BTreeMap::new();
        for mapping in &self.mappings {
            tables.entry(&mapping.source).or_default().push(mapping);
        }
        tables
    }
}

fn read_directory(directory: &Path) -> Result<Vec<(String, String)>, DefinitionError> {
    let failed = |path: &Path, problem: String| {
        let remedy = "check LOCKSTEP_MAPPINGS_DIR and its permissions";
        DefinitionError::of_file(path.display().to_string(), problem, remedy)
    };
    let unreadable = |path: &Path, error: &io::Error| failed(path, format!("cannot be read: {error}"));
    let entries = std::fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| unreadable(directory, &error))?;
    let mut paths: Vec<_> = entries.iter().map(DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let read = |path: &PathBuf| {
        let bytes = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
        if bytes > MAX_DEFINITION_BYTES {
            let problem = format!("is {bytes} bytes long; a definition has at most {MAX_DEFINITION_BYTES}");
            return Err(failed(path, problem));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        Ok((path.display().to_string(), text))
    };
    paths.iter().map(read).collect()
}
