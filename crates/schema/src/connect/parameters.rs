//! The parameters of the source URL: libpq's, Prisma's and those of managed providers.
//!
//! Each is followed, left out because it is about something that Lockstep does not have, or refused by its name. No
//! value is ever repeated: it may be a secret, or a piece of one.

use std::path::PathBuf;

use super::pooler::PoolerSign;
use crate::error::SourceError;

/// How the server's certificate is judged, in Prisma's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SslAccept {
    /// `strict`: authority and name are checked.
    Strict,
    /// `accept_invalid_certs`: nothing is.
    Anything,
}

/// The parameters of a URL that count.
#[derive(Default, Debug)]
pub(super) struct Parameters<'a> {
    /// Those that the client library understands, as they were written.
    pub(super) library: Vec<&'a str>,
    pub(super) ssl_mode: Option<&'a str>,
    pub(super) ssl_accept: Option<SslAccept>,
    pub(super) root_certificate: Option<PathBuf>,
}

/// The client library understands these.
const LIBRARY: &[&str] = &[
    "user",
    "password",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "options",
    "application_name",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
    "sslnegotiation",
];

/// These are about a pool, a cache or an encryption that is not there, or settled by each session itself.
const WITHOUT_MEANING: &[&str] = &[
    "schema",
    "connection_limit",
    "pool_timeout",
    "statement_cache_size",
    "socket_timeout",
    "max_connection_lifetime",
    "max_idle_connection_lifetime",
    "fallback_application_name",
    "client_encoding",
    "sslcompression",
    "sslsni",
    "uselibpqcompat",
];

const CLIENT_CERTIFICATE: &str =
    "is not supported; give an authority as sslrootcert or LOCKSTEP_TLS_CA_FILE, and let the role use a password";

impl<'a> Parameters<'a> {
    /// Takes a URL's query apart.
    ///
    /// # Errors
    /// [`SourceError::Url`] with the name of the parameter that cannot be followed, or [`SourceError::Pooler`].
    pub(super) fn read(query: &'a str) -> Result<Self, SourceError> {
        let mut parameters = Self::default();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                _ if LIBRARY.contains(&name) => parameters.library.push(parameter),
                "sslmode" => parameters.ssl_mode = Some(value),
                "sslaccept" => parameters.ssl_accept = Some(ssl_accept(value)?),
                "sslrootcert" => parameters.root_certificate = Some(file(value)?),
                "pgbouncer" if matches!(value, "false" | "0") => {}
                "pgbouncer" => return Err(SourceError::Pooler(PoolerSign::Announced)),
                _ if WITHOUT_MEANING.contains(&name) => {}
                "sslcert" | "sslkey" | "sslidentity" | "sslpassword" => return Err(refused(name, CLIENT_CERTIFICATE)),
                "keepalives_count" => return Err(refused(name, "is not supported; write keepalives_retries")),
                _ => return Err(refused(name, "is not known; leave it out")),
            }
        }
        // The library does not say which parameter it cannot use: each is tried alone.
        let unusable =
            |parameter: &&&str| format!("postgres://host/?{parameter}").parse::<tokio_postgres::Config>().is_err();
        match parameters.library.iter().find(unusable) {
            Some(parameter) => {
                let name = parameter.split_once('=').map_or(*parameter, |(name, _)| name);
                Err(refused(name, hint(name)))
            }
            None => Ok(parameters),
        }
    }

    /// Whether the URL itself says something about this.
    pub(super) fn says(&self, name: &str) -> bool {
        self.library.iter().any(|parameter| parameter.split('=').next() == Some(name))
    }
}

/// What could be written instead of a value that the library does not take.
fn hint(name: &str) -> &'static str {
    match name {
        "target_session_attrs" => "has a value that cannot be used; write any, read-write or read-only",
        "channel_binding" => "has a value that cannot be used; write disable, prefer or require",
        "sslnegotiation" => "has a value that cannot be used; write postgres or direct",
        "load_balance_hosts" => "has a value that cannot be used; write disable or random",
        "connect_timeout" | "keepalives_idle" | "keepalives_interval" | "tcp_user_timeout" => {
            "has a value that cannot be used; write whole seconds"
        }
        _ => "has a value that cannot be used",
    }
}

fn ssl_accept(value: &str) -> Result<SslAccept, SourceError> {
    match value {
        "strict" => Ok(SslAccept::Strict),
        "accept_invalid_certs" => Ok(SslAccept::Anything),
        _ => Err(refused("sslaccept", "has a value that cannot be used; write strict or accept_invalid_certs")),
    }
}

/// Tools that build URLs encode the slashes of a path.
fn file(value: &str) -> Result<PathBuf, SourceError> {
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    decoded.map(|path| PathBuf::from(path.as_ref())).map_err(|_| refused("sslrootcert", "is not the path of a file"))
}

/// The error that names a parameter, unless what stands in a name's place could be something else.
pub(super) fn refused(name: &str, why: &str) -> SourceError {
    let is_name = name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let name = if is_name { name } else { "with an unusual name" };
    SourceError::Url(format!("its parameter {name} {why}"))
}
