//! Which addresses are connected to, and whose certificates are trusted there.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use lockstep_core::certificates::{Verify, client_config};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address;
use super::connection_string::SslMode;
use crate::error::Failure;

/// More addresses of one host are not tried.
const MAX_ADDRESSES: usize = 8;
/// How long it is remembered where Lockstep's own servers are.
const OWN_FRESH: Duration = Duration::from_secs(60);

/// Addresses of Lockstep's own servers, by host and port, and when they were looked up.
type OwnAddresses = HashMap<(String, u16), (Vec<IpAddr>, Instant)>;

/// What every connection to a tenant's database goes by: which addresses are allowed, which never are, and whose
/// certificates are trusted.
pub struct Network {
    allow: Vec<IpNet>,
    never: Vec<(String, u16)>,
    /// Where those are, and when that was looked up. What was found once is kept where a name is not known for a while.
    own: Mutex<OwnAddresses>,
    verified: MakeRustlsConnect,
    of_authority: MakeRustlsConnect,
    unverified: MakeRustlsConnect,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("allow", &self.allow).field("never", &self.never).finish_non_exhaustive()
    }
}

/// Why there is no connection.
pub(super) struct NoWay {
    pub(super) failure: Failure,
    pub(super) reason: String,
}

fn no_way(failure: Failure, reason: impl Into<String>) -> NoWay {
    NoWay { failure, reason: reason.into() }
}

impl Network {
    /// `allow`: ranges that are connected to although they are not public. `never`: hosts and ports that are not, whatever is
    /// allowed: Lockstep's own source, broker and ClickHouse. `ca_file` is trusted beside the system's authorities.
    ///
    /// # Errors
    /// What is wrong with the authorities, in words.
    pub fn new(allow: &[IpNet], never: Vec<(String, u16)>, ca_file: Option<&Path>) -> Result<Self, String> {
        let connector = |verify| client_config(verify, ca_file).map(MakeRustlsConnect::new);
        Ok(Self {
            allow: allow.to_vec(),
            never: never.into_iter().map(|(host, port)| (host.to_ascii_lowercase(), port)).collect(),
            own: Mutex::default(),
            verified: connector(Verify::AuthorityAndName)?,
            of_authority: connector(Verify::Authority)?,
            unverified: connector(Verify::Nothing)?,
        })
    }

    pub(super) fn tls(&self, mode: SslMode) -> MakeRustlsConnect {
        match mode {
            SslMode::VerifyFull => &self.verified,
            SslMode::VerifyCa => &self.of_authority,
            SslMode::Require | SslMode::Prefer => &self.unverified,
        }
        .clone()
    }

    /// Resolves the host, once, checks every address, and connects to one that was checked.
    pub(super) async fn connect(
        &self,
        host: &str,
        port: u16,
        resolve_limit: Duration,
        connect_limit: Duration,
    ) -> Result<TcpStream, NoWay> {
        let found = resolve(host, port, resolve_limit).await?;
        let own = self.own_addresses(port, resolve_limit).await?;
        let is_own = found.iter().any(|at| {
            let address = address::plain(at.ip());
            // The machine itself may have a tenant's database beside ours; of another every port is its.
            own.iter().any(|(known, at)| *known == address && (*at == port || !address.is_loopback()))
        });
        if is_own || self.never.iter().any(|(name, at)| name == host && *at == port) {
            return Err(no_way(Failure::Forbidden, "its address is that of a server of Lockstep's own"));
        }
        let allowed: Vec<_> = found.iter().copied().filter(|at| self.refused(at.ip()).is_none()).collect();
        if allowed.is_empty() {
            let kind = found.first().and_then(|at| self.refused(at.ip())).unwrap_or("not known");
            return Err(no_way(Failure::Forbidden, format!("its address is {kind}")));
        }
        match timeout(connect_limit, first_of(&allowed)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(kind)) => Err(no_way(Failure::Unavailable, format!("it cannot be reached: {kind}"))),
            Err(_) => Err(no_way(Failure::Unavailable, "it did not accept a connection in time")),
        }
    }

    /// What kind of address it is, where it is not connected to.
    fn refused(&self, address: IpAddr) -> Option<&'static str> {
        let is_allowed = self.allow.iter().any(|range| range.contains(&address));
        if is_allowed { None } else { address::refused(address) }
    }

    /// Where Lockstep's own servers are, with their ports.
    async fn own_addresses(&self, port: u16, limit: Duration) -> Result<Vec<(IpAddr, u16)>, NoWay> {
        let mut all = Vec::new();
        for server in &self.never {
            let with_port = |address: &IpAddr| (*address, server.1);
            let remembered = self.own.lock().unwrap_or_else(PoisonError::into_inner).get(server).cloned();
            if let Some((known, at)) = &remembered
                && at.elapsed() < OWN_FRESH
            {
                all.extend(known.iter().map(with_port));
                continue;
            }
            match (resolve(&server.0, server.1, limit).await, remembered) {
                (Ok(found), _) => {
                    let found: Vec<_> = found.iter().map(|at| address::plain(at.ip())).collect();
                    all.extend(found.iter().map(with_port));
                    let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
                    own.insert(server.clone(), (found, Instant::now()));
                }
                (Err(_), Some((known, _))) => all.extend(known.iter().map(with_port)),
                // Whose port it is not either is hardly the one that is meant.
                (Err(_), None) if server.1 != port => {}
                // Without knowing where they are, nobody can say that this is not one of them.
                (Err(_), None) => {
                    return Err(no_way(Failure::Unavailable, "the address of a server of Lockstep's own is not known"));
                }
            }
        }
        Ok(all)
    }
}

async fn resolve(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, NoWay> {
    match timeout(limit, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let found: Vec<_> = found.take(MAX_ADDRESSES).collect();
            if found.is_empty() { Err(no_way(Failure::Unavailable, "its host has no address")) } else { Ok(found) }
        }
        Ok(Err(_)) => Err(no_way(Failure::Unavailable, "its host cannot be resolved")),
        Err(_) => Err(no_way(Failure::Unavailable, "its host was not resolved in time")),
    }
}

/// The first that accepts, or why the last did not.
async fn first_of(addresses: &[SocketAddr]) -> Result<TcpStream, std::io::ErrorKind> {
    let mut last = std::io::ErrorKind::NotFound;
    for address in addresses {
        let connected = TcpStream::connect(address).await;
        match connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.kind(),
        }
    }
    Err(last)
}
