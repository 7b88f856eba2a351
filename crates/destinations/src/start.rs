//! What is asked of a destination before a program writes to it.

use lockstep_core::retry::Backoff;

use crate::destination::Destination;
use crate::error::{DestinationError, Failure};

/// Refuses to go on where the destination is of a version that is too old. One that is away is waited for, for as long as it
/// takes.
///
/// # Errors
/// [`Failure::Outdated`].
pub async fn refuse_outdated_at_start(destination: &impl Destination) -> Result<(), DestinationError> {
    let mut backoff = Backoff::for_connections();
    loop {
        match destination.check_version().await {
            Err(error) if error.failure() != Failure::Outdated => {
                let wait = backoff.next_wait();
                tracing::warn!(%error, wait_ms = wait.as_millis(), "the destination cannot be used, trying again");
                tokio::time::sleep(wait).await;
            }
            outcome => return outcome,
        }
    }
}
