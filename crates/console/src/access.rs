//! Who is let in, and what a browser may do with what it gets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    CACHE_CONTROL, HOST, HeaderName, ORIGIN, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::sign_in::Proof;
use crate::state::Console;
use crate::trusted::Forged;

/// Nothing but our own files runs, is styled or is asked for, and nobody may frame a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every answer says.
const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    // Without any referrer browsers do not say either where a form comes from.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who has sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    from: IpAddr,
    /// As a trusted proxy says.
    user: Option<String>,
}

impl Visitor {
    /// As it is written down who has done something: through what, from where, and whom a proxy names.
    pub(crate) fn through(&self) -> String {
        let user = self.user.iter().map(|user| format!(", {user}")).collect::<String>();
        format!("console, {}{user}", self.from)
    }
}

/// Lets a request in or not, and says in every answer what may be done with it.
pub(crate) async fn guard(
    State(console): State<Arc<Console>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let is_tenants = is_tenants(&request);
    let mut response = answered(&console, from.ip(), request, next).await;
    let headers = response.headers_mut();
    if is_tenants {
        // The link is in the address, and such a page has no form that is sent.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    for (name, value) in HEADERS {
        if !headers.contains_key(name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The answer to whoever is let in, or why somebody is not.
async fn answered(console: &Console, from: IpAddr, mut request: Request, next: Next) -> Response {
    let (visitor, cookie) = match admit(console, from, request.headers(), is_tenants(&request)).await {
        Ok(admitted) => admitted,
        Err(refused) => return refused,
    };
    if let Err(refused) = may_change(console, &request) {
        return refused;
    }
    request.extensions_mut().insert(visitor);
    let mut response = next.run(request).await;
    cookie.map(|cookie| response.headers_mut().append(SET_COOKIE, cookie));
    response
}

/// Whether it is about a tenant's own page, for which a link is enough.
fn is_tenants(request: &Request) -> bool {
    request.uri().path().starts_with("/t/")
}

/// Whom a proxy names, or who has signed in; for a tenant's own page a link is enough. With what the browser is to keep.
async fn admit(
    console: &Console,
    from: IpAddr,
    headers: &HeaderMap,
    is_tenants: bool,
) -> Result<(Visitor, Option<HeaderValue>), Response> {
    let trusted = console.options.trusted.as_ref();
    let user = trusted.map(|trusted| trusted.user(from, headers)).transpose();
    let user = user.map_err(|Forged| plain(StatusCode::FORBIDDEN, FORGED))?.flatten();
    let (is_named, visitor) = (user.is_some(), Visitor { from, user });
    let mut cookie = None;
    match &console.sign_in {
        None if trusted.is_none() && !is_local_host(headers) => {
            return Err(plain(StatusCode::MISDIRECTED_REQUEST, NOT_LOCAL));
        }
        None if trusted.is_some() && !is_named && !is_tenants => return Err(plain(StatusCode::FORBIDDEN, NOBODY)),
        Some(sign_in) if !is_named && !is_tenants => match sign_in.prove(from, headers, &console.form_key).await {
            Proof::Before => {}
            Proof::Now(kept) => cookie = Some(kept),
            Proof::None => {
                let basic = HeaderValue::from_static("Basic realm=\"Lockstep console\", charset=\"UTF-8\"");
                return Err(with(
                    plain(StatusCode::UNAUTHORIZED, "A password is asked for.\n"),
                    WWW_AUTHENTICATE,
                    basic,
                ));
            }
            Proof::TooMany(seconds) => {
                return Err(with(plain(StatusCode::TOO_MANY_REQUESTS, TOO_MANY), RETRY_AFTER, seconds.into()));
            }
        },
        _ => {}
    }
    Ok((visitor, cookie))
}

/// Whether it only reads, or may change what it asks for.
#[expect(clippy::result_large_err, reason = "an answer is as large as it is, and there is one a request")]
fn may_change(console: &Console, request: &Request) -> Result<(), Response> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    if !console.options.actions {
        return Err(plain(StatusCode::FORBIDDEN, READ_ONLY));
    }
    if is_same_origin(request.headers()) { Ok(()) } else { Err(plain(StatusCode::FORBIDDEN, OTHER_SITE)) }
}

const NOT_LOCAL: &str = "This console has no password, so it answers only where it is called by an address of this machine (127.0.0.1 or localhost).\n";
const READ_ONLY: &str = "This console only reads: it was started without --actions.\n";
const OTHER_SITE: &str = "A form of another site is not taken.\n";
const FORGED: &str = "Only a trusted proxy may name a user, and only one.\n";
const NOBODY: &str = "The proxy that lets people in has named nobody.\n";
const TOO_MANY: &str = "Too many passwords were tried. Try again later.\n";

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, text).into_response()
}

fn with(mut response: Response, name: HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A page elsewhere may give its own name this machine's address, and read what nobody is asked a password for. It cannot
/// have the browser send another host name than its own.
fn is_local_host(headers: &HeaderMap) -> bool {
    let Some(host) = text(headers, HOST) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Browsers say where a form comes from, each in at least one of these ways; whoever says nothing is no browser of ours.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let site = text(headers, FETCH_SITE);
    let origin = text(headers, ORIGIN);
    let host = text(headers, HOST);
    let is_ours = |origin: &str| origin.split_once("://").is_some_and(|(_, name)| Some(name) == host);
    match (site, origin) {
        (None, None) => false,
        (site, origin) => site.is_none_or(|site| site == "same-origin") && origin.is_none_or(is_ours),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        pairs.iter().map(header).collect()
    }

    #[test]
    fn without_a_password_it_answers_to_names_of_this_machine_only() {
        for host in ["127.0.0.1:9465", "localhost:80", "LOCALHOST", "[::1]:9465", "127.9.9.9"] {
            assert!(is_local_host(&headers(&[("host", host)])), "{host}");
        }
        for host in ["evil.example:9465", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost.evil"] {
            assert!(!is_local_host(&headers(&[("host", host)])), "{host}");
        }
        assert!(!is_local_host(&HeaderMap::new()));
    }

    #[test]
    fn a_form_of_another_site_is_not_taken() {
        let own = [("host", "localhost:9465"), ("origin", "http://localhost:9465"), ("sec-fetch-site", "same-origin")];
        assert!(is_same_origin(&headers(&own)));
        assert!(is_same_origin(&headers(&own[..2])));
        for other in [
            &[("host", "localhost:9465")][..],
            &[("host", "localhost:9465"), ("origin", "null")],
            &[("host", "localhost:9465"), ("origin", "http://localhost:8080")],
            &[("host", "localhost:9465"), ("sec-fetch-site", "same-site")],
            &[("host", "localhost:9465"), ("origin", "http://localhost:9465"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!is_same_origin(&headers(other)), "{other:?}");
        }
    }
}
