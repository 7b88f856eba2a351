//! Replacing the key that connection strings are encrypted with.

use lockstep_core::secret_keys::KeyRing;
use lockstep_schema::Control;
use lockstep_schema::tenant_destinations::{self as registry, TenantDestination};
use serde::Serialize;
use uuid::Uuid;

use super::key_ring;
use crate::deployment::Deployment;
use crate::error::OperationError;

/// A destination that is changed while it is encrypted anew is looked at again, so often.
const ATTEMPTS: usize = 5;

/// What was encrypted anew.
#[derive(Serialize, Debug)]
pub struct RotateKeyReport {
    /// The key that everything is encrypted with now.
    pub key_id: String,
    /// Connection strings that were encrypted anew.
    pub resealed: usize,
    /// Those that had been encrypted with it before.
    pub unchanged: usize,
    /// Those that could not be, and why: their keys are still needed.
    pub failed: Vec<NotResealed>,
}

/// A connection string that could not be encrypted anew.
#[derive(Serialize, Debug)]
pub struct NotResealed {
    /// Of which destination.
    pub id: Uuid,
    /// The key that it is encrypted with.
    pub key_id: String,
    /// Why not.
    pub error: String,
}

/// Encrypts every connection string with the first key of the file. Called again it does what is left.
///
/// # Errors
/// When the key file cannot be used, or Postgres cannot be asked.
pub async fn rotate_key(deployment: &Deployment<'_>) -> Result<RotateKeyReport, OperationError> {
    let (keys, control) = (key_ring(deployment.settings)?, deployment.control()?);
    let key_id = keys.sealing_key_id().to_owned();
    let mut report = RotateKeyReport { key_id, resealed: 0, unchanged: 0, failed: Vec::new() };
    for destination in registry::list(control, None).await? {
        if destination.setup.sealed.key_id == report.key_id {
            report.unchanged += 1;
            continue;
        }
        match reseal(control, &keys, destination.clone()).await {
            Ok(()) => report.resealed += 1,
            Err(OperationError::Source(error)) => return Err(error.into()),
            Err(error) => report.failed.push(NotResealed {
                id: destination.setup.id,
                key_id: destination.setup.sealed.key_id,
                error: error.to_string(),
            }),
        }
    }
    Ok(report)
}

/// Encrypts one anew. What somebody changes meanwhile wins.
async fn reseal(control: &Control, keys: &KeyRing, mut destination: TenantDestination) -> Result<(), OperationError> {
    for _ in 0..ATTEMPTS {
        let setup = &destination.setup;
        let holder = setup.holder();
        let sealed = keys.seal(&keys.open(&setup.sealed, holder)?, holder)?;
        if registry::reseal(control, setup.id, destination.revision, &sealed).await? {
            return Ok(());
        }
        match registry::find(control, setup.id).await? {
            Some(now) if now.setup.sealed.key_id != keys.sealing_key_id() => destination = now,
            // It is gone, or was given a new connection string.
            _ => return Ok(()),
        }
    }
    Err(OperationError::KeepsChanging(destination.setup.id))
}
