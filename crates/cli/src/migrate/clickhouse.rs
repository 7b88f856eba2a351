//! The destination's side of `lockstep migrate`.

use lockstep_destinations::{DestinationError, Provision, ProvisionPlan, Wanted, When};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::attach::Live;

use crate::progress::Progress;

/// What is asked for, with what the source knows of what was done before. A table that was being built for a definition that is not
/// asked for any more is not under way.
pub(crate) fn known(live: &Live, mappings: &MappingSet, wanted: &Wanted) -> Wanted {
    let is_under_way = |mapping: &&Mapping| {
        let recorded = live.definitions.get(mapping.name.as_str());
        recorded.is_some_and(|recorded| recorded.replaces && (recorded.is_of(mapping) || !recorded.is_beside))
    };
    Wanted {
        own: live.definitions.keys().filter_map(|name| name.parse().ok()).collect(),
        under_way: mappings.iter().filter(is_under_way).map(|mapping| mapping.name.clone()).collect(),
        ..wanted.clone()
    }
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
