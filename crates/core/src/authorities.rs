//! Whose certificates are trusted, for Postgres and ClickHouse alike.

use std::fmt::Display;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The system's certificate authorities, and those in the file.
///
/// # Errors
/// What is wrong, in words: with the file, or that there are none.
pub fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // Single certificates of the system that cannot be used are no reason to stop.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = ca_file {
        let unreadable = |why: &dyn Display| format!("cannot read {}: {why}", file.display());
        let mut found = 0;
        for certificate in CertificateDer::pem_file_iter(file).map_err(|why| unreadable(&why))? {
            roots.add(certificate.map_err(|why| unreadable(&why))?).map_err(|why| unreadable(&why))?;
            found += 1;
        }
        if found == 0 {
            return Err(unreadable(&"it holds no certificate"));
        }
    }
    if roots.is_empty() {
        return Err("no certificate authorities: install the system's, or set LOCKSTEP_TLS_CA_FILE".to_owned());
    }
    Ok(roots)
}
