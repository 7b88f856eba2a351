//! TLS to Postgres.

use std::path::Path;

pub(super) use lockstep_core::certificates::Verify;
use lockstep_core::certificates::client_config;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::SourceError;

/// What encrypts connections, where the URL and the server want that.
pub(super) fn connector(verify: Verify, ca_file: Option<&Path>) -> Result<MakeRustlsConnect, SourceError> {
    client_config(verify, ca_file).map(MakeRustlsConnect::new).map_err(SourceError::Tls)
}
