//! Passwords of tenants' users: made here, or an operator's own.

use std::path::{Path, PathBuf};

use lockstep_core::small_file;
use rand::Rng;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::error::OperationError;

/// 190 bits: only their hash is kept, and it has no salt, so they must not be guessed.
const MADE_CHARS: usize = 32;
/// Bytes that an operator's own has.
const OWN_BYTES: std::ops::RangeInclusive<usize> = 12..=1024;

/// A password, which nothing prints but a grant's report.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

impl Password {
    /// Makes one.
    pub fn made() -> Self {
        let text: String = rand::rng().sample_iter(Alphanumeric).take(MADE_CHARS).map(char::from).collect();
        Self(text.into())
    }

    /// Reads one from a file; the line end behind it does not belong to it.
    ///
    /// # Errors
    /// When the file cannot be read, or its text has not 12 to 1024 bytes (LS-0054).
    pub fn from_file(file: &Path) -> Result<Self, OperationError> {
        let refused = |why: String| OperationError::PasswordFile { file: PathBuf::from(file), why };
        let text = small_file::read_text(file, small_file::SECRET_BYTES).map_err(|error| refused(error.to_string()))?;
        let own = text.trim_end_matches(['\r', '\n']);
        if !OWN_BYTES.contains(&own.len()) {
            return Err(refused(format!("it has {} bytes, not 12 to 1024", own.len())));
        }
        Ok(Self(own.into()))
    }

    /// What ClickHouse is told.
    pub(super) fn sha256_hex(&self) -> String {
        Sha256::digest(self.0.expose_secret()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn into_secret(self) -> SecretString {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_hashed_as_clickhouse_hashes_it_and_never_printed() {
        let password = Password("tenant-password".into());
        assert_eq!(password.sha256_hex(), "670d11caf34ad26c88ee4d80386270665db2a07ac8881f926f463f72f418fb93");
        assert!(!format!("{password:?}").contains("tenant"));
    }

    #[test]
    fn made_passwords_are_long_and_differ() {
        let (one, other) = (Password::made(), Password::made());
        assert_eq!(one.0.expose_secret().len(), MADE_CHARS);
        assert_ne!(one.0.expose_secret(), other.0.expose_secret());
    }

    #[test]
    fn a_file_that_holds_no_password_is_refused_without_showing_it() {
        let file = std::env::temp_dir().join(format!("lockstep-password-{}", uuid::Uuid::new_v4().simple()));
        for (text, bytes) in [("", 0), ("\n", 0), ("short\n", 5), (&*"x".repeat(1025), 1025)] {
            std::fs::write(&file, text).unwrap();
            let error = Password::from_file(&file).unwrap_err().to_string();
            assert!(error.starts_with("LS-0054") && error.contains(&format!("{bytes} bytes")), "{error}");
            assert!(!error.contains("short"), "{error}");
        }
        std::fs::write(&file, "\u{feff}  twelve bytes\r\n").unwrap();
        assert_eq!(Password::from_file(&file).unwrap().0.expose_secret(), "  twelve bytes");
        std::fs::remove_file(&file).unwrap();
        assert!(Password::from_file(&file).unwrap_err().to_string().starts_with("LS-0054"));
    }
}
