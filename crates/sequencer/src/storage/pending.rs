//! The one question that an idle sequencer asks: is there anything to do?

use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::stamp::{self, stamped_tables};
use lockstep_mappings::postgres::{FLAG_COLUMN, table};
use lockstep_schema::SourceError;
use lockstep_schema::fuses::SEQUENCER_IS_STOPPED;
use tokio_postgres::Client;

use super::query::Query;

/// What waits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Due {
    /// For each lane, whether it has flagged rows.
    pub(crate) lanes: Vec<bool>,
    /// Whether there are touches.
    pub(crate) touches: bool,
    /// Whether somebody waits for a fence.
    pub(crate) fences: bool,
    /// Whether an operator has stopped all stamping: then nothing of the above is to be done.
    pub(crate) stopped: bool,
}

impl Due {
    /// Whether there is nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.stopped || (!self.touches && !self.fences && !self.lanes.contains(&true))
    }
}

const FENCES: &str = "EXISTS (SELECT 1 FROM lockstep.fence WHERE sequence IS NULL)";

/// Asks.
pub(crate) struct Pending {
    all: Query,
    lanes: Vec<Query>,
    others: Query,
}

impl Pending {
    pub(crate) fn new(set: &MappingSet) -> Self {
        let lane =
            |source| Query::new(format!("SELECT EXISTS (SELECT 1 FROM {} WHERE \"{FLAG_COLUMN}\")", table(&source)));
        Self {
            all: Query::new(format!("{},\n  {FENCES},\n  {SEQUENCER_IS_STOPPED}", stamp::pending(set))),
            lanes: stamped_tables(set).into_iter().map(lane).collect(),
            others: Query::new(format!(
                "SELECT EXISTS (SELECT 1 FROM lockstep.touch), {FENCES}, {SEQUENCER_IS_STOPPED}"
            )),
        }
    }

    /// Asks all at once.
    pub(crate) async fn all(&self, client: &Client) -> Result<Due, SourceError> {
        let row = self.all.row(client, &[]).await?;
        let lanes = self.lanes.len();
        Ok(Due {
            lanes: (0..lanes).map(|lane| row.get(lane)).collect(),
            touches: row.get(lanes),
            fences: row.get(lanes + 1),
            stopped: row.get(lanes + 2),
        })
    }

    /// Asks one lane: for when a table that is gone or held makes asking all at once fail.
    pub(crate) async fn lane(&self, client: &Client, lane: usize) -> Result<bool, SourceError> {
        Ok(self.lanes[lane].row(client, &[]).await?.get(0))
    }

    /// Asks for everything but lanes, none of which waits in the answer.
    pub(crate) async fn others(&self, client: &Client) -> Result<Due, SourceError> {
        let row = self.others.row(client, &[]).await?;
        let lanes = vec![false; self.lanes.len()];
        Ok(Due { lanes, touches: row.get(0), fences: row.get(1), stopped: row.get(2) })
    }
}
