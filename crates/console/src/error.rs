//! Why the console does not start, or gives no link.

use std::net::SocketAddr;
use std::path::PathBuf;

use lockstep_core::exit;

/// Why the console does not start, or gives no link.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Others could reach it.
    #[error(
        "LS-0061: {0} can be reached from other machines, and nobody would be asked who they are; listen on 127.0.0.1, or give \
         LOCKSTEP_CONSOLE_PASSWORD_FILE, or LOCKSTEP_CONSOLE_TRUSTED_PROXIES"
    )]
    Open(SocketAddr),
    /// A setting of the console's that cannot be used.
    #[error("LS-0062: {name}: {why}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Why not, without its value where that is secret.
        why: String,
    },
    /// A file with a secret that cannot be used.
    #[error("LS-0062: {name}: {} {why}", file.display())]
    SecretFile {
        /// Which setting.
        name: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// The address is somebody else's.
    #[error("LS-0063: the console cannot listen on {address}: {why}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// As the system says it.
        why: std::io::Error,
    },
}

impl ConsoleError {
    /// The exit code of a program that ends with this.
    pub const fn exit_code(&self) -> u8 {
        exit::CONFIGURATION
    }
}
