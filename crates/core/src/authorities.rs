//! Whose certificates are trusted, for Postgres and ClickHouse alike.

use std::fmt::Display;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::small_file;

/// The system's certificate authorities, and those in the file.
///
/// # Errors
/// What is wrong, in words: with the file, or that there are none.
pub fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // Single certificates of the system that cannot be used are no reason to stop.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = ca_file {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|why| unreadable(file, &why))?;
        }
    }
    if roots.is_empty() {
        return Err("no certificate authorities: install the system's, or set LOCKSTEP_TLS_CA_FILE".to_owned());
    }
    Ok(roots)
}

/// The certificates in a file of PEM: one at least.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = small_file::read(file, small_file::CERTIFICATES_BYTES).map_err(|why| unreadable(file, &why))?;
    let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|why| unreadable(file, &why))?;
    if found.is_empty() { Err(unreadable(file, &"it holds no certificate")) } else { Ok(found) }
}

fn unreadable(file: &Path, why: &dyn Display) -> String {
    format!("cannot read {}: {why}", file.display())
}
