//! Users that a proxy names in a header: whose word is taken, and whose is refused.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName};
use ipnet::IpNet;

use crate::error::ConsoleError;

const HEADER: &str = "LOCKSTEP_CONSOLE_TRUSTED_USER_HEADER";
const PROXIES: &str = "LOCKSTEP_CONSOLE_TRUSTED_PROXIES";
/// Names of users are shorter; what is longer is none.
const USER_BYTES: usize = 200;

/// The header, and the only peers that may send it.
#[derive(Clone, Debug)]
pub(crate) struct TrustedHeader {
    name: HeaderName,
    proxies: Vec<IpNet>,
}

/// Somebody who may not has sent the header, or it names no user.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Forged;

impl TrustedHeader {
    /// Reads both settings.
    ///
    /// # Errors
    /// When one is given without the other, or cannot be used.
    pub(crate) fn of(header: Option<&str>, proxies: Option<&str>) -> Result<Option<Self>, ConsoleError> {
        let refused = |name: &'static str, why: String| ConsoleError::Setting { name, why };
        let (header, proxies) = match (header, proxies) {
            (None, None) => return Ok(None),
            (Some(header), Some(proxies)) => (header, proxies),
            (Some(_), None) => return Err(refused(PROXIES, format!("is missing: whom is {HEADER} taken from?"))),
            (None, Some(_)) => return Err(refused(HEADER, format!("is missing: what do {PROXIES} send?"))),
        };
        let name: HeaderName =
            header.parse().map_err(|_| refused(HEADER, format!("must be the name of a header, not {header:?}")))?;
        if [AUTHORIZATION, COOKIE, HOST].contains(&name) {
            return Err(refused(HEADER, format!("cannot be {name}, which browsers send by themselves")));
        }
        let network = |text: &str| {
            let network =
                text.parse::<IpNet>().or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error));
            let network = network.ok().filter(|network| *network == network.trunc());
            network.ok_or_else(|| {
                refused(PROXIES, format!("must be networks such as 10.1.0.0/16,fd00::/8, which {text:?} is not"))
            })
        };
        let proxies = proxies.split(',').map(str::trim).map(network).collect::<Result<_, _>>()?;
        Ok(Some(Self { name, proxies }))
    }

    /// The user that a request from there names. Returns `None` where it has no such header.
    ///
    /// # Errors
    /// When it has one and is not from a proxy, or has more than one, or one that is no name.
    pub(crate) fn user(&self, from: IpAddr, headers: &HeaderMap) -> Result<Option<String>, Forged> {
        let mut values = headers.get_all(&self.name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let from = from.to_canonical();
        if values.next().is_some() || !self.proxies.iter().any(|network| network.contains(&from)) {
            return Err(Forged);
        }
        let user = value.to_str().map_err(|_| Forged)?.trim();
        if user.is_empty() || user.len() > USER_BYTES { Err(Forged) } else { Ok(Some(user.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str, users: &[&str]) -> Result<Option<String>, Forged> {
        let trusted =
            TrustedHeader::of(Some("X-Forwarded-User"), Some("10.1.0.0/16, 127.0.0.1,fd00::/8")).unwrap().unwrap();
        let headers = users.iter().map(|user| (HeaderName::from_static("x-forwarded-user"), user.parse().unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        trusted.user(address.parse().unwrap(), &map)
    }

    #[test]
    fn only_a_proxy_may_name_a_user_and_only_one() {
        let ada = Ok(Some("ada@example.com".to_owned()));
        for proxy in ["10.1.2.3", "127.0.0.1", "::ffff:10.1.2.3", "fd00::7"] {
            assert_eq!(from(proxy, &["ada@example.com"]), ada, "{proxy}");
        }
        for other in ["10.2.0.1", "127.0.0.2", "::1", "192.0.2.1"] {
            assert_eq!(from(other, &["ada@example.com"]), Err(Forged), "{other}");
            assert_eq!(from(other, &[]), Ok(None));
        }
        for users in [&["ada", "grace"][..], &[""], &[" "], &["\u{e4}"], &[&"a".repeat(201)]] {
            assert_eq!(from("10.1.2.3", users), Err(Forged), "{users:?}");
        }
        assert_eq!(from("10.1.2.3", &[]), Ok(None));
    }

    #[test]
    fn a_header_without_proxies_and_what_is_no_network_are_refused() {
        for (header, proxies, said) in [
            (Some("X-User"), None, "LS-0062: LOCKSTEP_CONSOLE_TRUSTED_PROXIES: is missing"),
            (None, Some("10.0.0.0/8"), "LS-0062: LOCKSTEP_CONSOLE_TRUSTED_USER_HEADER: is missing"),
            (Some("X User"), Some("10.0.0.0/8"), "must be the name of a header"),
            (Some("Authorization"), Some("10.0.0.0/8"), "cannot be authorization"),
            (Some("X-User"), Some("10.0.0.0/8,"), "must be networks"),
            (Some("X-User"), Some("10.0.0.1/8"), "must be networks"),
        ] {
            let refused = TrustedHeader::of(header, proxies).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
        }
        assert!(TrustedHeader::of(None, None).unwrap().is_none());
    }
}
