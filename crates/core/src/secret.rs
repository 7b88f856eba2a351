//! Addresses that carry a password: kept out of every log, error and debug print.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A connection URL. Printing it shows everything but user information and query.
#[derive(Clone)]
pub struct SecretUrl(SecretString);

impl SecretUrl {
    /// Takes a URL as it was configured.
    pub fn new(url: impl Into<String>) -> Self {
        Self(SecretString::from(url.into()))
    }

    /// The whole URL, for the client library that connects with it. Never print it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.expose();
        let Some((scheme, rest)) = url.split_once("://") else { return f.write_str("(a connection string)") };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        // The last `@` before the path ends the user information: a password may itself hold an `@`.
        let authority_end = rest.rfind('@').map_or(0, |at| at + 1);
        write!(f, "{scheme}://{}", &rest[authority_end..])
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_a_url_shows_neither_user_nor_password_nor_query() {
        for (url, shown) in [
            ("postgres://app:p@ss@db.internal:5432/main?sslpassword=x", "postgres://db.internal:5432/main"),
            ("amqp://guest:guest@127.0.0.1:5672/%2f", "amqp://127.0.0.1:5672/%2f"),
            ("http://127.0.0.1:8123", "http://127.0.0.1:8123"),
            ("host=db password=x", "(a connection string)"),
        ] {
            assert_eq!(SecretUrl::new(url).to_string(), shown);
            assert_eq!(format!("{:?}", SecretUrl::new(url)), shown);
        }
    }
}
