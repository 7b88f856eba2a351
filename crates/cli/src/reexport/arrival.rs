//! Waiting until the destination holds what was stamped again.

use super::Reexport;
use super::scope::Scope;
use crate::backlog::{Behind, not_past};
use crate::error::CliError;
use crate::wait::fence;

/// Returns when every cursor has passed what is stamped now, or has nothing above it. It is not enough that nothing up to
/// there is left above the cursor, as `lockstep wait` asks: a row that was stamped again and changed since, before either
/// was shipped, has only a number above that, and in the destination only its old one. False: time is up.
pub(super) async fn of_all(export: &mut Reexport<'_>, scope: &Scope<'_>) -> Result<bool, CliError> {
    let Some(up_to) = fence(export.client, export.patience.until()).await? else {
        eprintln!("Time is up while waiting: changes are not being stamped.");
        return Ok(false);
    };
    let mut waiting: Behind =
        scope.mappings.iter().map(|mapping| (mapping.name.clone(), scope.tenancies.clone())).collect();
    loop {
        waiting = not_past(export.client, export.clickhouse, export.mappings, &waiting, up_to).await?;
        if waiting.is_empty() {
            return Ok(true);
        }
        let what = || {
            let behind: Vec<_> = waiting.iter().map(|(name, of)| format!("{name} of {} tenancies", of.len())).collect();
            format!("{} on the way", behind.join(", "))
        };
        if !export.patience.pause(what).await {
            return Ok(false);
        }
    }
}
