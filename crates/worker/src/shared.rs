//! What the parts of a worker share.

use std::sync::Arc;

use crate::limits::Limits;
use crate::mappings::Mappings;
use crate::pauses::KnownPauses;

/// Every part has a clone of its own.
#[derive(Clone)]
pub(crate) struct Shared<D> {
    pub(crate) destination: D,
    pub(crate) mappings: Arc<Mappings>,
    pub(crate) limits: Limits,
    pub(crate) pauses: KnownPauses,
}
