//! Secrets that webhooks are signed with, in the form of the Standard Webhooks specification: `whsec_` and base64.
//!
//! Their file has a secret a line, `NAME:whsec_BASE64`, with the name of the webhook. Several lines of a name are several secrets,
//! each of which signs: a secret is replaced by adding one, telling it the receiver, and taking the old line away.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice};

use crate::private_file::{self, PrivateFileError};

/// What the specification allows: 192 to 512 bits.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Of one webhook: each makes the signature's header longer.
const MAX_SECRETS: usize = 4;

/// The secrets of all webhooks. Nothing prints one.
pub struct WebhookSecrets(Vec<(String, SecretSlice<u8>)>);

/// What is wrong with their file. No text holds what is in it.
#[derive(Debug, thiserror::Error)]
pub enum WebhookSecretsError {
    /// It is not read.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// A line is no secret.
    #[error(
        "{file}, line {line}: {why}; a secret is NAME:whsec_BASE64 of 24 to 64 bytes, such as \
         `echo \"NAME:whsec_$(openssl rand -base64 32)\"` prints"
    )]
    Malformed {
        /// Which file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl WebhookSecrets {
    /// Reads their file, as a key file is read.
    ///
    /// # Errors
    /// [`WebhookSecretsError`] says what is wrong with it.
    pub fn load(file: &Path) -> Result<Self, WebhookSecretsError> {
        Self::parse(&private_file::read(file)?, &file.display().to_string())
    }

    fn parse(text: &str, file: &str) -> Result<Self, WebhookSecretsError> {
        let mut secrets: Vec<(String, SecretSlice<u8>)> = Vec::new();
        for (line, text) in private_file::lines(text) {
            let malformed = |why| WebhookSecretsError::Malformed { file: file.to_owned(), line, why };
            let (name, secret) = secret(text).map_err(malformed)?;
            if secrets.iter().filter(|(other, _)| other == name).count() >= MAX_SECRETS {
                return Err(malformed("it is the fifth secret of this name, and four are enough"));
            }
            secrets.push((name.to_owned(), secret));
        }
        Ok(Self(secrets))
    }

    /// The secrets of a webhook, in the order of their lines.
    pub fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(of, _)| of == name).map(|(_, secret)| secret.expose_secret())
    }
}

fn secret(line: &str) -> Result<(&str, SecretSlice<u8>), &'static str> {
    let (name, secret) = line.split_once(':').ok_or("there is no colon")?;
    let base64 = secret.trim().strip_prefix("whsec_").ok_or("the secret does not begin with whsec_")?;
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(base64).map_err(|_| "the secret is not base64")?);
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err("the secret does not have 24 to 64 bytes");
    }
    Ok((name.trim(), SecretSlice::from(bytes.to_vec())))
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, byte: u8, bytes: usize) -> String {
        format!("{name}:whsec_{}", BASE64_STANDARD.encode(vec![byte; bytes]))
    }

    #[test]
    fn a_webhook_has_the_secrets_of_its_name_and_nothing_prints_them() {
        let text = ["# of October".to_owned(), line("pager", 1, 24), line("chat", 0x41, 32), line("pager", 2, 64)];
        let secrets = WebhookSecrets::parse(&text.join("\n"), "secrets").unwrap();
        let lengths = |name| secrets.of(name).map(<[u8]>::len).collect::<Vec<_>>();
        assert_eq!((lengths("pager"), lengths("chat"), lengths("none")), (vec![24, 64], vec![32], Vec::new()));
        assert_eq!(format!("{secrets:?}"), r#"["pager", "chat", "pager"]"#);
    }

    #[test]
    fn a_line_that_is_no_secret_is_named_by_its_number_and_not_shown() {
        for (text, said) in [
            ("hunter2hunter2".to_owned(), "secrets, line 1: there is no colon"),
            ("a:hunter2".to_owned(), "secrets, line 1: the secret does not begin with whsec_"),
            ("a:whsec_hunter2!".to_owned(), "secrets, line 1: the secret is not base64"),
            (format!("\n{}", line("a", 1, 23)), "secrets, line 2: the secret does not have"),
            (line("a", 1, 65), "secrets, line 1: the secret does not have"),
            ([1, 2, 3, 4, 5].map(|byte| line("a", byte, 32)).join("\n"), "secrets, line 5: it is the fifth"),
        ] {
            let refused = WebhookSecrets::parse(&text, "secrets").unwrap_err().to_string();
            assert!(refused.starts_with(said), "{refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }
}
