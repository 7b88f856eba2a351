//! What a run has proven of a mapping, and what it found: to be written down, and to be mended.

use std::collections::BTreeSet;

use lockstep_core::{Location, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_schema::verifications::{Compared, Found, Range};

use crate::class::Class;
use crate::finding::{Finding, Shown};
use crate::level::Level;
use crate::passes::MappingPass;
use crate::recheck::{Doubt, Outcome};
use crate::whose::Whose;

/// Places of which nothing is said, at most; of more, nothing is said of any.
const MAX_EXCEPT: usize = 10_000;
/// Findings of a mapping that are written down.
const MAX_FINDINGS: usize = 1_000;

/// What a run comes to for one mapping of one destination.
#[derive(Clone, Default, Debug)]
pub(crate) struct Proof {
    ranges: Vec<Range>,
    except: Vec<(String, String)>,
    is_whole: bool,
    is_complete: bool,
    found: Vec<Found>,
    /// Rows that a new change mends.
    pub(crate) mendable: Vec<Mendable>,
    /// Rows that differ and that no change mends, or whose tenancy nobody knows.
    pub(crate) unmendable: u64,
}

/// A row that a new change mends.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Mendable {
    pub(crate) tenancy: TenancyId,
    pub(crate) values: Vec<String>,
    pub(crate) class: Class,
}

impl Proof {
    /// `places`: where it was looked at; none where everywhere.
    pub(crate) fn new(
        to: &lockstep_core::DestinationId,
        mapping: &Mapping,
        whose: Whose,
        places: Option<&[Location]>,
        pass: &MappingPass,
        doubts: &[Doubt],
        level: Level,
    ) -> Self {
        let open = doubts.iter().filter(|doubt| doubt.outcome() != Outcome::Settled);
        let mut except: BTreeSet<&Location> = open.map(|doubt| &doubt.key.location).collect();
        except.extend(&pass.found.unjudged_places);
        let cut = pass.found.unreadable.is_cut || pass.found.unjudged_anywhere;
        let nothing = cut || except.len() > MAX_EXCEPT;
        let is_own = matches!(whose, Whose::Own(_));
        let ranges = if nothing || (is_own && !except.is_empty()) {
            Vec::new()
        } else {
            pass.looked.iter().flat_map(|looked| looked.ranges(places.filter(|_| !is_own), &except)).collect()
        };
        let wrong = doubts.iter().filter(|doubt| matches!(doubt.outcome(), Outcome::Real | Outcome::Unreadable));
        let found: Vec<_> = wrong.clone().take(MAX_FINDINGS).map(|doubt| found(to, mapping, doubt)).collect();
        let real: Vec<_> = wrong.filter(|doubt| doubt.outcome() == Outcome::Real && !doubt.quarantined).collect();
        let mendable: Vec<_> = real.iter().filter_map(|doubt| mendable(doubt)).collect();
        Self {
            except: if nothing || is_own { Vec::new() } else { except.into_iter().map(place).collect() },
            is_whole: is_own || (places.is_none() && pass.left_out.is_empty()),
            // A place at which counts and numbers are alike may still hold a row with other values.
            is_complete: level != Level::Versions,
            unmendable: (real.len() - mendable.len()) as u64 + pass.found.impossible,
            ranges,
            found,
            mendable,
        }
    }

    /// The same, to be written down.
    pub(crate) fn compared(&self, destination: &str, mapping: &str) -> Compared {
        Compared {
            destination: destination.to_owned(),
            mapping: mapping.to_owned(),
            is_whole: self.is_whole,
            ranges: self.ranges.clone(),
            except: self.except.clone(),
            findings: self.found.clone(),
            is_complete: self.is_complete,
        }
    }
}

fn place(location: &Location) -> (String, String) {
    (location.project_id.clone(), location.branch_id.clone())
}

fn mendable(doubt: &Doubt) -> Option<Mendable> {
    let class = doubt.told?.class;
    let tenancy = doubt.tenancy.or_else(|| doubt.claimants.first().copied())?;
    class.is_mended_by_change().then(|| Mendable { tenancy, values: doubt.key.values.clone(), class })
}

fn found(to: &lockstep_core::DestinationId, mapping: &Mapping, doubt: &Doubt) -> Found {
    let finding = Finding::new(to, mapping, doubt, Shown::Ids);
    Found {
        project: doubt.key.location.project_id.clone(),
        branch: doubt.key.location.branch_id.clone(),
        key: serde_json::json!(finding.key),
        tenancy: finding.tenancy_id,
        class: finding.class.name(),
        columns: finding.columns,
    }
}

impl crate::passes::Looked {
    /// As it is written down: places one by one, where they were named.
    fn ranges(&self, places: Option<&[Location]>, except: &BTreeSet<&Location>) -> Vec<Range> {
        let range = |first: String, end, branch| Range {
            first,
            end,
            branch,
            through: self.head.sequence,
            at: self.head.at.clone(),
        };
        match (places, &self.projects) {
            (Some(places), _) => {
                let proven = places.iter().filter(|place| !except.contains(place));
                proven.map(|place| range(place.project_id.clone(), None, Some(place.branch_id.clone()))).collect()
            }
            (None, Some(projects)) => vec![range(projects.first.clone(), projects.end.clone(), None)],
            (None, None) => vec![range(String::new(), None, None)],
        }
    }
}
