//! What is asked of a destination before a program writes to it.

use lockstep_core::destination_id::CLICKHOUSE;
use lockstep_core::health::Health;
use lockstep_core::retry::Backoff;

use crate::destination::Destination;
use crate::error::{DestinationError, Failure};

/// Refuses to go on where the destination is of a version that is too old, or does not let settings be changed that statements
/// depend on. One that is away is waited for, for as long as it takes; `health` says so meanwhile.
///
/// # Errors
/// [`Failure::Outdated`] or [`Failure::Constrained`].
pub async fn refuse_unfit_at_start(destination: &impl Destination, health: &Health) -> Result<(), DestinationError> {
    let mut backoff = Backoff::for_connections();
    loop {
        match destination.check_version().await {
            Err(error) if !matches!(error.failure(), Failure::Outdated | Failure::Constrained) => {
                let (wait, error) = (backoff.next_wait(), health.tell(CLICKHOUSE, error.to_string()));
                tracing::warn!(error, wait_ms = wait.as_millis(), "the destination cannot be used, trying again");
                tokio::time::sleep(wait).await;
            }
            outcome => return outcome,
        }
    }
}
