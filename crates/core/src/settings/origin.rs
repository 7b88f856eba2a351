//! Where each setting comes from: a flag goes before the environment, that before the file, and the default is last.

use std::ffi::OsString;
use std::fmt;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, ValueHint};
use secrecy::SecretString;

use super::file::{FileEntry, SettingsFile, is_url, name_of};
use super::is_blank;
use super::{Flags, Needs, Settings, SettingsErrors};
use crate::secret::SecretUrl;

/// The settings of a program as they were given, by flags, environment and configuration file. Every program flattens it
/// into its command line.
#[derive(Clone, Debug, Default)]
pub struct SettingsArgs {
    flags: Flags,
    shown: Vec<ShownSetting>,
    /// What was given, by the flags' ids, for a file that holds the same.
    given: Vec<Given>,
    /// What is wrong with the file.
    problems: Vec<String>,
}

/// A value that was given. It may be a secret.
#[derive(Clone)]
pub(super) struct Given {
    /// In the file.
    pub(super) name: String,
    pub(super) value: SecretString,
    pub(super) may_be_secret: bool,
    pub(super) is_url: bool,
    pub(super) is_path: bool,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Where a value was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A flag, with its dashes.
    Flag(String),
    /// A variable of the environment.
    Environment(String),
    /// A line of the configuration file.
    File {
        /// The file, as it was named or found.
        path: String,
        /// Counted from 1.
        line: usize,
    },
    /// Nobody gave one.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => f.write_str(name),
            Self::Environment(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting for people: no secret is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownSetting {
    /// As in the configuration file.
    pub name: String,
    /// `set` instead of a secret, a URL without user, password and parameters; `None` where there is none.
    pub value: Option<String>,
    /// Where the value was found.
    pub origin: Origin,
}

impl SettingsArgs {
    /// Checks all settings and gathers everything that is wrong, with the file too.
    ///
    /// # Errors
    /// [`SettingsErrors`] names each setting that is missing, unreadable or malformed, never its value if it is secret.
    pub fn resolve(&self, needs: Needs) -> Result<Settings, SettingsErrors> {
        let (settings, problems) = self.flags.resolve(needs, &self.problems);
        if problems.is_empty() { Ok(settings) } else { Err(SettingsErrors(problems)) }
    }

    /// Everything that is wrong, with what `further` finds in those settings that are not.
    pub fn problems(&self, needs: Needs, further: impl FnOnce(&Settings) -> Vec<String>) -> Vec<String> {
        let (settings, mut problems) = self.flags.resolve(needs, &self.problems);
        problems.extend(further(&settings));
        problems
    }

    pub(super) fn given(&self) -> &[Given] {
        &self.given
    }

    /// Every setting with its value and where that was found, in the order of the flags.
    pub fn shown(&self) -> &[ShownSetting] {
        &self.shown
    }
}

/// Every setting's flag.
pub(super) fn flags() -> Vec<Arg> {
    Flags::augment_args(Command::new("settings")).get_arguments().cloned().collect()
}

impl Args for SettingsArgs {
    fn augment_args(command: Command) -> Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Flags::augment_args_for_update(command)
    }
}

impl FromArgMatches for SettingsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let known = flags();
        let path = matches.get_one::<std::path::PathBuf>("config");
        let file = SettingsFile::find(path.map(std::path::PathBuf::as_path), &known);
        let given: Vec<_> = known.iter().map(|flag| of_program(matches, flag)).collect();
        let chosen = known.iter().zip(&given).map(|(flag, of_program)| {
            of_program
                .clone()
                .or_else(|| of_file(&file, flag, &known, &given))
                .unwrap_or((OsString::new(), Origin::Default))
        });
        let chosen: Vec<_> = chosen.collect();
        let shown = known.iter().zip(&chosen).filter_map(|(flag, chosen)| show(flag, chosen)).collect();
        let given = known.iter().zip(&chosen).filter_map(|(flag, chosen)| as_given(flag, chosen)).collect();
        Ok(Self { flags: as_flags(&known, &chosen)?, shown, given, problems: file.problems })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

type Chosen = (OsString, Origin);

/// What a flag or the environment gives. An empty value counts as not given.
fn of_program(matches: &ArgMatches, flag: &Arg) -> Option<Chosen> {
    let id = flag.get_id().as_str();
    let value = matches.get_raw(id)?.next()?.to_owned();
    let origin = match matches.value_source(id)? {
        ValueSource::CommandLine => Origin::Flag(format!("--{}", flag.get_long()?)),
        _ => Origin::Environment(flag.get_env()?.to_string_lossy().into_owned()),
    };
    (!is_blank(&value) || matches!(origin, Origin::Flag(_))).then_some((value, origin))
}

/// What the file gives, unless the same secret was given by itself, or by another file, with a flag or in the environment.
fn of_file(file: &SettingsFile, flag: &Arg, known: &[Arg], given: &[Option<Chosen>]) -> Option<Chosen> {
    let path = file.path.as_ref()?.display().to_string();
    let FileEntry { value, line, .. } = file.entries.iter().find(|entry| entry.id == flag.get_id().as_str())?;
    let name = name_of(flag)?;
    let twin = name.strip_suffix("_file").map_or_else(|| format!("{name}_file"), str::to_owned);
    let is_twin = |flag: &Arg| name_of(flag).is_some_and(|name| name == twin);
    let twin_given = known.iter().zip(given).any(|(flag, given)| is_twin(flag) && given.is_some());
    (!twin_given).then(|| (value.clone(), Origin::File { path, line: *line }))
}

/// The values as the derived struct has them.
fn as_flags(known: &[Arg], chosen: &[Chosen]) -> Result<Flags, clap::Error> {
    let given = known.iter().zip(chosen).filter(|(_, (value, origin))| *origin != Origin::Default && !is_blank(value));
    let arguments = given.filter_map(|(flag, (value, _))| {
        let mut argument = OsString::from(format!("--{}=", flag.get_long()?));
        argument.push(value);
        Some(argument)
    });
    // The environment was asked already, and a flag that is empty goes before it.
    let command = Flags::augment_args(Command::new("settings").no_binary_name(true));
    let command = command.mut_args(|flag| flag.env(None::<&'static str>));
    Flags::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn as_given(flag: &Arg, (value, origin): &Chosen) -> Option<Given> {
    let text = value.to_string_lossy();
    let is_given = *origin != Origin::Default && !is_blank(value);
    is_given.then_some(Given {
        name: name_of(flag)?,
        value: SecretString::from(text.into_owned()),
        may_be_secret: flag.is_hide_env_values_set(),
        is_url: is_url(flag),
        is_path: flag.get_value_hint() == ValueHint::AnyPath,
    })
}

fn show(flag: &Arg, (value, origin): &Chosen) -> Option<ShownSetting> {
    let name = name_of(flag)?;
    let text = value.to_string_lossy();
    let value = if *origin == Origin::Default || is_blank(value) {
        default_of(flag)
    } else if !flag.is_hide_env_values_set() {
        Some(text.into_owned())
    } else if is_url(flag) && text.contains("://") {
        Some(SecretUrl::new(text).to_string())
    } else {
        Some("set".to_owned())
    };
    Some(ShownSetting { name, value, origin: origin.clone() })
}

/// The default as the flag's help says it: `(default: lockstep)`.
fn default_of(flag: &Arg) -> Option<String> {
    let help = flag.get_help()?.to_string();
    let default = help.rsplit_once("(default: ")?.1;
    Some(default.strip_suffix(')')?.to_owned())
}

#[cfg(test)]
mod tests;
