//! Where tenancies are, and where they were.

use std::collections::{HashMap, HashSet};

use lockstep_core::{Location, TenancyId};
use lockstep_mappings::codec::RowHead;

/// Where one tenancy's rows belong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Residence {
    pub(crate) now: Location,
    /// Where it was before; whatever changed since it left must vanish there.
    pub(crate) former: Vec<Location>,
}

/// The tenancies that exist, among those that were asked for.
#[derive(Default, Debug)]
pub(crate) struct Residences(HashMap<TenancyId, Residence>);

impl Residences {
    /// Adds one row of the lookup: a tenancy with one of its former locations, if it has any.
    pub(crate) fn add(&mut self, tenancy: TenancyId, now: Location, former: Option<Location>) {
        let residence = self.0.entry(tenancy).or_insert_with(|| Residence { now, former: Vec::new() });
        residence.former.extend(former);
    }

    pub(crate) fn get(&self, tenancy: TenancyId) -> Option<&Residence> {
        self.0.get(&tenancy)
    }

    /// Forgets all others.
    pub(crate) fn keep_only(&mut self, living: &HashSet<TenancyId>) {
        self.0.retain(|tenancy, _| living.contains(tenancy));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whether a row says that it belongs there.
pub(crate) fn is_at(head: &RowHead<'_>, location: &Location) -> bool {
    head.project_id == location.project_id.as_bytes() && head.branch_id == location.branch_id.as_bytes()
}
