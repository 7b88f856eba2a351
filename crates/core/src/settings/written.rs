//! Settings as they were given, written as a configuration file: what is secret goes beside it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Arg, ValueHint};
use secrecy::{ExposeSecret, SecretString};

use super::events::one_a_line;
use super::file::{FileEntry, SettingsFile};
use super::origin::{Given, SettingsArgs, flags};
use crate::secret::SecretUrl;

/// What [`SettingsArgs::as_file`] leaves to who writes the file.
const OF_MAPPINGS: [&str; 2] = ["mappings_dir", "built_in_mappings"];
/// The file of this secret has another form than its variable.
const WEBHOOKS: &str = "events_webhooks";
/// The directory, beside the configuration file, that [`WrittenSettings::secrets`] belong in.
const SECRETS: &str = "secrets";

/// A configuration file that holds what was given.
#[derive(Clone, Debug)]
pub struct WrittenSettings {
    /// The file. It names the files of secrets.
    pub text: String,
    /// Each secret with its setting's name, which is its file's name in the directory [`WrittenSettings::directory`].
    pub secrets: Vec<(String, SecretString)>,
}

impl WrittenSettings {
    /// The directory of the secrets, from that of the configuration file.
    pub const fn directory() -> &'static str {
        SECRETS
    }
}

impl SettingsArgs {
    /// What was given by flags, environment and file as one configuration file, without what says which mappings
    /// there are. Paths are absolute.
    pub fn as_file(&self) -> WrittenSettings {
        let mut written = WrittenSettings { text: String::new(), secrets: Vec::new() };
        for given in self.given().iter().filter(|given| !OF_MAPPINGS.contains(&given.name.as_str())) {
            written.add(given);
        }
        written
    }
}

impl WrittenSettings {
    fn add(&mut self, given: &Given) {
        let (name, value) = (&given.name, given.value.expose_secret());
        let is_plain = given.is_url && value.contains("://") && !SecretUrl::new(value).has_password();
        // Formatting into a String cannot fail.
        if !given.may_be_secret || is_plain {
            let path = Path::new(value);
            let value = if given.is_path {
                std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
            } else {
                path.to_owned()
            };
            let _ = writeln!(self.text, "{name} = {}", quoted(&value.to_string_lossy()));
        } else {
            let in_file = format!("{name}_file");
            let _ = writeln!(self.text, "{in_file} = \"{SECRETS}/{name}\"");
            let value = if name == WEBHOOKS { SecretString::from(one_a_line(value)) } else { given.value.clone() };
            self.secrets.push((name.clone(), value));
        }
    }
}

/// The settings that one configuration file of this path gives other values than another gives them, or none, by their names.
pub fn lacking(path: &Path, text: &str, there: &str) -> Vec<String> {
    let flags = flags();
    let entries = |text| {
        let entries = SettingsFile::parse(path, text, &flags).entries.into_iter();
        entries.map(|entry| value_of(entry, &flags)).collect::<BTreeMap<_, _>>()
    };
    let (wanted, there) = (entries(text), entries(there));
    wanted.into_iter().filter(|(name, value)| there.get(name) != Some(value)).map(|(name, _)| name).collect()
}

/// The name and the value of a line; a path is absolute, however it was written.
fn value_of(entry: FileEntry, flags: &[Arg]) -> (String, OsString) {
    let flag = flags.iter().find(|flag| flag.get_id() == entry.id.as_str());
    let is_path = flag.is_some_and(|flag| flag.get_value_hint() == ValueHint::AnyPath);
    let absolute = is_path.then(|| std::path::absolute(&entry.value).ok()).flatten();
    (entry.id, absolute.map_or(entry.value, PathBuf::into_os_string))
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}
