//! The pages, one module each.

pub(crate) mod events;
pub(crate) mod mappings;
pub(crate) mod operations;
pub(crate) mod overview;
pub(crate) mod proof;
pub(crate) mod quarantine;
pub(crate) mod tenant;
pub(crate) mod tenants;

use crate::page::{Region, View};
use crate::sample::Sample;

/// The regions of a view that follow from a sample alone.
pub(crate) fn live_regions(view: View, sample: &Sample, actions: bool) -> Vec<Region> {
    match view {
        View::Overview => overview::regions(sample),
        View::Mappings => mappings::regions(sample),
        View::Operations => operations::regions(sample, actions),
        _ => Vec::new(),
    }
}
