//! What is signed: links to tenants' pages, forms, and that somebody has signed in. HMAC-SHA-256 (RFC 2104), compared in constant time by `ring`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac::{HMAC_SHA256, Key, sign, verify};
use ring::rand::SystemRandom;
use uuid::Uuid;

/// Links that hold for longer are neither given nor taken.
pub(crate) const MAX_LINK_S: u64 = 15 * 60;
/// A form that was opened longer ago is to be opened again.
const FORM_S: u64 = 60 * 60;
/// Who has signed in is asked for the password again after that.
pub(crate) const SESSION_S: u64 = 12 * 60 * 60;
const SIGNATURE_BYTES: usize = 32;
const LINK_BYTES: usize = 16 + 8 + SIGNATURE_BYTES;
/// Keeps signatures of one kind from being taken for the other's.
const LINK: &[u8] = b"lockstep console link 1";
const FORM: &[u8] = b"lockstep console form 1";
const SESSION: &[u8] = b"lockstep console session 1";

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Signs and checks links.
pub(crate) struct LinkKey(Key);

/// Signs and checks forms, and that somebody has signed in; made anew by every process.
pub(crate) struct FormKey(Key);

impl LinkKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(Key::new(HMAC_SHA256, secret))
    }

    /// The text that opens a tenant's page until `expires_s`.
    pub(crate) fn link(&self, tenancy: Uuid, expires_s: u64) -> String {
        let mut bytes = [tenancy.as_bytes(), &expires_s.to_be_bytes()[..]].concat();
        bytes.extend(sign(&self.0, &[LINK, &bytes].concat()).as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whose page a text opens at that time, and until when. Returns `None` where it was not signed with this key, or is not valid then.
    pub(crate) fn opens(&self, text: &str, now_s: u64) -> Option<(Uuid, u64)> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == LINK_BYTES)?;
        let (said, signature) = bytes.split_at(LINK_BYTES - SIGNATURE_BYTES);
        verify(&self.0, &[LINK, said].concat(), signature).ok()?;
        let (tenancy, expires_s) = said.split_at(16);
        let expires_s = u64::from_be_bytes(expires_s.try_into().ok()?);
        let holds = now_s < expires_s && expires_s - now_s <= MAX_LINK_S;
        holds.then_some((Uuid::from_slice(tenancy).ok()?, expires_s))
    }
}

impl FormKey {
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn new() -> Result<Self, ring::error::Unspecified> {
        Ok(Self(Key::generate(HMAC_SHA256, &SystemRandom::new())?))
    }

    /// What a form that is opened now sends back with what it does.
    pub(crate) fn token(&self, of: &str, now_s: u64) -> String {
        self.signed(FORM, of, now_s + FORM_S)
    }

    /// Whether a form for this was opened by this process, and not too long ago.
    pub(crate) fn is_token(&self, token: &str, of: &str, now_s: u64) -> bool {
        self.is_signed(FORM, of, token, now_s)
    }

    /// What somebody who signs in now sends back.
    pub(crate) fn session(&self, now_s: u64) -> String {
        self.signed(SESSION, "", now_s + SESSION_S)
    }

    /// Whether whoever sends this has signed in with this process, and not too long ago.
    pub(crate) fn is_session(&self, token: &str, now_s: u64) -> bool {
        self.is_signed(SESSION, "", token, now_s)
    }

    fn signed(&self, kind: &[u8], of: &str, until: u64) -> String {
        format!("{until}.{}", URL_SAFE_NO_PAD.encode(sign(&self.0, &said(kind, of, until))))
    }

    fn is_signed(&self, kind: &[u8], of: &str, token: &str, now_s: u64) -> bool {
        let Some((until, signature)) = token.split_once('.') else { return false };
        let (Ok(until), Ok(signature)) = (until.parse::<u64>(), URL_SAFE_NO_PAD.decode(signature)) else {
            return false;
        };
        now_s < until && verify(&self.0, &said(kind, of, until), &signature).is_ok()
    }
}

fn said(kind: &[u8], of: &str, until: u64) -> Vec<u8> {
    [kind, &until.to_be_bytes(), of.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const TENANCY: Uuid = Uuid::from_u128(7);

    #[test]
    fn a_link_opens_one_tenants_page_for_its_time_and_no_longer() {
        let key = LinkKey::new(&[1; 32]);
        let link = key.link(TENANCY, NOW + MAX_LINK_S);
        assert_eq!(key.opens(&link, NOW), Some((TENANCY, NOW + MAX_LINK_S)));
        assert_eq!(key.opens(&link, NOW + MAX_LINK_S), None, "it has ended");
        assert_eq!(key.opens(&key.link(TENANCY, NOW + MAX_LINK_S + 1), NOW), None, "nobody may sign a longer one");
        assert_eq!(LinkKey::new(&[2; 32]).opens(&link, NOW), None, "another secret");
    }

    #[test]
    fn a_link_that_was_changed_anywhere_opens_nothing() {
        let key = LinkKey::new(&[1; 32]);
        let bytes = URL_SAFE_NO_PAD.decode(key.link(TENANCY, NOW + 60)).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(key.opens(&URL_SAFE_NO_PAD.encode(changed), NOW), None, "byte {at}");
        }
        assert_eq!(key.opens("", NOW), None);
        assert_eq!(key.opens("../../etc", NOW), None);
    }

    #[test]
    fn a_form_is_taken_for_what_it_was_opened_for_within_an_hour() {
        let key = FormKey::new().unwrap();
        let token = key.token("pause mapping users", NOW);
        assert!(key.is_token(&token, "pause mapping users", NOW + 1));
        assert!(!key.is_token(&token, "pause mapping teams", NOW + 1));
        assert!(!key.is_token(&token, "pause mapping users", NOW + FORM_S));
        assert!(!FormKey::new().unwrap().is_token(&token, "pause mapping users", NOW + 1));
        assert!(!key.is_token("", "pause mapping users", NOW) && !key.is_token("9.9", "pause mapping users", NOW));
    }
}
