//! Works off expansions, beside the passes: a tenancy with many millions of rows holds nobody up.

use std::sync::Arc;
use std::time::Duration;

use lockstep_mappings::MappingSet;
use lockstep_schema::tasks::{Ran, Task};
use lockstep_schema::{Source, SourceError};

use crate::storage::expansions::ExpansionSession;

/// Those of a leader that died wake nobody.
const EVERY: Duration = Duration::from_secs(1);

/// Two may work side by side: each takes expansions that the other does not hold.
pub(crate) struct Expander(pub(crate) Arc<MappingSet>);

impl Task for Expander {
    const NAME: &'static str = "expand";
    /// Each statement has a limit of its own.
    const TIMEOUT: Duration = Duration::MAX;
    type Session = ExpansionSession;
    type Error = SourceError;

    async fn open(&self, source: &Source) -> Result<ExpansionSession, SourceError> {
        ExpansionSession::open(source, Arc::clone(&self.0)).await
    }

    async fn run(&mut self, _: &Source, session: &mut ExpansionSession) -> Result<Ran, SourceError> {
        let mut expanded = 0;
        loop {
            match session.work_off().await? {
                0 => return Ok(Ran::did(expanded, EVERY)),
                some => expanded += some,
            }
        }
    }
}
