//! Mappings that are set up otherwise than this worker knows them: `lockstep migrate` was run, and the worker not replaced yet.
//! It ships nothing of them. What it did before is below the number of the fill that began with the new definition.

use std::time::{Duration, Instant};

use crate::hints::Hints;
use crate::mappings::{MappingIndex, Mappings};
use crate::storage::Snapshot;

/// It is said this often at most.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// What a worker remembers about them.
#[derive(Default)]
pub(super) struct Foreign {
    said: Option<Instant>,
}

impl Foreign {
    /// Takes the pairs of such mappings out of `hints`, and returns them.
    pub(super) fn take_out(&mut self, hints: &mut Hints, snapshot: &Snapshot, mappings: &Mappings) -> Hints {
        let is_foreign = |mapping: MappingIndex| {
            let name = mappings.name(mapping).as_str();
            let recorded = snapshot.definitions.get(name).map(|recorded| recorded.exported.as_str());
            recorded != mappings.known().exported(name)
        };
        let named: Vec<_> = mappings.all().filter(|mapping| is_foreign(*mapping)).collect();
        if named.is_empty() {
            return Hints::default();
        }
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said = Some(Instant::now());
            let names: Vec<_> = named.iter().map(|mapping| mappings.name(*mapping).as_str()).collect();
            tracing::error!(
                mappings = names.join(", "),
                "LS-0408: `lockstep migrate` was last run with other definitions of these: other workers ship them"
            );
        }
        let mut foreign = hints.clone();
        foreign.retain(|_, mapping| named.contains(&mapping));
        hints.retain(|_, mapping| !named.contains(&mapping));
        foreign
    }
}
