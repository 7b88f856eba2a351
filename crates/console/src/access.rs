//! Who is let in, and what a browser may do with what it gets.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, HeaderName, ORIGIN, REFERRER_POLICY, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA256, Key, sign, verify};

use crate::state::Console;

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

/// Lets a request in or not, and says in every answer what may be done with it.
pub(crate) async fn guard(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let is_tenants = is_tenants(&request);
    let mut response = match judge(&console, &request) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused,
    };
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

/// Whether it is about a tenant's own page, for which a link is enough.
fn is_tenants(request: &Request) -> bool {
    request.uri().path().starts_with("/t/")
}

#[expect(clippy::result_large_err, reason = "an answer is as large as it is, and there is one a request")]
fn judge(console: &Console, request: &Request) -> Result<(), Response> {
    let headers = request.headers();
    match &console.options.password {
        None if !is_local_host(headers) => return Err(plain(StatusCode::MISDIRECTED_REQUEST, NOT_LOCAL)),
        Some(password) if !is_tenants(request) && !has_password(headers, password) => {
            let mut response = plain(StatusCode::UNAUTHORIZED, "A password is asked for.\n");
            let basic = HeaderValue::from_static("Basic realm=\"Lockstep console\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, basic);
            return Err(response);
        }
        _ => {}
    }
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if only_reads {
        return Ok(());
    }
    if !console.options.actions {
        return Err(plain(StatusCode::FORBIDDEN, READ_ONLY));
    }
    if is_same_origin(headers) { Ok(()) } else { Err(plain(StatusCode::FORBIDDEN, OTHER_SITE)) }
}

const NOT_LOCAL: &str = "This console has no password, so it answers only where it is called by an address of this machine (127.0.0.1 or localhost).\n";
const READ_ONLY: &str = "This console only reads: it was started without --actions.\n";
const OTHER_SITE: &str = "A form of another site is not taken.\n";

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, text).into_response()
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

/// Compared by what both are hashed to, so that time says nothing about how far a guess was right.
fn has_password(headers: &HeaderMap, password: &[u8]) -> bool {
    let given = text(headers, AUTHORIZATION).and_then(|value| value.strip_prefix("Basic "));
    let Some(given) = given.and_then(|given| STANDARD.decode(given).ok()) else { return false };
    let Some(colon) = given.iter().position(|byte| *byte == b':') else { return false };
    let key = Key::new(HMAC_SHA256, b"lockstep console password");
    verify(&key, &given[colon + 1..], sign(&key, password).as_ref()).is_ok()
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

    #[test]
    fn a_password_is_taken_whole_or_not_at_all() {
        let given = |text: &str| headers(&[("authorization", &format!("Basic {}", STANDARD.encode(text)))]);
        assert!(has_password(&given("me:a long: password"), b"a long: password"));
        assert!(!has_password(&given("me:a long"), b"a long: password"));
        assert!(!has_password(&given("a long: password"), b"a long: password"));
        assert!(!has_password(&HeaderMap::new(), b"a long: password"));
    }
}
