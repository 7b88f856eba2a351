//! What the settings say about tenants' databases: which addresses may be connected to.

use lockstep_core::settings::Settings;

use super::Network;

/// How tenants' databases are reached, as the settings say. Our own source, broker and ClickHouse never are.
///
/// # Errors
/// What is wrong with the authorities, in words.
pub fn reach(settings: &Settings) -> Result<Network, String> {
    Network::new(&settings.destinations.allow, settings.own_services(), settings.tls_ca_file.as_deref())
}
