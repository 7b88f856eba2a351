//! Where the broker is and how it is trusted: address, heartbeat, time limits, TLS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lockstep_core::address::wrong_place;
use lockstep_core::authorities::certificates;
use lockstep_core::secret::SecretUrl;
use rustls::pki_types::CertificateDer;

use crate::declare::visitor;
use crate::error::QueueError;

/// A peer that says nothing for twice this long counts as gone.
const HEARTBEAT_SECS: u16 = 10;

/// The client library keeps room for 64 frames of this size per connection: 2 MiB, instead of 8 with RabbitMQ's default.
const FRAME_MAX_BYTES: u32 = 32 * 1024;

/// For the TCP, TLS and AMQP handshakes together. `connection_timeout=` (milliseconds) in the URL makes it shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is needed to connect, and to connect again.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) url: SecretUrl,
    pub(crate) tls_ca_file: Option<PathBuf>,
    /// What the broker's list of connections shows, such as `lockstep-publisher`.
    pub(crate) connection_name: &'static str,
}

impl Endpoint {
    /// The address, with our limits applied.
    pub(crate) fn uri(&self) -> Result<AMQPUri, QueueError> {
        // The parser's error may repeat the address and with it the password.
        let parsed = self.url.expose().parse().ok().filter(|uri: &AMQPUri| uri.authority.port > 0);
        let parsed = parsed.filter(|_| wrong_place(self.url.hosts()).is_none());
        let mut uri = parsed.ok_or_else(|| QueueError::Misconfigured {
            detail:
                "write amqp://user:password@host:5672/virtual-host, or amqps:// for TLS, with a port from 1 to 65535, / written \
                 as %2f and other special characters percent-encoded"
                    .to_owned(),
        })?;
        if let Some(host) = ipv6_host(self.url.hosts()) {
            // The parser knows names only, and takes an IPv6 address for `localhost`.
            host.clone_into(&mut uri.authority.host);
        }
        let heartbeat = uri.query.heartbeat.filter(|&secs| secs > 0).unwrap_or(HEARTBEAT_SECS);
        uri.query.heartbeat = Some(heartbeat.min(HEARTBEAT_SECS));
        uri.query.frame_max.get_or_insert(FRAME_MAX_BYTES);
        Ok(uri)
    }

    pub(crate) fn connect_timeout(uri: &AMQPUri) -> Duration {
        uri.query.connection_timeout.map_or(CONNECT_TIMEOUT, Duration::from_millis).min(CONNECT_TIMEOUT)
    }

    /// Trust for `amqps`: the system's authorities and those of the file. `None` for `amqp`.
    ///
    /// Read anew for every connection, so that renewed certificates are picked up. The client library installs `ring` as
    /// the process's cryptography if nothing is installed yet, and uses what is there otherwise.
    pub(crate) fn tls(&self, uri: &AMQPUri) -> Result<Option<RustlsConnector>, QueueError> {
        if uri.scheme != AMQPScheme::AMQPS {
            return Ok(None);
        }
        let bad = |detail: String| QueueError::BadCertificates { detail };
        let extra = self.extra_authorities().map_err(bad)?;
        let system = RustlsConnectorConfig::new_with_native_certs();
        let config = match system {
            Ok(config) => config,
            // A container without system certificates is fine when the file brings its own.
            Err(_) if !extra.is_empty() => RustlsConnectorConfig::default(),
            Err(error) => return Err(bad(format!("not set, and the system has no certificates: {error}"))),
        };
        let connector = config.with_parsable_certificates(extra).connector_with_no_client_auth();
        connector.map(Some).map_err(|error| bad(error.to_string()))
    }

    fn extra_authorities(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        self.tls_ca_file.as_deref().map_or_else(|| Ok(Vec::new()), certificates)
    }

    pub(crate) fn unreachable(&self, detail: &dyn std::fmt::Display) -> QueueError {
        QueueError::Unreachable { url: self.url.to_string(), detail: detail.to_string() }
    }

    pub(crate) fn client_error(&self, error: &lapin::Error) -> QueueError {
        QueueError::from_client(&self.url, error)
    }

    pub(crate) fn timeout(&self, doing: &'static str, after: Duration) -> QueueError {
        QueueError::Timeout { url: self.url.to_string(), doing, after_ms: after.as_millis() }
    }
}

/// Whether this is an address of a broker, and its certificates can be read. Connects to nothing.
///
/// # Errors
/// [`QueueError::Misconfigured`] or [`QueueError::BadCertificates`], without user and password.
pub fn check(url: &SecretUrl, tls_ca_file: Option<&Path>) -> Result<(), QueueError> {
    let endpoint = visitor(url, tls_ca_file);
    endpoint.tls(&endpoint.uri()?).map(drop)
}

/// The virtual host that an address names; none where it is no address of a broker.
pub fn virtual_host(url: &SecretUrl) -> Option<String> {
    visitor(url, None).uri().ok().map(|uri| uri.vhost)
}

/// The address between brackets, as in `[::1]:5672`.
fn ipv6_host(hosts: &str) -> Option<&str> {
    Some(hosts.strip_prefix('[')?.split_once(']')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str, tls_ca_file: Option<&str>) -> Endpoint {
        Endpoint { url: SecretUrl::new(url), tls_ca_file: tls_ca_file.map(PathBuf::from), connection_name: "test" }
    }

    #[test]
    fn the_heartbeat_is_never_off_and_never_slower_than_ours() {
        for (query, expected) in [("", 10), ("?heartbeat=0", 10), ("?heartbeat=60", 10), ("?heartbeat=2", 2)] {
            let uri = endpoint(&format!("amqp://h/v{query}"), None).uri().unwrap();
            assert_eq!(uri.query.heartbeat, Some(expected), "{query:?}");
        }
    }

    #[test]
    fn an_ipv6_address_is_connected_to_and_nothing_else() {
        for (url, host) in [
            ("amqp://guest:guest@[::1]:5673/%2f", "::1"),
            ("amqp://[fe80::1]", "fe80::1"),
            ("amqp://10.0.0.7:5672/%2f", "10.0.0.7"),
            ("amqp://user:p%5Bw@rabbit.internal/%2f", "rabbit.internal"),
        ] {
            assert_eq!(endpoint(url, None).uri().unwrap().authority.host, host);
        }
    }

    #[test]
    fn a_wrong_address_is_said_without_its_password() {
        for url in [
            "amqp:hunter2",
            "amqp://u:hunter2@host:notaport/",
            "amqp://u:hunter2@host:65536/",
            "amqp://u:hunter2@host:0/",
            "amqp://u:hunter2@host:/",
            "amqp://u:hunter2@host:+5/",
            "amqp://u:hunter2@:5672/",
            "hunter2",
        ] {
            let said = endpoint(url, None).uri().unwrap_err().to_string();
            assert!(said.contains("LS-0103") && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        for file in ["/nonexistent/ca.pem", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
            let endpoint = endpoint("amqps://h/", Some(file));
            let error = endpoint.tls(&endpoint.uri().unwrap()).err().unwrap();
            assert!(error.to_string().contains(file) && error.code() == "LS-0104", "{error}");
        }
    }
}
