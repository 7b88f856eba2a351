//! Whether the destination still answers, while it is asked for something that may take long.

use std::time::Duration;

use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::{Cursors, Destination, DestinationError, Selection};
use tokio::time::sleep;

use crate::shared::Shared;

/// How often it is asked for a sign of life meanwhile.
const EVERY: Duration = Duration::from_secs(5);

/// What was asked for. A destination that hangs is given up after some seconds, and not when the time for the whole question is
/// over.
pub(super) async fn while_it_answers<T>(
    destination: &impl Destination,
    asked: impl Future<Output = Result<T, DestinationError>>,
) -> Result<T, DestinationError> {
    let silent = async {
        loop {
            sleep(EVERY).await;
            if let Err(error) = destination.ping().await {
                return error;
            }
        }
    };
    tokio::select! {
        biased;
        answer = asked => answer,
        error = silent => Err(error),
    }
}

/// The cursors of these tenancies, of all mappings.
pub(super) async fn cursors<D: Destination>(
    shared: &Shared<D>,
    tenancies: &[TenancyId],
) -> Result<Cursors, DestinationError> {
    let names = shared.mappings.names();
    let asked = shared.destination.cursors(Selection::These(tenancies), Selection::These(&names));
    while_it_answers(&shared.destination, asked).await
}

/// One of them; a tenancy that has none begins.
pub(super) fn cursor_of(cursors: &Cursors, pair: &(TenancyId, MappingName)) -> SequenceId {
    cursors.get(pair).copied().unwrap_or_default()
}
