//! Settings of the console, as flags and in the environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::ConsoleError;

/// Where it listens unless it is told otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:9465";
/// A password that is shorter can be guessed.
const MIN_PASSWORD_BYTES: usize = 16;
/// A secret that is shorter can be guessed from one signature.
const MIN_SECRET_BYTES: usize = 32;

const LISTEN: &str = "LOCKSTEP_CONSOLE_LISTEN";
const PASSWORD: &str = "LOCKSTEP_CONSOLE_PASSWORD_FILE";
const SECRET: &str = "LOCKSTEP_CONSOLE_LINK_SECRET_FILE";

/// Flags of the console.
#[derive(Args, Clone, Debug, Default)]
pub struct ConsoleArgs {
    /// Address to listen on; one that other machines can reach needs a password file (default: 127.0.0.1:9465)
    #[arg(long = "console-listen", env = "LOCKSTEP_CONSOLE_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// Allow actions (pause, resume, resync, retry) as forms; without it every POST is refused
    #[arg(
        long = "actions",
        env = "LOCKSTEP_CONSOLE_ACTIONS",
        value_name = "true|false",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    actions: Option<String>,
    /// File with the password that browsers are asked for (any user name), 16 bytes at least
    #[arg(long = "password-file", env = "LOCKSTEP_CONSOLE_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File with the secret that links to tenants' pages are signed with, 32 bytes at least; without it there are none
    #[arg(long = "link-secret-file", env = "LOCKSTEP_CONSOLE_LINK_SECRET_FILE", value_name = "FILE", global = true)]
    link_secret_file: Option<PathBuf>,
}

/// Settings of the console that were checked.
#[derive(Clone)]
pub struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether anything may be changed.
    pub actions: bool,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) link_secret: Option<Vec<u8>>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("listen", &self.listen).field("actions", &self.actions).finish_non_exhaustive()
    }
}

impl ConsoleArgs {
    /// Checks them, and reads the files.
    ///
    /// # Errors
    /// A setting or a file that cannot be used, and an address that others can reach without a password.
    pub fn resolve(&self) -> Result<Options, ConsoleError> {
        let text = given(self.listen.as_deref()).unwrap_or(DEFAULT_LISTEN);
        let listen: SocketAddr = text
            .parse()
            .map_err(|_| ConsoleError::Setting { name: LISTEN, why: format!("must be ADDRESS:PORT, not {text:?}") })?;
        let actions = match given(self.actions.as_deref()) {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                let why = format!("must be true or false, not {other:?}");
                return Err(ConsoleError::Setting { name: "LOCKSTEP_CONSOLE_ACTIONS", why });
            }
        };
        let password = secret(PASSWORD, self.password_file.as_deref(), MIN_PASSWORD_BYTES)?;
        if password.is_none() && !listen.ip().is_loopback() {
            return Err(ConsoleError::Open(listen));
        }
        Ok(Options { listen, actions, password, link_secret: self.link_secret()? })
    }

    /// The secret that links are signed with.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(crate) fn link_secret(&self) -> Result<Option<Vec<u8>>, ConsoleError> {
        secret(SECRET, self.link_secret_file.as_deref(), MIN_SECRET_BYTES)
    }
}

/// Empty counts as not given.
fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

fn secret(name: &'static str, file: Option<&Path>, least: usize) -> Result<Option<Vec<u8>>, ConsoleError> {
    let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) else { return Ok(None) };
    let refused = |why: String| ConsoleError::SecretFile { name, file: file.to_owned(), why };
    let mut bytes = std::fs::read(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
    while bytes.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        bytes.pop();
    }
    if bytes.len() < least {
        return Err(refused(format!("holds less than {least} bytes")));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lockstep-console-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn it_listens_on_this_machine_and_only_reads_unless_it_is_told_otherwise() {
        let options = ConsoleArgs::default().resolve().unwrap();
        assert_eq!(options.listen.to_string(), DEFAULT_LISTEN);
        assert!(!options.actions && options.password.is_none() && options.link_secret.is_none());
    }

    #[test]
    fn an_address_that_others_reach_needs_a_password() {
        let mut args = ConsoleArgs { listen: Some("0.0.0.0:9465".to_owned()), ..ConsoleArgs::default() };
        let refused = args.resolve().unwrap_err();
        assert!(refused.to_string().starts_with("LS-0061: 0.0.0.0:9465"), "{refused}");
        args.password_file = Some(file("correct horse battery staple\n"));
        assert_eq!(args.resolve().unwrap().password.as_deref(), Some(&b"correct horse battery staple"[..]));
    }

    #[test]
    fn what_cannot_be_used_is_said_without_a_secret() {
        let short = ConsoleArgs { password_file: Some(file("hunter2")), ..ConsoleArgs::default() };
        let said = short.resolve().unwrap_err().to_string();
        assert!(said.contains("LOCKSTEP_CONSOLE_PASSWORD_FILE") && said.contains("less than 16 bytes"), "{said}");
        assert!(!said.contains("hunter2"));
        let loud = ConsoleArgs { actions: Some("maybe".to_owned()), ..ConsoleArgs::default() };
        assert!(loud.resolve().unwrap_err().to_string().contains("must be true or false"));
        let nowhere = ConsoleArgs { listen: Some("nowhere".to_owned()), ..ConsoleArgs::default() };
        assert!(nowhere.resolve().unwrap_err().to_string().contains("LOCKSTEP_CONSOLE_LISTEN"));
    }
}
