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
/// Where their file is named.
const SETTING: &str = "LOCKSTEP_EVENTS_SECRET_FILE";
/// Of one webhook: each makes the signature's header longer.
const MAX_SECRETS: usize = 4;

/// The secrets of all webhooks. Nothing prints one.
pub struct WebhookSecrets {
    file: String,
    lines: Vec<Line>,
}

/// A line of the file: the webhook that it names, where it names one, and its secret, or what is wrong.
struct Line {
    name: Option<String>,
    secret: Result<SecretSlice<u8>, Malformed>,
}

/// A line that is no secret.
#[derive(Clone, Copy, Debug)]
struct Malformed {
    line: usize,
    why: &'static str,
}

/// Why a webhook's requests cannot be signed. No text holds what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum WebhookSecretsError {
    /// No file is set.
    #[error("LS-0516: events cannot be told: {SETTING} is missing: webhooks are signed")]
    NoFile,
    /// It is not read.
    #[error("LS-0516: events cannot be told: {SETTING}: {0}")]
    File(#[from] PrivateFileError),
    /// A line is no secret.
    #[error(
        "LS-0516: events cannot be told: {SETTING}: {file}, line {line}: {why}; a secret is NAME:whsec_BASE64 of 24 to 64 \
         bytes, such as `echo \"NAME:whsec_$(openssl rand -base64 32)\"` prints"
    )]
    Malformed {
        /// Which file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A webhook has no line.
    #[error("LS-0516: events cannot be told: {SETTING}: {file} has no secret of {name}")]
    Missing {
        /// Which file.
        file: String,
        /// Of which webhook.
        name: String,
    },
}

impl WebhookSecrets {
    /// Reads their file, as a key file is read. A line that is no secret keeps nobody's but its own webhook's from being used.
    ///
    /// # Errors
    /// When there is no file, or it is not read.
    pub fn load(file: Option<&Path>) -> Result<Self, WebhookSecretsError> {
        let file = file.ok_or(WebhookSecretsError::NoFile)?;
        Ok(Self::parse(&private_file::read(file)?, &file.display().to_string()))
    }

    fn parse(text: &str, file: &str) -> Self {
        let mut secrets = Self { file: file.to_owned(), lines: Vec::new() };
        for (line, text) in private_file::lines(text) {
            let (name, parsed) = secret(text);
            let is_too_many =
                name.is_some() && secrets.lines.iter().filter(|line| line.is_of(name)).count() >= MAX_SECRETS;
            let parsed =
                if is_too_many { Err("it is the fifth secret of this name, and four are enough") } else { parsed };
            let secret = parsed.map_err(|why| Malformed { line, why });
            secrets.lines.push(Line { name: name.map(str::to_owned), secret });
        }
        secrets
    }

    /// The secrets of a webhook, in the order of their lines: one at least.
    ///
    /// # Errors
    /// When a line of its name is no secret, or there is none.
    pub fn of(&self, name: &str) -> Result<Vec<&[u8]>, WebhookSecretsError> {
        let lines = self.lines.iter().filter(|line| line.is_of(Some(name)));
        let secrets = lines.map(|line| line.secret.as_ref().map(ExposeSecret::expose_secret));
        let secrets = secrets.collect::<Result<Vec<_>, _>>().map_err(|malformed| self.error(*malformed))?;
        if secrets.is_empty() {
            return Err(WebhookSecretsError::Missing { file: self.file.clone(), name: name.to_owned() });
        }
        Ok(secrets)
    }

    /// What is wrong with lines that name none of these webhooks.
    pub fn of_nobody(&self, webhooks: &[impl AsRef<str>]) -> Vec<WebhookSecretsError> {
        let is_nobodys = |line: &&Line| !webhooks.iter().any(|name| line.is_of(Some(name.as_ref())));
        let malformed = self.lines.iter().filter(is_nobodys).filter_map(|line| line.secret.as_ref().err());
        malformed.map(|malformed| self.error(*malformed)).collect()
    }

    fn error(&self, Malformed { line, why }: Malformed) -> WebhookSecretsError {
        WebhookSecretsError::Malformed { file: self.file.clone(), line, why }
    }
}

impl Line {
    fn is_of(&self, name: Option<&str>) -> bool {
        self.name.as_deref() == name
    }
}

fn secret(line: &str) -> (Option<&str>, Result<SecretSlice<u8>, &'static str>) {
    match line.split_once(':') {
        Some((name, secret)) => (Some(name.trim()), decoded(secret.trim())),
        None => (None, Err("there is no colon")),
    }
}

fn decoded(secret: &str) -> Result<SecretSlice<u8>, &'static str> {
    let base64 = secret.strip_prefix("whsec_").ok_or("the secret does not begin with whsec_")?;
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(base64).map_err(|_| "the secret is not base64")?);
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err("the secret does not have 24 to 64 bytes");
    }
    Ok(SecretSlice::from(bytes.to_vec()))
}

/// Without the names too: a line that is malformed may have its secret in the place of one.
impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSecrets").field("file", &self.file).field("lines", &self.lines.len()).finish()
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
        let secrets = WebhookSecrets::parse(&text.join("\n"), "secrets");
        let lengths = |name| secrets.of(name).unwrap().iter().map(|secret| secret.len()).collect::<Vec<_>>();
        assert_eq!((lengths("pager"), lengths("chat")), (vec![24, 64], vec![32]));
        assert!(secrets.of("none").unwrap_err().to_string().ends_with("secrets has no secret of none"));
        assert_eq!(format!("{secrets:?}"), r#"WebhookSecrets { file: "secrets", lines: 3 }"#);
    }

    #[test]
    fn a_line_that_is_no_secret_is_named_by_its_number_and_not_shown() {
        for (text, said) in [
            ("hunter2hunter2".to_owned(), "secrets, line 1: there is no colon"),
            ("hunter2:whsec_AAAA".to_owned(), "secrets, line 1: the secret does not have"),
            ("a:hunter2".to_owned(), "secrets, line 1: the secret does not begin with whsec_"),
            ("a:whsec_hunter2!".to_owned(), "secrets, line 1: the secret is not base64"),
            (format!("\n{}", line("a", 1, 23)), "secrets, line 2: the secret does not have"),
            (line("a", 1, 65), "secrets, line 1: the secret does not have"),
            ([1, 2, 3, 4, 5].map(|byte| line("a", byte, 32)).join("\n"), "secrets, line 5: it is the fifth"),
        ] {
            let secrets = WebhookSecrets::parse(&text, "secrets");
            let all = secrets.of_nobody(&[""; 0]);
            let [refused] = &all[..] else { panic!("{all:?}") };
            let refused = refused.to_string();
            assert!(refused.starts_with("LS-0516: ") && refused.contains(said), "{refused}");
            assert!(!format!("{refused} {secrets:?}").contains("hunter2"), "{refused} {secrets:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_secret_concerns_its_own_webhook_alone() {
        let text = [line("pager", 1, 24), "pager:whsec_!".to_owned(), "hunter2".to_owned(), line("chat", 2, 32)];
        let secrets = WebhookSecrets::parse(&text.join("\n"), "secrets");
        assert_eq!(secrets.of("chat").unwrap(), [[2; 32]]);
        assert!(secrets.of("pager").unwrap_err().to_string().contains("secrets, line 2: "));
        let nobodys: Vec<_> = secrets.of_nobody(&["pager", "chat"]).iter().map(ToString::to_string).collect();
        assert!(nobodys.len() == 1 && nobodys[0].contains("secrets, line 3: there is no colon"), "{nobodys:?}");
    }
}
