//! The key that tenants' connection strings are encrypted with, in a file of a test's own.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Context;
use lockstep_core::settings::{DestinationSettings, DestinationTls};

use crate::databases::unique_suffix;

/// Networks in which tests have tenants' databases.
const ALLOWED: &str = "127.0.0.0/8";
/// Thirty-two bytes. What it protects is a test's own.
pub(crate) const KEY: &str = "c2VjcmV0IG9mIGEgdGVzdCdzIG93biwgMzIgYnl0ZXM=";

/// A key file, which goes with this.
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// Writes one that only its owner can read.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn create() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("lockstep-keys-{}", unique_suffix()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.with_context(|| format!("creating {}", path.display()))?;
        writeln!(file, "test:{KEY}")?;
        Ok(Self(path))
    }

    /// The variables that a program needs to reach tenants' databases on this machine.
    pub(crate) fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("LOCKSTEP_SECRET_KEY_FILE", self.0.display().to_string()),
            ("LOCKSTEP_DESTINATION_ALLOW", ALLOWED.to_owned()),
            ("LOCKSTEP_DESTINATION_TLS", "prefer".to_owned()),
        ]
    }

    /// The same for a program inside this process.
    pub(crate) fn settings(&self) -> DestinationSettings {
        DestinationSettings {
            secret_key_file: Some(self.0.clone()),
            allow: ALLOWED.parse().into_iter().collect(),
            tls: DestinationTls::Prefer,
        }
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        // A temporary file: nothing is lost when it stays.
        let _ = std::fs::remove_file(&self.0);
    }
}
