//! All mappings of an installation: the built-in ones and the operator's own.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

use lockstep_core::settings::{BuiltInMappings, MappingSources};
use lockstep_core::{MappingName, small_file};

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
    /// The mappings of an installation: the built-in ones first, then every `*.toml` of its directory in the order of their names.
    ///
    /// # Errors
    /// Everything that is wrong in any file, each with file, line, column name and remedy.
    pub fn load(sources: &MappingSources) -> Result<Self, DefinitionErrors> {
        strictly(Self::load_right(sources, None))
    }

    /// All built-in mappings, and no other.
    ///
    /// # Panics
    /// Never: a test loads them.
    #[must_use]
    pub fn built_in() -> Self {
        Self::load(&MappingSources::default()).expect("the built-in definitions are right")
    }

    /// As [`MappingSet::load`], with the definition of one more file: the mappings that are right by themselves, and
    /// everything that is wrong in any file.
    pub fn load_right(sources: &MappingSources, one_more: Option<&Path>) -> (Self, Vec<DefinitionError>) {
        let (mut files, mut errors) = built_in_files(&sources.built_in);
        let directory = sources.directory.as_deref();
        let mut paths = directory.map_or_else(|| Ok(Vec::new()), definitions_in).unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        });
        if let Some(one_more) = one_more {
            // It goes by the name that it was given, and stands last: what clashes with another is its own fault.
            let here = one_more.canonicalize().ok();
            paths.retain(|path| here.is_none() || path.canonicalize().ok() != here);
            paths.push(one_more.to_owned());
        }
        for path in paths {
            match read(&path) {
                Ok(text) => files.push((path.display().to_string(), text)),
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
        strictly(Self::parse(files, Vec::new()))
    }

    /// Those mappings of which a condition holds.
    #[must_use]
    pub fn only(&self, holds: impl Fn(&Mapping) -> bool) -> Self {
        Self { mappings: self.mappings.iter().filter(|mapping| holds(mapping)).cloned().collect() }
    }

    fn parse(files: &[(String, String)], mut errors: Vec<DefinitionError>) -> (Self, Vec<DefinitionError>) {
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
        (set, errors)
    }

    /// The text of a definition, by the file that its mapping names.
    ///
    /// # Errors
    /// When the file cannot be read, or is too long.
    pub fn definition(file: &str) -> Result<String, DefinitionErrors> {
        let built_in = BUILT_IN.iter().find(|(name, _)| *name == file).map(|(_, text)| (*text).to_owned());
        built_in.map_or_else(|| read(Path::new(file)).map_err(|error| DefinitionErrors(vec![error])), Ok)
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

/// The files of those built-in definitions that an installation has, and what is wrong with their names.
fn built_in_files(wanted: &BuiltInMappings) -> (Vec<(String, String)>, Vec<DefinitionError>) {
    let names: Vec<_> = BUILT_IN.iter().map(|(file, _)| file.trim_end_matches(".toml")).collect();
    let files = BUILT_IN.iter().zip(&names).filter(|(_, name)| name.parse().is_ok_and(|name| wanted.has(&name)));
    let files = files.map(|((file, text), _)| ((*file).to_owned(), (*text).to_owned())).collect();
    let unknown = match wanted {
        BuiltInMappings::All => Vec::new(),
        BuiltInMappings::Only(wanted) => wanted.iter().filter(|name| !names.contains(&name.as_str())).collect(),
    };
    let errors = unknown.into_iter().map(|name| {
        let (file, problem) =
            ("LOCKSTEP_BUILT_IN_MAPPINGS".to_owned(), format!("no built-in mapping is called {name}"));
        // It is a setting, which has no lines.
        DefinitionError {
            line: 0,
            ..DefinitionError::of_file(file, problem, &format!("choose of {}", names.join(", ")))
        }
    });
    (files, errors.collect())
}

fn strictly((set, errors): (MappingSet, Vec<DefinitionError>)) -> Result<MappingSet, DefinitionErrors> {
    if errors.is_empty() { Ok(set) } else { Err(DefinitionErrors(errors)) }
}

fn failed(path: &Path, problem: String) -> DefinitionError {
    let remedy = "check the path (LOCKSTEP_MAPPINGS_DIR) and its permissions";
    DefinitionError::of_file(path.display().to_string(), problem, remedy)
}

fn unreadable(path: &Path, error: &io::Error) -> DefinitionError {
    failed(path, format!("cannot be read: {error}"))
}

/// The files of a directory that hold definitions, in the order of their names.
fn definitions_in(directory: &Path) -> Result<Vec<PathBuf>, DefinitionError> {
    let entries = std::fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| unreadable(directory, &error))?;
    let mut paths: Vec<_> = entries.iter().map(DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, DefinitionError> {
    let text = small_file::read_text(path, MAX_DEFINITION_BYTES).map_err(|error| unreadable(path, &error))?;
    Ok(text.to_string())
}
