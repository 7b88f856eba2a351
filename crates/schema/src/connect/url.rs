//! The source URL, with the TLS parameters of libpq and Prisma that the client library does not know.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lockstep_core::address::{WrongPlace, is_port, wrong_place};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::parameters::{Parameters, SslAccept, refused};
use super::tls::Verify;
use crate::error::SourceError;

/// A connection is given up when it cannot be opened within this time, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that has not acknowledged what was sent for this long is gone, unless the URL says otherwise.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// An idle connection is asked after this time whether it still stands, unless the URL says otherwise.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(20);

/// What is wrong with ports.
const PORTS: &str = "a wrong port: each host has one from 1 to 65535, or all have one as the parameter port";

/// A URL taken apart.
#[derive(Debug)]
pub(super) struct ParsedUrl {
    pub(super) config: Config,
    pub(super) verify: Verify,
    pub(super) ca_file: Option<PathBuf>,
}

/// Parses the URL. `sslmode` as libpq has it: without `verify-…` the connection is encrypted but the server's
/// certificate is checked only when an authority is given.
pub(super) fn parse(url: &str, tls_ca_file: Option<&Path>) -> Result<ParsedUrl, SourceError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    // A password with a question mark in it: what follows would be taken for names of parameters.
    if !base.contains('@') && query.contains('@') {
        return Err(malformed());
    }
    let parameters = Parameters::read(query)?;
    check_places(base, query)?;
    let library = &parameters.library;
    let stripped = if library.is_empty() { base.to_owned() } else { format!("{base}?{}", library.join("&")) };
    // The library's message may quote the URL: say only that it is malformed.
    let mut config: Config = stripped.parse().map_err(|_| malformed())?;
    if config.get_hosts().is_empty() {
        return Err(SourceError::Url("it names no host".to_owned()));
    }
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
    let ports = config.get_ports();
    // The library says so only when it connects.
    if ports.contains(&0) || (ports.len() > 1 && ports.len() != hosts) {
        return Err(SourceError::Url(format!("it has {PORTS}")));
    }
    // 0 seconds mean "for ever" to libpq; the library leaves them out, and ours holds.
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if !parameters.says("keepalives_idle") {
        config.keepalives_idle(KEEPALIVES_IDLE);
    }
    let ca_file = parameters.root_certificate.or_else(|| tls_ca_file.map(Path::to_owned));
    let (mode, verify) = encryption(parameters.ssl_mode, parameters.ssl_accept, ca_file.is_some())?;
    config.ssl_mode(mode);
    Ok(ParsedUrl { config, verify, ca_file })
}

/// What the library would take for another host or port.
fn check_places(base: &str, query: &str) -> Result<(), SourceError> {
    let (_, behind) = base.split_once("://").unwrap_or_default();
    let place = behind.split_once('@').map_or(behind, |(_, place)| place);
    let wrong = wrong_place(place.split('/').next().unwrap_or_default());
    let given = query.split('&').filter_map(|parameter| parameter.strip_prefix("port="));
    let are_ports = given.flat_map(|ports| ports.split(',')).all(|port| is_port(port) || port.contains('%'));
    match wrong {
        Some(WrongPlace::Host) => Err(SourceError::Url("it names no host".to_owned())),
        Some(WrongPlace::Port) => Err(SourceError::Url(format!("it has {PORTS}"))),
        None if !are_ports => Err(SourceError::Url(format!("it has {PORTS}"))),
        None => Ok(()),
    }
}

fn malformed() -> SourceError {
    let what = format!("it is malformed, or has {PORTS} (special characters in user or password are written as %XX)");
    SourceError::Url(what)
}

/// What libpq's `sslmode` and Prisma's `sslaccept` ask for together.
fn encryption(mode: Option<&str>, accept: Option<SslAccept>, has_ca: bool) -> Result<(SslMode, Verify), SourceError> {
    let (mode, verify) = match mode {
        Some("disable") => (SslMode::Disable, Verify::Nothing),
        None | Some("prefer" | "allow") => (SslMode::Prefer, Verify::Nothing),
        Some("require") if !has_ca => (SslMode::Require, Verify::Nothing),
        // Whoever accepts anything says more than an authority for all services does.
        Some("require") if accept == Some(SslAccept::Anything) => (SslMode::Require, Verify::Nothing),
        Some("require" | "verify-ca") => (SslMode::Require, Verify::Authority),
        Some("verify-full") => (SslMode::Require, Verify::AuthorityAndName),
        Some(_) => {
            let known =
                "has a value that cannot be used; write disable, allow, prefer, require, verify-ca or verify-full";
            return Err(refused("sslmode", known));
        }
    };
    match accept {
        None => Ok((mode, verify)),
        Some(SslAccept::Strict) if mode == SslMode::Disable => {
            Err(refused("sslaccept", "demands a certificate, while sslmode switches TLS off"))
        }
        Some(SslAccept::Strict) => Ok((SslMode::Require, Verify::AuthorityAndName)),
        Some(SslAccept::Anything) if verify != Verify::Nothing => {
            Err(refused("sslaccept", "accepts any certificate, while sslmode demands a verified one"))
        }
        Some(SslAccept::Anything) => Ok((mode, Verify::Nothing)),
    }
}

#[cfg(test)]
mod tests;
