//! What the settings say about tenants' databases: which addresses may be connected to, and what of TLS may be weakened.

use lockstep_core::settings::{DestinationTls, Settings};

use super::{Network, TlsPolicy};

/// How tenants' databases are reached, as the settings say. Our own source, broker and ClickHouse never are.
///
/// # Errors
/// What is wrong with the authorities, in words.
pub fn reach(settings: &Settings) -> Result<(Network, TlsPolicy), String> {
    let own = [
        (Some(&settings.source_url), 5432),
        (settings.source_read_url.as_ref(), 5432),
        (Some(&settings.amqp_url), 5672),
        (Some(&settings.clickhouse.url), 8123),
    ];
    let never = own.into_iter().filter_map(|(url, port)| Some(url?.hosts(port))).flatten().collect();
    let allow = settings.destinations.allow.iter().filter_map(|network| network.to_string().parse().ok());
    let network = Network::new(&allow.collect::<Vec<_>>(), never, settings.tls_ca_file.as_deref())?;
    let tls = match settings.destinations.tls {
        DestinationTls::VerifyFull => TlsPolicy::VerifyFull,
        DestinationTls::Prefer => TlsPolicy::Prefer,
    };
    Ok((network, tls))
}
