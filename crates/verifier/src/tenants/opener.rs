//! From what the registry has of a destination to the destination.

use std::sync::Arc;

use lockstep_core::secret_keys::KeyRing;
use lockstep_core::settings::{DestinationTls, Settings};
use lockstep_destinations::postgres::{ConnectionString, Network, Postgres, reach};
use lockstep_schema::tenant_destinations::Setup;

/// The keys of connection strings, and how databases are reached: read once for all. What is wrong with either is told of
/// every destination.
pub(crate) struct Opener {
    keys: Result<KeyRing, String>,
    network: Result<Arc<Network>, String>,
    tls: DestinationTls,
}

impl Opener {
    pub(crate) fn new(settings: &Settings) -> Self {
        let keys = match settings.destinations.secret_key_file.as_deref() {
            Some(file) => KeyRing::load(file).map_err(|error| error.to_string()),
            None => Err("its connection string is encrypted, and LOCKSTEP_SECRET_KEY_FILE is not set".to_owned()),
        };
        Self { keys, network: reach(settings).map(Arc::new), tls: settings.destinations.tls }
    }

    /// Connects to nothing yet.
    pub(crate) fn open(&self, setup: &Setup) -> Result<Postgres, String> {
        let keys = self.keys.as_ref().map_err(Clone::clone)?;
        let network = self.network.as_ref().map_err(Clone::clone)?;
        let text = keys.open(&setup.sealed, setup.holder()).map_err(|error| error.to_string())?;
        let connection = ConnectionString::parse(&text, self.tls).map_err(|error| error.to_string())?;
        Ok(Postgres::new(setup.destination_id(), setup.tenancy, connection, Arc::clone(network)))
    }
}
