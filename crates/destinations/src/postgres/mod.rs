//! Tenants' own Postgres: pages in one transaction each, fills, cursors, and what their tables look like.
//!
//! A database holds the rows of one tenancy, and forgets the ones that are gone. So cursors are compared: what is written
//! was read above exactly the cursor that the database still has, in the transaction that writes it (IDEM-1, CUR-1, DEL-1).
//! Whoever owns such a database is a stranger: where it may be is settled by [`Network`], and what it says is bounded in time
//! and bytes, and repeated nowhere.

mod connection_string;
mod fill;
mod network;
mod page;
mod states;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use lockstep_core::{DestinationId, MappingName, SequenceId, TenancyId};
use lockstep_mappings::Mapping;

pub use self::connection_string::{ConnectionError, ConnectionString, TlsPolicy};
pub use self::fill::{FillPage, FillPosition};
pub use self::network::{Cidr, Network};
pub use self::page::Page;
pub use self::states::{Finding, MappingState, Prepared};
use crate::destination::{CursorAt, Cursors, Destination, Keeps, PageStart, Selection};
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

/// A tenant's own Postgres. Clones share one connection, which is opened when it is needed.
#[derive(Clone, Debug)]
pub struct Postgres {
    id: DestinationId,
    tenancy: TenancyId,
    connection: ConnectionString,
    network: Arc<Network>,
}

impl Postgres {
    /// The database of one tenancy. Connects to nothing yet.
    pub fn new(id: DestinationId, tenancy: TenancyId, connection: ConnectionString, network: Arc<Network>) -> Self {
        Self { id, tenancy, connection, network }
    }

    /// Where each of these mappings stands, in one round trip. Creates our two tables and the view where they are missing.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn states(
        &self,
        mappings: &[MappingName],
    ) -> Result<HashMap<MappingName, MappingState>, DestinationError> {
        let _ = (mappings, &self.tenancy, &self.connection, &self.network);
        Err(self.error(Failure::Unexpected, "not yet"))
    }

    /// Makes the mapping's table fit: creates it, or adds columns that the definition gained. After that its rows have to be
    /// read again, which [`Postgres::states`] says as well.
    ///
    /// # Errors
    /// When the database cannot be asked, or refuses. A table that does not fit is no error.
    pub async fn prepare(&self, mapping: &Mapping) -> Result<Prepared, DestinationError> {
        let _ = mapping;
        Err(self.error(Failure::Unexpected, "not yet"))
    }

    /// Begins a fill of the mapping, or goes on with the one that is under way. `version` is a number of the source that was
    /// drawn before the first row is read; a new number is best, since it then differs from every cursor.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn begin_fill(&self, mapping: &Mapping, version: SequenceId) -> Result<FillPosition, DestinationError> {
        let _ = (mapping, version);
        Err(self.error(Failure::Unexpected, "not yet"))
    }

    /// A page of a fill, read in the order of the keys behind `from`. Ending it moves the fill, and at its end the cursor.
    pub fn open_fill_page(&self, start: PageStart<'_>, from: &FillPosition) -> FillPage {
        FillPage::new(self, start, from)
    }

    /// Closes the connection if it was not used for so long. Returns whether it is closed now.
    pub fn close_idle(&self, idle: Duration) -> bool {
        let _ = idle;
        true
    }

    /// What `lockstep destination test` says: each thing that was checked, in words, and whether it is well.
    pub async fn examine(&self, mappings: &[&Mapping]) -> Vec<Finding> {
        let _ = mappings;
        Vec::new()
    }

    /// Deletes all rows of these mappings and their cursors, and with `drop_tables` the tables and ours as well. Returns how
    /// many rows there were of each.
    ///
    /// # Errors
    /// When the database cannot be asked, or refuses.
    pub async fn clear(
        &self,
        mappings: &[&Mapping],
        drop_tables: bool,
    ) -> Result<BTreeMap<MappingName, u64>, DestinationError> {
        let _ = (mappings, drop_tables);
        Err(self.error(Failure::Unexpected, "not yet"))
    }

    fn error(&self, failure: Failure, reason: impl Into<String>) -> DestinationError {
        DestinationError::new(failure, self.id.clone(), reason)
    }
}

impl Destination for Postgres {
    type Page = Page;

    fn id(&self) -> DestinationId {
        self.id.clone()
    }

    fn keeps(&self) -> Keeps {
        Keeps::Rows
    }

    async fn cursors(
        &self,
        tenancies: Selection<'_, TenancyId>,
        mappings: Selection<'_, MappingName>,
    ) -> Result<Cursors, DestinationError> {
        let _ = (tenancies, mappings);
        Err(self.error(Failure::Unexpected, "not yet"))
    }

    fn open_page(&self, start: PageStart<'_>) -> Page {
        Page::new(self, start)
    }

    async fn advance(&self, cursors: &[CursorAt], window: WriteWindow) -> Result<(), DestinationError> {
        let _ = (cursors, window);
        Err(self.error(Failure::Unexpected, "not yet"))
    }
}
