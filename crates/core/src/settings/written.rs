//! Settings as they were given, written as a configuration file: what is secret goes beside it.

use std::fmt::Write;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::origin::{Given, SettingsArgs};
use crate::secret::SecretUrl;

/// What [`SettingsArgs::as_file`] leaves to who writes the file.
const OF_MAPPINGS: [&str; 2] = ["mappings_dir", "built_in_mappings"];
/// The directory, beside the configuration file, that [`WrittenSettings::secrets`] belong in.
const SECRETS: &str = "secrets";

/// A configuration file that holds what was given.
#[derive(Clone, Debug)]
pub struct WrittenSettings {
    /// The file. It names the files of secrets.
    pub text: String,
    /// Each secret with its setting's name, which is its file's name in the directory [`WrittenSettings::directory`].
    pub secrets: Vec<(String, SecretString)>,
    /// Secrets that no file can be named for: they stay in the environment.
    pub left_out: Vec<String>,
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
        let mut written = WrittenSettings { text: String::new(), secrets: Vec::new(), left_out: Vec::new() };
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
        let in_file = format!("{name}_file");
        // Formatting into a String cannot fail.
        if !given.may_be_secret || is_plain {
            let path = Path::new(value);
            let value = if given.is_path {
                std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
            } else {
                path.to_owned()
            };
            let _ = writeln!(self.text, "{name} = {}", quoted(&value.to_string_lossy()));
        } else if SettingsArgs::is_known(&in_file) {
            let _ = writeln!(self.text, "{in_file} = \"{SECRETS}/{name}\"");
            self.secrets.push((name.clone(), given.value.clone()));
        } else {
            let _ = writeln!(
                self.text,
                "# {name} has a password, and stays in the environment: LOCKSTEP_{}",
                name.to_uppercase()
            );
            self.left_out.push(name.clone());
        }
    }
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
