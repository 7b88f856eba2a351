//! Signing in: proving a password, a bounded number of times, and remembering that it was proven.
//!
//! Each proof takes some milliseconds of a core and 19 MiB, as is meant. A browser sends the password with every request, so it gets a
//! signed cookie with the first answer, and nothing is hashed for what it asks for with that.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::attempts::Attempts;
use crate::password::HashedPassword;
use crate::tokens::{FormKey, SESSION_S, now_s};

/// Proofs at the same time.
const AT_ONCE: usize = 2;
/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who may sign in, and who has.
pub(crate) struct SignIn {
    password: HashedPassword,
    /// Of several consoles on one machine each has its own.
    cookie: String,
    attempts: Mutex<Attempts>,
    turns: Arc<Semaphore>,
}

/// What a request proves.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Proof {
    /// It has signed in before.
    Before,
    /// Its password is right; what the browser is to send from now on.
    Now(HeaderValue),
    /// It has no password, or a wrong one.
    None,
    /// It is not looked at before so many seconds have passed.
    TooMany(u64),
}

impl SignIn {
    pub(crate) fn new(password: HashedPassword, port: u16) -> Self {
        Self {
            password,
            cookie: format!("lockstep_console_{port}"),
            attempts: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Looks whether a request from there has signed in, or does so.
    pub(crate) async fn prove(&self, from: IpAddr, headers: &HeaderMap, key: &FormKey) -> Proof {
        let now_s = now_s();
        if cookies(headers, &self.cookie).any(|token| key.is_session(token, now_s)) {
            return Proof::Before;
        }
        let Some(password) = password(headers) else { return Proof::None };
        if let Err(seconds) = self.attempts.lock().unwrap_or_else(PoisonError::into_inner).begin(from, now_s) {
            return Proof::TooMany(seconds);
        }
        match self.is_right(password).await {
            Some(true) => {
                self.attempts.lock().unwrap_or_else(PoisonError::into_inner).succeeded(from);
                let token = key.session(now_s);
                let name = &self.cookie;
                let cookie = format!("{name}={token}; Path=/; Max-Age={SESSION_S}; HttpOnly; SameSite=Strict");
                HeaderValue::try_from(cookie).map_or(Proof::Before, Proof::Now)
            }
            Some(false) => Proof::None,
            None => Proof::TooMany(1),
        }
    }

    /// Returns `None` where it was nobody's turn for too long.
    async fn is_right(&self, password: Vec<u8>) -> Option<bool> {
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await.ok()?.ok()?;
        let hashed = self.password.clone();
        // The turn ends with the work, also where the browser has gone meanwhile.
        let proving = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            hashed.is(&password)
        });
        proving.await.ok()
    }
}

/// What is behind the first colon of Basic credentials (RFC 7617); any user name is taken.
fn password(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, given) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut given = STANDARD.decode(given.trim()).ok()?;
    let colon = given.iter().position(|byte| *byte == b':')?;
    Some(given.split_off(colon + 1))
}

/// The values of cookies of that name.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(';')).filter_map(move |one| one.trim().strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::PasswordFile;

    const RIGHT: &str = "a long: password";
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn sign_in() -> SignIn {
        let hash = PasswordFile::of(RIGHT.as_bytes()).unwrap().hash;
        SignIn::new(HashedPassword::parse(&hash).unwrap(), 9465)
    }

    fn basic(text: &str) -> HeaderMap {
        let value = format!("Basic {}", STANDARD.encode(text));
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(value).unwrap())])
    }

    fn with_cookie(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(text).unwrap())])
    }

    #[tokio::test]
    async fn a_password_is_taken_whole_or_not_at_all_and_then_a_cookie_is_enough() {
        let (sign_in, key) = (sign_in(), FormKey::new().unwrap());
        for wrong in ["me:a long", RIGHT, "me:", "me"] {
            assert_eq!(sign_in.prove(HERE, &basic(wrong), &key).await, Proof::None, "{wrong}");
        }
        assert_eq!(sign_in.prove(HERE, &HeaderMap::new(), &key).await, Proof::None);
        let Proof::Now(cookie) = sign_in.prove(HERE, &basic(&format!("me:{RIGHT}")), &key).await else { panic!() };
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{cookie}");
        let pair = cookie.split(';').next().unwrap();
        assert_eq!(sign_in.prove(HERE, &with_cookie(&format!("a=b; {pair}")), &key).await, Proof::Before);
        let other = FormKey::new().unwrap();
        assert_eq!(sign_in.prove(HERE, &with_cookie(pair), &other).await, Proof::None, "of another process");
        assert_eq!(sign_in.prove(HERE, &with_cookie(&pair.replace("9465", "80")), &key).await, Proof::None);
        let form = format!("lockstep_console_9465={}", key.token("session", now_s()));
        assert_eq!(sign_in.prove(HERE, &with_cookie(&form), &key).await, Proof::None, "a form's token is no session");
    }

    #[tokio::test]
    async fn after_some_wrong_passwords_none_is_looked_at_while_who_has_signed_in_goes_on() {
        let (sign_in, key) = (sign_in(), FormKey::new().unwrap());
        let right = basic(&format!("me:{RIGHT}"));
        let Proof::Now(cookie) = sign_in.prove(HERE, &right, &key).await else { panic!() };
        // The minute may turn meanwhile, once.
        let mut tried = 0;
        while sign_in.prove(HERE, &basic("me:a guess"), &key).await == Proof::None {
            tried += 1;
            assert!(tried <= 20, "nobody counts");
        }
        assert!(tried >= 10, "{tried}");
        assert!(matches!(sign_in.prove(HERE, &right, &key).await, Proof::TooMany(1..=60)), "also not the right one");
        let pair = with_cookie(cookie.to_str().unwrap().split(';').next().unwrap());
        assert_eq!(sign_in.prove(HERE, &pair, &key).await, Proof::Before);
        let elsewhere = "192.0.2.1".parse().unwrap();
        assert!(matches!(sign_in.prove(elsewhere, &right, &key).await, Proof::Now(_)));
    }

    #[tokio::test]
    async fn no_more_are_hashed_at_once_than_there_are_turns() {
        let (sign_in, key) = (sign_in(), FormKey::new().unwrap());
        let turns = sign_in.turns.clone().acquire_many_owned(2).await.unwrap();
        let right = basic(&format!("me:{RIGHT}"));
        assert_eq!(sign_in.prove(HERE, &right, &key).await, Proof::TooMany(1));
        drop(turns);
        assert!(matches!(sign_in.prove(HERE, &right, &key).await, Proof::Now(_)));
    }
}
