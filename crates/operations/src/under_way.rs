//! Exports that were asked for by hand, and how far they are.

use lockstep_schema::resyncs;
pub use lockstep_schema::resyncs::ResyncEntry;

use crate::deployment::Deployment;
use crate::error::OperationError;

/// Exports that are shown.
const SHOWN: i64 = 20;

/// Exports of tenancies that were asked for, those that are not finished first.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn resyncs(deployment: &Deployment<'_>) -> Result<Vec<ResyncEntry>, OperationError> {
    Ok(resyncs::last(deployment.control()?, SHOWN).await?)
}
