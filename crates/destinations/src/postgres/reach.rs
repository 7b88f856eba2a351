//! What the settings say about tenants' databases: which addresses may be connected to, and what of TLS may be weakened.

use lockstep_core::settings::{DestinationTls, Settings};

use super::{Network, TlsPolicy};

/// How tenants' databases are reached, as the settings say. Our own source, broker and ClickHouse never are.
///
/// # Errors
/// What is wrong with the authorities, in words.
pub fn reach(settings: &Settings) -> Result<(Network, TlsPolicy), String> {
    let allow = settings.destinations.allow.iter().filter_map(|network| network.to_string().parse().ok());
    let network = Network::new(&allow.collect::<Vec<_>>(), settings.own_services(), settings.tls_ca_file.as_deref())?;
    let tls = match settings.destinations.tls {
        DestinationTls::VerifyFull => TlsPolicy::VerifyFull,
        DestinationTls::Prefer => TlsPolicy::Prefer,
    };
    Ok((network, tls))
}
