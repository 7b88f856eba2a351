//! Settings of the console, as flags and in the environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use lockstep_core::small_file;

use crate::error::ConsoleError;
use crate::password::HashedPassword;
use crate::trusted::TrustedHeader;

/// Where it listens unless it is told otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:9465";
/// A secret that is shorter can be guessed from one signature.
const MIN_SECRET_BYTES: usize = 32;

const LISTEN: &str = "LOCKSTEP_CONSOLE_LISTEN";
const PASSWORD: &str = "LOCKSTEP_CONSOLE_PASSWORD_FILE";
const SECRET: &str = "LOCKSTEP_CONSOLE_LINK_SECRET_FILE";

/// Flags of the console.
#[derive(Args, Clone, Debug, Default)]
pub struct ConsoleArgs {
    /// Address to listen on; one that other machines can reach needs a password file or trusted proxies (default: 127.0.0.1:9465)
    #[arg(id = "console_listen", long = "console-listen", env = "LOCKSTEP_CONSOLE_LISTEN", value_name = "ADDRESS")]
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
    /// File with the hash of the password that browsers are asked for (any user name); `lockstep console hash-password` makes it
    #[arg(long = "password-file", env = "LOCKSTEP_CONSOLE_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Header in which a proxy names the user that it has let in; needs --trusted-proxy
    #[arg(long = "trusted-user-header", env = "LOCKSTEP_CONSOLE_TRUSTED_USER_HEADER", value_name = "NAME")]
    trusted_user_header: Option<String>,
    /// Networks of the proxies whose header is taken; from anybody else it is refused: 10.1.0.0/16,fd00::/8
    #[arg(long = "trusted-proxy", env = "LOCKSTEP_CONSOLE_TRUSTED_PROXIES", value_name = "NETWORK,...")]
    trusted_proxies: Option<String>,
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
    pub(crate) password: Option<HashedPassword>,
    pub(crate) trusted: Option<TrustedHeader>,
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
    /// A setting or a file that cannot be used, and an address that others can reach where nobody is asked who they are.
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
        let password = password(self.password_file.as_deref())?;
        let trusted =
            TrustedHeader::of(given(self.trusted_user_header.as_deref()), given(self.trusted_proxies.as_deref()))?;
        if password.is_none() && trusted.is_none() && !listen.ip().is_loopback() {
            return Err(ConsoleError::Open(listen));
        }
        Ok(Options { listen, actions, password, trusted, link_secret: self.link_secret()? })
    }

    /// The secret that links are signed with.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(crate) fn link_secret(&self) -> Result<Option<Vec<u8>>, ConsoleError> {
        let Some((file, bytes)) = read(SECRET, self.link_secret_file.as_deref())? else { return Ok(None) };
        if bytes.len() < MIN_SECRET_BYTES {
            let why = format!("holds less than {MIN_SECRET_BYTES} bytes");
            return Err(ConsoleError::SecretFile { name: SECRET, file: file.to_owned(), why });
        }
        Ok(Some(bytes))
    }
}

/// Empty counts as not given.
fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

fn password(file: Option<&Path>) -> Result<Option<HashedPassword>, ConsoleError> {
    let Some((file, bytes)) = read(PASSWORD, file)? else { return Ok(None) };
    let hashed = HashedPassword::parse(&String::from_utf8_lossy(&bytes));
    hashed.map(Some).map_err(|why| ConsoleError::SecretFile { name: PASSWORD, file: file.to_owned(), why })
}

/// A file, where one is given, and what is in it without its last line ends.
fn read<'a>(name: &'static str, file: Option<&'a Path>) -> Result<Option<(&'a Path, Vec<u8>)>, ConsoleError> {
    let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) else { return Ok(None) };
    let refused =
        |error| ConsoleError::SecretFile { name, file: file.to_owned(), why: format!("cannot be read: {error}") };
    let mut bytes = small_file::read(file, small_file::SECRET_BYTES).map_err(refused)?.to_vec();
    while bytes.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        bytes.pop();
    }
    Ok(Some((file, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::PasswordFile;

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
    fn an_address_that_others_reach_needs_a_password_or_proxies() {
        let args = ConsoleArgs { listen: Some("0.0.0.0:9465".to_owned()), ..ConsoleArgs::default() };
        let refused = args.resolve().unwrap_err();
        assert!(refused.to_string().starts_with("LS-0061: 0.0.0.0:9465"), "{refused}");
        let hash = PasswordFile::of(b"correct horse battery staple").unwrap().hash;
        let with_password = ConsoleArgs { password_file: Some(file(&format!("{hash}\n"))), ..args.clone() };
        assert!(
            with_password.resolve().unwrap().password.is_some_and(|hashed| hashed.is(b"correct horse battery staple"))
        );
        let [header, proxies] = ["X-Forwarded-User", "10.0.0.0/8"].map(|text| Some(text.to_owned()));
        let behind = ConsoleArgs { trusted_user_header: header, trusted_proxies: proxies, ..args };
        assert!(behind.resolve().unwrap().trusted.is_some());
    }

    #[test]
    fn what_cannot_be_used_is_said_without_a_secret() {
        let plain = ConsoleArgs { password_file: Some(file("correct horse battery staple")), ..ConsoleArgs::default() };
        let said = plain.resolve().unwrap_err().to_string();
        assert!(said.starts_with("LS-0062: LOCKSTEP_CONSOLE_PASSWORD_FILE: /"), "{said}");
        assert!(said.contains("`lockstep console hash-password`") && !said.contains("staple"), "{said}");
        let short = ConsoleArgs { link_secret_file: Some(file("hunter2")), ..ConsoleArgs::default() };
        let said = short.resolve().unwrap_err().to_string();
        assert!(said.contains("less than 32 bytes") && !said.contains("hunter2"), "{said}");
        let long = ConsoleArgs { link_secret_file: Some(file(&"hunter2 ".repeat(10_000))), ..ConsoleArgs::default() };
        let said = long.resolve().unwrap_err().to_string();
        assert!(said.contains("more than 65536 bytes") && !said.contains("hunter2"), "{said}");
        let loud = ConsoleArgs { actions: Some("maybe".to_owned()), ..ConsoleArgs::default() };
        assert!(loud.resolve().unwrap_err().to_string().contains("must be true or false"));
        let nowhere = ConsoleArgs { listen: Some("nowhere".to_owned()), ..ConsoleArgs::default() };
        assert!(nowhere.resolve().unwrap_err().to_string().contains("LOCKSTEP_CONSOLE_LISTEN"));
    }
}
