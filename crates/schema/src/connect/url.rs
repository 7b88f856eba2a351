//! The source URL, with the TLS parameters of libpq that the client library does not know.

use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::tls::Verify;
use crate::error::SourceError;

/// A URL taken apart.
pub(super) struct ParsedUrl {
    pub(super) config: Config,
    pub(super) verify: Verify,
    pub(super) ca_file: Option<PathBuf>,
}

/// Parses the URL. `sslmode` as libpq has it: without `verify-…` the connection is encrypted but the server's
/// certificate is checked only when an authority is given.
pub(super) fn parse(url: &str, tls_ca_file: Option<&Path>) -> Result<ParsedUrl, SourceError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut ssl_mode = None;
    let mut ca_file = tls_ca_file.map(Path::to_owned);
    let mut rest = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", mode)) => ssl_mode = Some(mode),
            Some(("sslrootcert", file)) => ca_file = Some(PathBuf::from(file)),
            // Prisma's own parameters mean nothing to Postgres.
            Some(("schema" | "pgbouncer" | "connection_limit" | "pool_timeout" | "sslaccept", _)) => {}
            _ => rest.push(parameter),
        }
    }
    let stripped = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    // The library's message may quote the URL: say only that it is malformed.
    let mut config: Config = stripped.parse().map_err(|_| SourceError::Url("it is malformed".to_owned()))?;
    if config.get_hosts().is_empty() {
        return Err(SourceError::Url("it names no host".to_owned()));
    }
    let (mode, verify) = match ssl_mode {
        Some("disable") => (SslMode::Disable, Verify::Nothing),
        None | Some("prefer" | "allow") => (SslMode::Prefer, Verify::Nothing),
        Some("require") if ca_file.is_none() => (SslMode::Require, Verify::Nothing),
        Some("require" | "verify-ca") => (SslMode::Require, Verify::Authority),
        Some("verify-full") => (SslMode::Require, Verify::AuthorityAndName),
        Some(other) => return Err(SourceError::Url(format!("sslmode {other:?} is not known"))),
    };
    config.ssl_mode(mode);
    Ok(ParsedUrl { config, verify, ca_file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sslmode_means_what_it_means_to_libpq() {
        let ca = Path::new("/ca.pem");
        for (query, ca_file, mode, verify) in [
            ("", None, SslMode::Prefer, Verify::Nothing),
            ("?sslmode=disable", Some(ca), SslMode::Disable, Verify::Nothing),
            ("?sslmode=require", None, SslMode::Require, Verify::Nothing),
            ("?sslmode=require", Some(ca), SslMode::Require, Verify::Authority),
            ("?schema=public&sslmode=verify-full&connect_timeout=5", None, SslMode::Require, Verify::AuthorityAndName),
        ] {
            let parsed = parse(&format!("postgres://app:secret@db/main{query}"), ca_file).unwrap();
            assert_eq!(parsed.config.get_ssl_mode(), mode, "{query}");
            assert_eq!(parsed.verify, verify, "{query}");
        }
    }

    #[test]
    fn a_malformed_url_is_refused_without_showing_it() {
        for url in ["postgres://app:hunter2@db:port/x", "postgres://app:hunter2@db/x?sslmode=hunter3"] {
            let said = parse(url, None).err().unwrap().to_string();
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
