//! Where a connection string comes from: standard input, a file or the environment, and never the command line, which every
//! process of the machine can read.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use lockstep_core::small_file;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::error::CliError;

/// A connection string is shorter.
const MAX_BYTES: u64 = 16 * 1024;

/// Where it comes from.
#[derive(Args, Debug)]
#[group(id = "connection", required = true, multiple = false)]
pub(crate) struct ConnectionArgs {
    /// `-`: the connection string is read from standard input. It cannot be given here, where every process would see it
    #[arg(value_name = "-")]
    stdin: Option<String>,
    /// File that holds the connection string: postgres://user:password@host:5432/database
    #[arg(long, value_name = "FILE")]
    connection_file: Option<PathBuf>,
    /// Environment variable that holds the connection string
    #[arg(long, value_name = "VAR")]
    connection_env: Option<String>,
}

/// The same, where it may stay as it is.
#[derive(Args, Debug)]
#[group(id = "new_connection", required = false, multiple = false)]
pub(crate) struct NewConnectionArgs {
    /// `-`: a new connection string is read from standard input
    #[arg(value_name = "-")]
    stdin: Option<String>,
    /// File that holds the new connection string
    #[arg(long, value_name = "FILE")]
    connection_file: Option<PathBuf>,
    /// Environment variable that holds the new connection string
    #[arg(long, value_name = "VAR")]
    connection_env: Option<String>,
}

impl ConnectionArgs {
    pub(crate) fn read(&self) -> Result<SecretString, CliError> {
        match (&self.connection_file, &self.connection_env) {
            (Some(file), _) => from_file(file),
            (None, Some(variable)) => from_environment(variable),
            (None, None) => from_stdin(self.stdin.as_deref()),
        }
    }
}

impl NewConnectionArgs {
    /// None where it stays.
    pub(crate) fn read(&self) -> Result<Option<SecretString>, CliError> {
        match (&self.connection_file, &self.connection_env, &self.stdin) {
            (Some(file), ..) => from_file(file).map(Some),
            (None, Some(variable), _) => from_environment(variable).map(Some),
            (None, None, Some(word)) => from_stdin(Some(word)).map(Some),
            (None, None, None) => Ok(None),
        }
    }
}

/// Reads standard input, where the word on the command line is `-`. Another may be a connection string, so it is not shown.
fn from_stdin(word: Option<&str>) -> Result<SecretString, CliError> {
    if word == Some("-") {
        return checked(small_file::read_text_from(io::stdin(), MAX_BYTES), "standard input");
    }
    let why = "it is not taken from the command line, which every process of the machine can read; give - and write it to \
               standard input, or --connection-file, or --connection-env";
    Err(CliError::NoConnectionString(why.to_owned()))
}

fn from_file(file: &Path) -> Result<SecretString, CliError> {
    checked(small_file::read_text(file, MAX_BYTES), &shown(&file.display().to_string()))
}

/// What the system says of a variable that is no text would quote it.
fn from_environment(variable: &str) -> Result<SecretString, CliError> {
    let name = shown(variable);
    let value = std::env::var(variable)
        .map_err(|_| CliError::NoConnectionString(format!("the environment has no text in the variable {name}")))?;
    checked(Ok(Zeroizing::new(value)), &name)
}

/// A name, unless somebody has written a connection string in its place.
fn shown(name: &str) -> String {
    if name.contains("://") || name.contains("password") { "(not shown)".to_owned() } else { name.to_owned() }
}

fn checked(text: io::Result<Zeroizing<String>>, name: &str) -> Result<SecretString, CliError> {
    let refused = |why: String| Err(CliError::NoConnectionString(why));
    let text = match text {
        Ok(text) => text,
        Err(error) => return refused(format!("cannot read {name}: {error}")),
    };
    match text.trim() {
        "" => refused(format!("{name} is empty")),
        text if text.len() as u64 > MAX_BYTES => refused(format!("{name} has more than {MAX_BYTES} bytes")),
        text => Ok(SecretString::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_string_is_taken_without_its_line_end_and_one_that_is_none_is_not_shown() {
        let taken = |bytes: &[u8]| checked(small_file::read_text_from(bytes, MAX_BYTES), "standard input");
        let read = |text: &str| taken(text.as_bytes()).map(|text| text.expose_secret().to_owned());
        assert_eq!(read("\u{feff}postgres://a:hunter2@b/c\n").unwrap(), "postgres://a:hunter2@b/c");
        assert!(read(" \n").unwrap_err().to_string().ends_with("standard input is empty"));
        let long = read(&"hunter2".repeat(4000)).unwrap_err().to_string();
        assert!(long.contains("more than 16384 bytes") && !long.contains("hunter2"), "{long}");
        for misplaced in ["postgres://a:hunter2@b/c", "host=b password=hunter2"] {
            let refused = [from_stdin(Some(misplaced)), from_file(Path::new(misplaced)), from_environment(misplaced)];
            for error in refused.map(|read| read.unwrap_err().to_string()) {
                assert!(error.starts_with("LS-0228") && !error.contains("hunter2"), "{error}");
            }
        }
        assert!(taken(&[0xff]).unwrap_err().to_string().starts_with("LS-0228"));
    }
}
