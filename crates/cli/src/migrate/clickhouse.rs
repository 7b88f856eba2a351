//! The destination's side of `lockstep migrate`.

use std::collections::BTreeSet;

use lockstep_core::MappingName;
use lockstep_destinations::{DestinationError, Provision, ProvisionPlan, Wanted, When};
use lockstep_schema::attach::Live;
use lockstep_schema::definitions::Recorded;

use crate::progress::Progress;

/// What is asked for, with what the source knows of what was done before.
pub(crate) fn known(live: &Live, wanted: &Wanted) -> Wanted {
    let named = |is: fn(&Recorded) -> bool| -> BTreeSet<MappingName> {
        let of = live.definitions.iter().filter(|(_, recorded)| is(recorded));
        of.filter_map(|(name, _)| name.parse().ok()).collect()
    };
    Wanted { own: named(|_| true), under_way: named(|recorded| recorded.replaces), ..wanted.clone() }
}

/// Does what is to be done then.
pub(super) async fn apply(
    destination: &impl Provision,
    plan: &ProvisionPlan,
    when: When,
    progress: &mut Progress,
) -> Result<(), DestinationError> {
    for (step, index) in plan.steps.iter().zip(1..).filter(|(step, _)| step.when == when) {
        progress.begin(&step.what);
        destination.apply(step).await?;
        let elapsed = progress.elapsed().as_millis();
        progress.say(&format!("ClickHouse {index:>3}/{}  {} ({elapsed} ms)", plan.steps.len(), step.what));
    }
    Ok(())
}
