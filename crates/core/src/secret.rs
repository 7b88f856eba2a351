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

    /// The hosts that it names, each with its port, or with `default_port` where it names none. An address in brackets is
    /// given without them.
    pub fn hosts(&self, default_port: u16) -> Vec<(String, u16)> {
        let Some((_, rest)) = self.expose().split_once("://") else { return Vec::new() };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = &rest[rest.rfind('@').map_or(0, |at| at + 1)..];
        let of = |part: &str| {
            let (host, port) = match part.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((host, rest)) => (host, rest.strip_prefix(':')),
                None => part.split_once(':').map_or((part, None), |(host, port)| (host, Some(port))),
            };
            let port = port.and_then(|port| port.parse().ok()).unwrap_or(default_port);
            (!host.is_empty()).then(|| (host.to_owned(), port))
        };
        authority.split(',').filter_map(of).collect()
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
    fn hosts_are_those_of_the_authority_with_their_ports() {
        for (url, hosts) in [
            ("postgres://app:p@ss@db.internal/main?host=x", vec![("db.internal", 1)]),
            ("postgres://a@one:5,two/main", vec![("one", 5), ("two", 1)]),
            ("http://[::1]:8123", vec![("::1", 8123)]),
            ("amqp://guest:guest@127.0.0.1/%2f", vec![("127.0.0.1", 1)]),
            ("host=db", vec![]),
            ("postgres:///main", vec![]),
        ] {
            let found = SecretUrl::new(url).hosts(1);
            let found: Vec<_> = found.iter().map(|(host, port)| (host.as_str(), *port)).collect();
            assert_eq!(found, hosts, "{url}");
        }
    }

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
