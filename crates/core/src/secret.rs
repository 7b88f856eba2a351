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

impl SecretUrl {
    /// What stands for hosts and ports; empty where it is no URL.
    pub fn hosts(&self) -> &str {
        let authority = self
            .expose()
            .split_once("://")
            .and_then(|(_, behind)| behind.split(['/', '?', '#']).next())
            .unwrap_or_default();
        authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts)
    }

    /// The hosts and ports that it names: the port is the scheme's where none is written. Empty for a socket of the machine.
    pub fn places(&self) -> Vec<(String, u16)> {
        let Some((scheme, rest)) = self.expose().split_once("://") else { return Vec::new() };
        let (hosts, query) = (self.hosts(), rest.split_once('?').map_or("", |(_, query)| query));
        let parameter = |name: &str| {
            query.split('&').filter_map(|pair| pair.split_once('=')).find(|(of, _)| *of == name).map(|(_, value)| value)
        };
        let usual = match scheme {
            "amqp" => 5672,
            "amqps" => 5671,
            "http" => 80,
            "https" => 443,
            _ => 5432,
        };
        let usual = parameter("port").and_then(|port| port.parse().ok()).unwrap_or(usual);
        let hosts = if hosts.is_empty() { parameter("host").unwrap_or_default() } else { hosts };
        hosts.split(',').filter_map(|place| host_and_port(place, usual)).collect()
    }
}

impl SecretUrl {
    /// Whether it names a user, with a password or without.
    pub fn has_user(&self) -> bool {
        // In a password a `#` begins no fragment.
        self.expose().split('?').next().is_some_and(|before| before.contains('@'))
    }

    /// Whether it carries a password: behind the user's name, or in a parameter of such a name.
    pub fn has_password(&self) -> bool {
        let Some((_, rest)) = self.expose().split_once("://") else { return true };
        // A password may hold what begins a query.
        let user = rest.split_once('@').map_or("", |(user, _)| user);
        user.contains(':') || self.has_secret_parameter()
    }

    /// Whether a parameter of its query is named like a password.
    pub fn has_secret_parameter(&self) -> bool {
        let query = self.expose().split_once('?').map_or("", |(_, query)| query);
        let mut names =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.to_ascii_lowercase());
        names.any(|name| name.contains("password") || name.contains("token"))
    }
}

/// A host, without the brackets of an IPv6 address, and its port.
fn host_and_port(place: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':').unwrap_or_default()))?,
        None => place.rsplit_once(':').unwrap_or((place, "")),
    };
    let is_socket = host.starts_with('/') || host.starts_with('%');
    (!host.is_empty() && !is_socket).then(|| (host.to_owned(), port.parse().unwrap_or(usual)))
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.expose();
        let Some((scheme, rest)) = url.split_once("://") else { return f.write_str("(a connection string)") };
        // What stands before an `@` may be a password, which may itself hold any of these characters.
        let behind = match (rest.find('@'), rest.find(['?', '#'])) {
            (Some(user), Some(query)) if query < user => return write!(f, "{scheme}://(not shown)"),
            (Some(user), _) => &rest[user + 1..],
            (None, _) => rest,
        };
        let shown = behind.split(['?', '#']).next().unwrap_or_default();
        write!(f, "{scheme}://{}", shown.rsplit('@').next().unwrap_or_default())
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
            ("postgres://app:p#ss@db/main", "postgres://(not shown)"),
            ("postgres://app:p?ss@db/main", "postgres://(not shown)"),
            ("postgres://app:p/ss@db/main", "postgres://db/main"),
            ("postgres://db/main?password=p@ss", "postgres://(not shown)"),
        ] {
            assert_eq!(SecretUrl::new(url).to_string(), shown);
            assert_eq!(format!("{:?}", SecretUrl::new(url)), shown);
        }
    }

    #[test]
    fn a_password_is_found_wherever_a_url_can_carry_it() {
        for (url, has) in [
            ("postgres://app:p@ss@db/main", true),
            ("postgres://app@db/main?password=x", true),
            ("postgres://app@db/main?sslmode=require&sslpassword=x", true),
            ("host=db password=x", true),
            ("postgres://app:p#s?s@db/main", true),
            ("postgres://app@db:5432/main?sslmode=require", false),
            ("http://[::1]:8123", false),
        ] {
            assert_eq!(SecretUrl::new(url).has_password(), has, "{url}");
        }
    }

    #[test]
    fn a_user_is_what_stands_before_the_host() {
        for (url, has) in [
            ("http://me@h", true),
            ("http://me:p/w@h/x", true),
            ("http://h:8123/?x=a@b", false),
            ("http://[::1]:8123", false),
        ] {
            assert_eq!(SecretUrl::new(url).has_user(), has, "{url}");
        }
    }

    #[test]
    fn the_places_of_a_url_are_its_hosts_with_their_ports() {
        let places = |url: &str| SecretUrl::new(url).places();
        assert_eq!(places("postgres://app:p@ss@db.internal/main?sslmode=require"), [("db.internal".to_owned(), 5432)]);
        assert_eq!(places("postgres://a@one:1,two/x"), [("one".to_owned(), 1), ("two".to_owned(), 5432)]);
        assert_eq!(places("postgres:///main?host=10.0.0.7&port=6432"), [("10.0.0.7".to_owned(), 6432)]);
        assert_eq!(places("amqps://guest:guest@[::1]/%2f"), [("::1".to_owned(), 5671)]);
        assert_eq!(places("http://127.0.0.1:8123"), [("127.0.0.1".to_owned(), 8123)]);
        assert!(places("postgres:///main?host=/run/postgresql").is_empty() && places("").is_empty());
    }
}
