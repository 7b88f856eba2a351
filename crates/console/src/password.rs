//! The password that browsers are asked for. It is kept as a hash: argon2id (RFC 9106) as a PHC string.

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;

use crate::error::ConsoleError;

/// The command that makes what stands in the file.
const MADE_BY: &str = "`lockstep console hash-password` makes one";
/// A password that is shorter can be guessed.
const MIN_BYTES: usize = 16;
/// One that is longer is none.
const MAX_BYTES: usize = 1024;
/// As RFC 9106 asks for.
const SALT_BYTES: usize = 16;
/// A hash that takes more memory is refused: each attempt to sign in would take as much.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// The same of passes over that memory. Both at once are four seconds of a core or so.
const MAX_PASSES: u32 = 16;
/// The same of lanes, which share that memory.
const MAX_LANES: u32 = 16;

/// A hash that passwords are compared with.
#[derive(Clone)]
pub(crate) struct HashedPassword(PasswordHash);

impl HashedPassword {
    /// Reads what stands in a file.
    ///
    /// # Errors
    /// Why it cannot be used, without a word of what it is.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let hash = PasswordHash::new(text.trim()).map_err(|_| format!("holds no argon2id hash; {MADE_BY}"))?;
        let is_argon2id = Algorithm::new(hash.algorithm.as_str()) == Ok(Algorithm::Argon2id);
        let params = Params::try_from(&hash).map_err(|_| format!("holds a hash that is incomplete; {MADE_BY}"))?;
        if !is_argon2id || hash.version != Some(Version::V0x13.into()) || hash.hash.is_none() || hash.salt.is_none() {
            return Err(format!("holds no argon2id hash of version 19; {MADE_BY}"));
        }
        if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES || params.p_cost() > MAX_LANES {
            return Err(format!(
                "holds a hash that takes more than {} MiB (m={MAX_MEMORY_KIB}), {MAX_PASSES} passes (t) or {MAX_LANES} lanes \
                 (p), as each attempt to sign in would; {MADE_BY}",
                MAX_MEMORY_KIB / 1024
            ));
        }
        Ok(Self(hash))
    }

    /// Whether this is the password. Takes the memory and the time that the hash says.
    pub(crate) fn is(&self, password: &[u8]) -> bool {
        password.len() <= MAX_BYTES && Argon2::default().verify_password(password, &self.0).is_ok()
    }
}

/// What stands in the password file.
#[derive(Serialize, Debug)]
pub struct PasswordFile {
    /// A PHC string.
    pub hash: String,
}

impl PasswordFile {
    /// Hashes a password, with salt of its own.
    ///
    /// # Errors
    /// When it can be guessed, or the system has no randomness.
    pub fn of(password: &[u8]) -> Result<Self, ConsoleError> {
        let refused = |why: String| ConsoleError::Setting { name: "the password", why };
        if password.len() < MIN_BYTES || password.len() > MAX_BYTES {
            return Err(refused(format!("must have {MIN_BYTES} to {MAX_BYTES} bytes")));
        }
        let mut salt = [0; SALT_BYTES];
        let filled = SystemRandom::new().fill(&mut salt);
        filled.map_err(|_| refused("needs random bytes, which the system does not give".to_owned()))?;
        let hash = Argon2::default().hash_password_with_salt(password, &salt);
        let hash: PasswordHash = hash.map_err(|error| refused(format!("cannot be hashed: {error}")))?;
        Ok(Self { hash: hash.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &[u8] = b"correct horse battery staple";

    #[test]
    fn a_password_is_what_its_hash_was_made_of_and_nothing_else() {
        let [one, another] = [0; 2].map(|_| PasswordFile::of(PASSWORD).unwrap().hash);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && one != another, "{one}");
        let hashed = HashedPassword::parse(&format!("{one}\n")).unwrap();
        assert!(hashed.is(PASSWORD));
        assert!(!hashed.is(b"correct horse battery stapler") && !hashed.is(b"") && !hashed.is(one.as_bytes()));
        assert!(!hashed.is(&[b'x'; MAX_BYTES + 1]));
    }

    #[test]
    fn one_that_others_have_made_is_taken() {
        // Of RustCrypto's own tests: password "password", salt "somesaltsomesalt".
        let theirs = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(HashedPassword::parse(theirs).unwrap().is(b"password"));
    }

    #[test]
    fn a_hash_at_the_ceilings_is_taken() {
        let good = PasswordFile::of(PASSWORD).unwrap().hash;
        let dearest = good.replace("m=19456,t=2,p=1", "m=262144,t=16,p=16");
        assert!(dearest != good && HashedPassword::parse(&dearest).is_ok());
    }

    #[test]
    fn a_password_as_it_is_another_hash_and_one_too_dear_are_refused_with_the_command_and_without_what_they_are() {
        let good = PasswordFile::of(PASSWORD).unwrap().hash;
        for refused in [
            "correct horse battery staple".to_owned(),
            String::new(),
            good.replace("argon2id", "argon2i"),
            good.replace("v=19", "v=16"),
            good.replace("m=19456", "m=262145"),
            good.replace("t=2", "t=17"),
            good.replace("t=2", "t=4294967295"),
            good.replace("p=1", "p=17"),
            good.rsplit_once('$').unwrap().0.to_owned(),
            "$2b$12$LJ3m4ys3Lg2HEvrAjCqCPe".to_owned(),
        ] {
            let said = HashedPassword::parse(&refused).err().unwrap_or_else(|| panic!("{refused} is taken"));
            assert!(said.contains("lockstep console hash-password"), "{said}");
            assert!(!said.contains("staple") && !said.contains('$'), "{said}");
        }
        for guessed in [&b"hunter2"[..], &[b'x'; MAX_BYTES + 1]] {
            let said = PasswordFile::of(guessed).unwrap_err().to_string();
            assert!(
                said.starts_with("LS-0062: the password must have 16 to 1024 bytes") || said.contains("must have 16"),
                "{said}"
            );
        }
    }
}
