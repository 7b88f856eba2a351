//! One xtask at a time changes the services of a checkout.

use std::fs::{File, TryLockError};

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Held while services are started or stopped; let go when dropped, or when the process ends however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[allow(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// Waits for another xtask to finish if one is at work.
    pub(crate) fn acquire(workspace: &Workspace) -> Result<Self> {
        // `down --purge` leaves this file: removing it would let two processes hold locks on two files of one name.
        let path = workspace.directory.join("lock");
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("another cargo xtask is working on these services; waiting for it to finish");
                file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        Ok(Self(file))
    }
}
