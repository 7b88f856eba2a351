//! The configuration file: settings by their names in lower case, without the prefix. No secret stands in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ValueHint};
use toml::de::{DeTable, DeValue};

use crate::secret::SecretUrl;
use crate::small_file;

/// Where it is looked for, in this order, unless it is named.
const PLACES: [&str; 2] = ["lockstep.toml", "/etc/lockstep/lockstep.toml"];
/// A larger file is a mistake.
const MAX_BYTES: u64 = 256 * 1024;
/// A known name that is less like an unknown one is not told.
const ALIKE: f64 = 0.6;

/// The prefix of every setting in the environment.
pub(super) const PREFIX: &str = "LOCKSTEP_";

/// A setting that the file gives a value.
#[derive(Clone, Debug)]
pub(super) struct FileEntry {
    /// The flag's id, as clap knows it.
    pub(super) id: String,
    /// Its value; a relative path is taken from the file's directory.
    pub(super) value: OsString,
    /// Counted from 1.
    pub(super) line: usize,
}

/// What a file holds, and everything that is wrong with it.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingsFile {
    pub(super) path: Option<PathBuf>,
    pub(super) entries: Vec<FileEntry>,
    pub(super) problems: Vec<String>,
}

/// What a setting is called in the file: its variable without prefix, in lower case. `None` for the file's own name.
pub(super) fn name_of(flag: &Arg) -> Option<String> {
    let name = flag.get_env()?.to_str()?.strip_prefix(PREFIX)?.to_ascii_lowercase();
    (name != "config").then_some(name)
}

/// Whether its value is one URL.
pub(super) fn is_url(flag: &Arg) -> bool {
    flag.get_value_names().is_some_and(|names| names.iter().any(|name| name.as_str() == "URL"))
}

impl SettingsFile {
    /// Reads the file that is named, or the first that there is.
    pub(super) fn find(named: Option<&Path>, flags: &[Arg]) -> Self {
        let named = named.filter(|path| !path.as_os_str().is_empty());
        let found = || PLACES.iter().map(Path::new).find(|path| path.exists());
        let Some(path) = named.or_else(found) else { return Self::default() };
        let mut file = match small_file::read_text(path, MAX_BYTES) {
            Ok(text) => Self::parse(path, &text, flags),
            Err(why) => {
                let problem = format!("{}: cannot read this configuration file: {why}", path.display());
                Self { problems: vec![problem], ..Self::default() }
            }
        };
        file.path = Some(path.to_owned());
        file
    }

    pub(super) fn parse(path: &Path, text: &str, flags: &[Arg]) -> Self {
        let mut file = Self::default();
        let line_at =
            |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let line = error.span().map_or(1, |span| line_at(span.start));
                // The error's whole text would quote the line, and with it a secret that must not stand there.
                file.problems.push(format!("{}:{line}: {}", path.display(), error.message()));
                return file;
            }
        };
        for (name, value) in table.get_ref() {
            let line = line_at(name.span().start);
            match entry(path, name.get_ref(), value.get_ref(), flags) {
                Ok((id, value)) => file.entries.push(FileEntry { id, value, line }),
                Err(why) => file.problems.push(format!("{}:{line}: {why}", path.display())),
            }
        }
        file.entries.sort_by_key(|entry| entry.line);
        file
    }
}

/// The setting that a line means, or what is wrong with the line.
fn entry(path: &Path, name: &str, value: &DeValue<'_>, flags: &[Arg]) -> Result<(String, OsString), String> {
    let Some(flag) = flags.iter().find(|flag| name_of(flag).is_some_and(|known| known == name)) else {
        return Err(unknown(name, flags));
    };
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
        _ => return Err(format!("{name} must be a text in quotes, or a number")),
    };
    if flag.is_hide_env_values_set() && !text.trim().is_empty() {
        refuse_secret(name, &text, flag, flags)?;
    }
    let id = flag.get_id().to_string();
    if flag.get_value_hint() == ValueHint::AnyPath && !text.trim().is_empty() {
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        return Ok((id, directory.join(text).into_os_string()));
    }
    Ok((id, text.into()))
}

/// Only URLs without a password may stand in the file, of all that can be secret.
fn refuse_secret(name: &str, text: &str, flag: &Arg, flags: &[Arg]) -> Result<(), String> {
    let is_url = is_url(flag);
    if is_url && !SecretUrl::new(text).has_password() {
        return Ok(());
    }
    let in_file = format!("{name}_file");
    let has_file = flags.iter().any(|flag| name_of(flag).is_some_and(|name| name == in_file));
    let remedy = if has_file {
        format!("write it to a file of its own, and name that: {in_file} = \"…\"")
    } else {
        "leave user and password out of it, and set those by themselves".to_owned()
    };
    let what = if is_url { "a URL with a password" } else { "a secret" };
    Err(format!("{name}: {what} does not stand in this file; {remedy}"))
}

fn unknown(name: &str, flags: &[Arg]) -> String {
    let known: Vec<_> = flags.iter().filter_map(name_of).collect();
    no_setting(name, nearest(name, known.iter().map(String::as_str)))
}

/// What is said of a name that is none, with the known one that may be meant.
pub(super) fn no_setting(name: &str, meant: Option<&str>) -> String {
    let meant = meant.map_or_else(String::new, |known| format!("; did you mean {known}?"));
    format!("no setting is called {name}{meant}")
}

/// The known name that is most like an unknown one.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let alike = known.map(|known| (strsim::jaro_winkler(name, known), known));
    let nearest = alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|one, other| one.0.total_cmp(&other.0));
    nearest.map(|(_, known)| known)
}
