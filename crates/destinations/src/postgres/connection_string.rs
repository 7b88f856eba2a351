//! What a tenant's connection string may say.

use std::fmt;

use lockstep_core::settings::DestinationTls;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

/// What a connection asks of TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SslMode {
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Why a connection string cannot be used. Never says a value of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the connection string cannot be used: {0}")]
pub struct ConnectionError(String);

/// A `postgres://` URL that was taken apart: one host, one port, and nothing that reads local files or sets parameters of the
/// server.
#[derive(Clone)]
pub struct ConnectionString {
    host: String,
    port: u16,
    database: String,
    user: String,
    password: Option<SecretString>,
    ssl_mode: SslMode,
    requires_channel_binding: bool,
}

/// Longer names are none that a server takes (`NAMEDATALEN`); a host has 253 characters at most (RFC 1035).
const MAX_NAME_BYTES: usize = 63;
const MAX_HOST_BYTES: usize = 253;
const MAX_PASSWORD_BYTES: usize = 4096;
const DEFAULT_PORT: u16 = 5432;

impl ConnectionString {
    /// Takes a connection string apart.
    ///
    /// # Errors
    /// What is wrong with it, without any of its values.
    pub fn parse(text: &SecretString, tls: DestinationTls) -> Result<Self, ConnectionError> {
        let text = text.expose_secret().trim();
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"))
            .ok_or_else(|| refused("it does not begin with postgres://"))?;
        if rest.contains('#') {
            return Err(refused("it has a # in it, which is written as %23"));
        }
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = before
            .split_once('/')
            .ok_or_else(|| refused("it names no database: postgres://user:password@host/database"))?;
        let (login, place) = authority
            .rsplit_once('@')
            .ok_or_else(|| refused("it names no user (special characters in user or password are written as %XX)"))?;
        let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
        let (host, port) = host_and_port(place)?;
        let password =
            password.filter(|password| !password.is_empty()).map(|text| decoded("password", text, MAX_PASSWORD_BYTES));
        let parameters = Parameters::read(query, tls)?;
        Ok(Self {
            host,
            port,
            database: decoded("database", database, MAX_NAME_BYTES)?,
            user: decoded("user", user, MAX_NAME_BYTES)?,
            password: password.transpose()?.map(SecretString::from),
            ssl_mode: parameters.ssl_mode,
            requires_channel_binding: parameters.requires_channel_binding,
        })
    }

    /// The host, as it was written.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Who Lockstep is there.
    pub fn user(&self) -> &str {
        &self.user
    }

    pub(super) const fn ssl_mode(&self) -> SslMode {
        self.ssl_mode
    }

    /// For the client library, which connects to a stream that it is given: no host is in it.
    pub(super) fn config(&self) -> tokio_postgres::Config {
        use tokio_postgres::config::{ChannelBinding, SslMode as Encryption};
        let mut config = tokio_postgres::Config::new();
        config.user(&self.user).dbname(&self.database).application_name("lockstep");
        if let Some(password) = &self.password {
            config.password(password.expose_secret());
        }
        config.ssl_mode(if self.ssl_mode == SslMode::Prefer { Encryption::Prefer } else { Encryption::Require });
        config.channel_binding(if self.requires_channel_binding {
            ChannelBinding::Require
        } else {
            ChannelBinding::Prefer
        });
        config
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionString")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("database", &self.database)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

fn refused(why: impl Into<String>) -> ConnectionError {
    ConnectionError(why.into())
}

fn decoded(what: &str, text: &str, limit: usize) -> Result<String, ConnectionError> {
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| refused(format!("its {what} is not UTF-8 (special characters are written as %XX)")))?;
    if decoded.is_empty() {
        return Err(refused(format!("it names no {what}")));
    }
    if decoded.len() > limit || decoded.chars().any(char::is_control) {
        return Err(refused(format!("its {what} has more than {limit} bytes, or a control character")));
    }
    Ok(decoded.into_owned())
}

/// One host by name or address, and perhaps a port.
fn host_and_port(place: &str) -> Result<(String, u16), ConnectionError> {
    if place.contains(',') {
        return Err(refused("it names several hosts; write one"));
    }
    if place.contains('%') || place.starts_with('/') {
        return Err(refused("its host is no name or address; sockets of the machine cannot be used"));
    }
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| refused("its host is no IPv6 address"))?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| refused("its host is no IPv6 address"))?;
            (
                host,
                port.strip_prefix(':')
                    .or((port.is_empty()).then_some(""))
                    .ok_or_else(|| refused("its port is no port"))?,
            )
        }
        None => place.split_once(':').unwrap_or((place, "")),
    };
    if host.is_empty() {
        return Err(refused("it names no host"));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.len() > MAX_HOST_BYTES || !host.bytes().all(is_name) {
        return Err(refused("its host is no name or address"));
    }
    let port = if port.is_empty() { Ok(DEFAULT_PORT) } else { port.parse() };
    match port {
        Ok(port) if port > 0 => Ok((host.to_ascii_lowercase(), port)),
        _ => Err(refused("its port is no port")),
    }
}

/// The parameters that may be there.
struct Parameters {
    ssl_mode: SslMode,
    requires_channel_binding: bool,
}

impl Parameters {
    fn read(query: &str, tls: DestinationTls) -> Result<Self, ConnectionError> {
        let mut parameters = Self { ssl_mode: SslMode::VerifyFull, requires_channel_binding: false };
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match (name, value) {
                ("sslmode", _) => parameters.ssl_mode = ssl_mode(value, tls)?,
                ("channel_binding", "require") => parameters.requires_channel_binding = true,
                ("channel_binding", "prefer") => parameters.requires_channel_binding = false,
                ("channel_binding", _) => {
                    return Err(refused("its parameter channel_binding may be prefer or require"));
                }
                _ => return Err(refused(format!("its parameter {} {}", shown(name), why_not(name)))),
            }
        }
        Ok(parameters)
    }
}

fn ssl_mode(value: &str, tls: DestinationTls) -> Result<SslMode, ConnectionError> {
    let mode = match value {
        "verify-full" => return Ok(SslMode::VerifyFull),
        "verify-ca" => SslMode::VerifyCa,
        "require" => SslMode::Require,
        "prefer" => SslMode::Prefer,
        "disable" | "allow" => return Err(refused("its parameter sslmode switches TLS off; leave it out")),
        _ => return Err(refused("its parameter sslmode has a value that is not known; leave it out")),
    };
    match tls {
        DestinationTls::Prefer => Ok(mode),
        DestinationTls::VerifyFull => Err(refused(
            "its parameter sslmode is weaker than verify-full, which is needed; leave it out (the operator can allow it with LOCKSTEP_DESTINATION_TLS)",
        )),
    }
}

/// A parameter's name, unless what stands in its place could be something else, a piece of a password for instance.
fn shown(name: &str) -> &str {
    const MAX_SHOWN_BYTES: usize = 32;
    let is_name = name.len() <= MAX_SHOWN_BYTES && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_name { name } else { "with an unusual name" }
}

fn why_not(name: &str) -> &'static str {
    match name {
        "host" | "hostaddr" | "port" | "user" | "password" | "dbname" | "load_balance_hosts" => {
            "would be a second place for what stands in front of the ?; leave it out"
        }
        "service" | "servicefile" | "passfile" | "sslkey" | "sslcert" | "sslrootcert" | "sslcrl" | "sslcrldir"
        | "sslpassword" | "sslkeylogfile" | "krbsrvname" | "require_auth" => {
            "is about files or settings of the machine that Lockstep runs on; leave it out"
        }
        "options" | "target_session_attrs" | "replication" | "client_encoding" | "application_name" | "search_path" => {
            "is Lockstep's to set; leave it out"
        }
        _ => "is not among sslmode and channel_binding, which may be there; leave it out",
    }
}
