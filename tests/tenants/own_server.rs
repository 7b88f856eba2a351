//! A server of a tenant's own, which asks for passwords and speaks TLS.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;

use anyhow::{Context, Result};
use lockstep_testkit::databases::{PrivatePostgres, connect, eventually};
use lockstep_testkit::tenant_database::TenantDatabase;

use crate::stage::DEADLINE;

/// Only the test itself needs no password.
const ACCESS: &str = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";

/// The server, and its certificates.
pub(super) struct OwnServer {
    server: PrivatePostgres,
    /// Trusted: the certificate of its address, and the one of another name.
    authorities: PathBuf,
    /// Certificate and key of 127.0.0.1, and of another name.
    certificates: [(String, String); 2],
}

impl OwnServer {
    /// Starts it, with a certificate of its address.
    pub(super) async fn start() -> Result<Self> {
        let certificates = [certificate("127.0.0.1")?, certificate("other.example")?];
        let authorities = std::env::temp_dir().join(format!("lockstep-authorities-{}.pem", uuid::Uuid::new_v4()));
        std::fs::write(&authorities, certificates.each_ref().map(|(certificate, _)| certificate.as_str()).concat())?;
        let server = Self { server: PrivatePostgres::start().await?, authorities, certificates };
        server.place("pg_hba.conf", ACCESS)?;
        server.shows(0).await?;
        Ok(server)
    }

    /// A database there.
    pub(super) async fn database(&self) -> Result<TenantDatabase> {
        TenantDatabase::create_on(&self.server.url()).await
    }

    /// The file with what is trusted.
    pub(super) fn authorities(&self) -> &str {
        // A temporary directory whose name is no text is none that tests are run in.
        self.authorities.to_str().unwrap_or_default()
    }

    /// From now on it shows the certificate of its address (0), or the one of another name (1), to new connections.
    pub(super) async fn shows(&self, which: usize) -> Result<()> {
        let (certificate, key) = &self.certificates[which];
        self.place("server.crt", certificate)?;
        self.place("server.key", key)?;
        let client = connect(&self.server.url()).await?;
        client.batch_execute("ALTER SYSTEM SET ssl = on").await?;
        let loaded = "SELECT pg_conf_load_time() > $1::text::timestamptz";
        let before: String = client.query_one("SELECT pg_conf_load_time()::text", &[]).await?.get(0);
        client.batch_execute("SELECT pg_reload_conf()").await?;
        eventually("the server to take up its certificate", DEADLINE, async || {
            let client = connect(&self.server.url()).await?;
            let is_on: String = client.query_one("SHOW ssl", &[]).await?.get(0);
            Ok(is_on == "on" && client.query_one(loaded, &[&before]).await?.get::<_, bool>(0))
        })
        .await
    }

    /// Writes a file into its data directory, as its owner's and nobody else's.
    fn place(&self, name: &str, text: &str) -> Result<()> {
        let (data, path) = (self.server.data(), self.server.data().join(name));
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let owner = std::fs::metadata(data)?;
        Ok(chown(path, Some(owner.uid()), Some(owner.gid()))?)
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // A temporary file: nothing is lost when it stays.
        let _ = std::fs::remove_file(&self.authorities);
    }
}

fn certificate(name: &str) -> Result<(String, String)> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()])?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}
