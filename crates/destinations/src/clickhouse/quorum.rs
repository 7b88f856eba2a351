//! Replicas that are a moment behind.

use std::time::Duration;

use lockstep_core::retry::Backoff;
use tokio::time::Instant;

use crate::error::DestinationError;

/// `UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE`: another insert into the same table is on its way to the quorum. And
/// `REPLICA_IS_NOT_IN_QUORUM`: the replica that was asked lacks what a quorum has. Nothing was done.
const IN_A_MOMENT: [u32; 2] = [286, 289];
/// How long it is tried again. Replication takes milliseconds; a replica that is away for longer is one that answers nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until replicas are as far as they have to be.
pub(super) async fn reached<T, F>(ask: impl Fn() -> F) -> Result<T, DestinationError>
where
    F: Future<Output = Result<T, DestinationError>>,
{
    let (began, mut backoff) = (Instant::now(), Backoff::new(Duration::from_millis(10), Duration::from_secs(1)));
    loop {
        match ask().await {
            Err(error)
                if error.server_code().is_some_and(|code| IN_A_MOMENT.contains(&code))
                    && began.elapsed() < PATIENCE =>
            {
                tokio::time::sleep(backoff.next_wait()).await;
            }
            answer => return answer,
        }
    }
}
