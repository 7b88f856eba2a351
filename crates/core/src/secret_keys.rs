//! Keys that tenants' connection strings are encrypted with, and sealing with them: XChaCha20-Poly1305, as
//! `draft-irtf-cfrg-xchacha` has it.
//!
//! A key file has a key a line, `ID:BASE64 of 32 bytes`; the first one seals, all open. A key is replaced by putting a new
//! one first, sealing everything anew (`lockstep destination rotate-key`), and taking the old line away.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use rand::TryRngCore;
use rand::rngs::OsRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use uuid::Uuid;

use crate::private_file::{self, PrivateFileError};
use crate::tenancy::TenancyId;

const KEY_BYTES: usize = 32;
/// XChaCha20's, long enough to be drawn at random for every message.
const NONCE_BYTES: usize = 24;

/// The keys of a file, in its order. Nothing prints a key.
pub struct KeyRing {
    /// Never empty.
    keys: Vec<Key>,
}

struct Key {
    id: String,
    secret: SecretBox<[u8; KEY_BYTES]>,
}

/// Something that was sealed: the nonce, what is encrypted, and its tag, with the id of the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key opens it.
    pub key_id: String,
    /// Nonce in front, tag at the end.
    pub bytes: Vec<u8>,
}

/// Whose secret it is: what is sealed for one destination of one tenancy cannot be opened as another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    /// The destination's id.
    pub destination: Uuid,
    /// The tenancy that it belongs to.
    pub tenancy: TenancyId,
}

/// What is wrong with a key file. No text holds what is in it, but ids of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is not read.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// A line is no key.
    #[error(
        "{file}, line {line}: {why}; a key is ID:BASE64 of 32 bytes, such as `echo \"2026-11:$(openssl rand -base64 32)\"` prints"
    )]
    Malformed {
        /// Which file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No line is a key.
    #[error("{file} holds no key; `echo \"2026-11:$(openssl rand -base64 32)\"` prints one")]
    Empty {
        /// Which file.
        file: String,
    },
}

/// Why something that was sealed cannot be opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// Its key is not in the file.
    #[error(
        "LS-0220: it is encrypted with the key {0:?}, which is not in LOCKSTEP_SECRET_KEY_FILE; put that line back"
    )]
    UnknownKey(String),
    /// It was changed, is another destination's, or the key of this id was another one.
    #[error(
        "LS-0221: it cannot be decrypted with the key {0:?}: the key of this id was another one, or what is stored was \
         changed or moved; put the former key back, or give the connection string anew"
    )]
    Broken(String),
}

/// The system gave no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("LS-0222: the system gives no random numbers, without which nothing can be encrypted: {0}")]
pub struct NoRandomness(String);

impl KeyRing {
    /// Reads a key file, which nobody but its owner may read; one of root's may also be read by its group. From then on no core of
    /// this process is dumped.
    ///
    /// # Errors
    /// [`KeyFileError`] says what is wrong with it.
    pub fn load(file: &Path) -> Result<Self, KeyFileError> {
        Self::parse(&private_file::read(file)?, &file.display().to_string())
    }

    fn parse(text: &str, file: &str) -> Result<Self, KeyFileError> {
        let mut keys: Vec<Key> = Vec::new();
        for (line, text) in private_file::lines(text) {
            let malformed = |why| KeyFileError::Malformed { file: file.to_owned(), line, why };
            let key = Key::parse(text).map_err(malformed)?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(malformed("its id is that of a line before"));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeyFileError::Empty { file: file.to_owned() }) } else { Ok(Self { keys }) }
    }

    /// The id of the key that seals.
    pub fn sealing_key_id(&self) -> &str {
        &self.keys[0].id
    }

    /// Whether it has the key of this id.
    pub fn has(&self, key_id: &str) -> bool {
        self.key(key_id).is_some()
    }

    fn key(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Encrypts a secret with the first key, for this holder alone.
    ///
    /// # Errors
    /// [`NoRandomness`], which no working system gives.
    pub fn seal(&self, secret: &SecretString, holder: Holder) -> Result<Sealed, NoRandomness> {
        let mut bytes = vec![0; NONCE_BYTES];
        OsRng.try_fill_bytes(&mut bytes).map_err(|error| NoRandomness(error.to_string()))?;
        let key = &self.keys[0];
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: &holder.associated_data() };
        let encrypted = key.cipher().encrypt(XNonce::from_slice(&bytes), payload);
        // The cipher refuses messages of more than 256 GiB, and nothing else.
        bytes.extend(encrypted.map_err(|error| NoRandomness(error.to_string()))?);
        Ok(Sealed { key_id: key.id.clone(), bytes })
    }

    /// Decrypts what was sealed for this holder.
    ///
    /// # Errors
    /// [`OpenError`] when the key is not there, or not the one that sealed this for this holder.
    pub fn open(&self, sealed: &Sealed, holder: Holder) -> Result<SecretString, OpenError> {
        let key = self.key(&sealed.key_id).ok_or_else(|| OpenError::UnknownKey(sealed.key_id.clone()))?;
        let broken = || OpenError::Broken(sealed.key_id.clone());
        let (nonce, encrypted) = sealed.bytes.split_at_checked(NONCE_BYTES).ok_or_else(broken)?;
        let payload = Payload { msg: encrypted, aad: &holder.associated_data() };
        let plain = key.cipher().decrypt(XNonce::from_slice(nonce), payload).map_err(|_| broken())?;
        let plain = Zeroizing::new(plain);
        Ok(SecretString::from(std::str::from_utf8(&plain).map_err(|_| broken())?))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("key_id", &self.key_id).field("bytes", &self.bytes.len()).finish()
    }
}

impl Key {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let (id, base64) = line.split_once(':').ok_or("there is no colon")?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if id.is_empty() || id.len() > 64 || !id.bytes().all(is_plain) {
            return Err("an id is 1 to 64 letters, digits, `.`, `_` or `-`");
        }
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(base64.trim()).map_err(|_| "the key is not base64")?);
        let secret: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| "the key does not have 32 bytes")?;
        Ok(Self { id: id.to_owned(), secret: SecretBox::new(Box::new(secret)) })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.secret.expose_secret().into())
    }
}

impl Holder {
    /// Both ids, of 16 bytes each, so that no two holders have the same.
    fn associated_data(self) -> [u8; 32] {
        let mut data = [0; 32];
        data[..16].copy_from_slice(self.destination.as_bytes());
        data[16..].copy_from_slice(self.tenancy.as_uuid().as_bytes());
        data
    }
}

#[cfg(test)]
mod tests;
