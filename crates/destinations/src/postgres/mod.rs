//! Tenants' own Postgres: pages in one transaction each, fills, cursors, and what their tables look like.
//!
//! A database holds the rows of one tenancy, and forgets the ones that are gone. So cursors are compared: what is written
//! was read above exactly the cursor that the database still has, in the transaction that writes it (IDEM-1, CUR-1, DEL-1).
//! Whoever owns such a database is a stranger: where it may be is settled by [`Network`], and what it says is bounded in time
//! and bytes, and repeated nowhere.
//!
//! A tenant's triggers are run with our `search_path`, which is `pg_catalog` alone: as with logical replication, functions of
//! triggers name schemas, or set a path of their own.

mod address;
mod clear;
mod compare;
mod connection;
mod connection_string;
mod cursors;
mod examine;
mod failure;
mod fill;
mod gathered;
mod limited;
mod network;
mod page;
mod reach;
mod session;
mod states;
mod tables;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use lockstep_core::{DestinationId, MappingName, SequenceId, TenancyId};
use lockstep_mappings::Mapping;

pub use self::connection::Timeouts;
pub use self::connection_string::{ConnectionError, ConnectionString};
pub use self::examine::Finding;
pub use self::fill::{FillPage, FillPosition};
pub use self::network::Network;
pub use self::page::Page;
pub use self::reach::reach;
use self::session::Slot;
pub use self::states::MappingState;
pub use self::tables::Prepared;
use crate::destination::{CursorAt, Cursors, Destination, Keeps, PageStart, Selection};
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

/// A tenant's own Postgres. Clones share one connection, which is opened when it is needed.
#[derive(Clone, Debug)]
pub struct Postgres {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: DestinationId,
    tenancy: TenancyId,
    connection: ConnectionString,
    network: Arc<Network>,
    timeouts: Timeouts,
    /// Whoever holds it talks to the server; the others wait.
    slot: tokio::sync::Mutex<Slot>,
}

impl Postgres {
    /// The database of one tenancy. Connects to nothing yet.
    pub fn new(id: DestinationId, tenancy: TenancyId, connection: ConnectionString, network: Arc<Network>) -> Self {
        Self::with_timeouts(id, tenancy, connection, network, Timeouts::default())
    }

    /// As [`Postgres::new`], with other limits of time.
    pub fn with_timeouts(
        id: DestinationId,
        tenancy: TenancyId,
        connection: ConnectionString,
        network: Arc<Network>,
        timeouts: Timeouts,
    ) -> Self {
        let slot = tokio::sync::Mutex::default();
        Self { inner: Arc::new(Inner { id, tenancy, connection, network, timeouts, slot }) }
    }

    /// Whose rows it holds.
    pub fn tenancy(&self) -> TenancyId {
        self.inner.tenancy
    }

    /// Where each of these mappings stands, in one round trip. Creates our two tables and the view where they are missing.
    ///
    /// # Errors
    /// When the database cannot be asked, and [`Failure::Misconfigured`] where it holds the rows of another tenancy.
    pub async fn states(
        &self,
        mappings: &[MappingName],
    ) -> Result<HashMap<MappingName, MappingState>, DestinationError> {
        states::read(self, mappings).await
    }

    /// As [`Postgres::states`], for whoever reads only: nothing is created.
    ///
    /// # Errors
    /// As [`Postgres::states`].
    pub async fn found_states(
        &self,
        mappings: &[MappingName],
    ) -> Result<HashMap<MappingName, MappingState>, DestinationError> {
        states::found(self, mappings).await
    }

    /// Whether the table of each of these mappings is as it has to be, in one round trip.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn fit(&self, mappings: &[&Mapping]) -> Result<Vec<bool>, DestinationError> {
        tables::fit(self, mappings).await
    }

    /// Makes the mapping's table fit: creates it, or adds columns that the definition gained. After that its rows have to be
    /// read again, which [`Postgres::states`] says as well.
    ///
    /// # Errors
    /// When the database cannot be asked, or refuses. A table that does not fit is no error.
    pub async fn prepare(&self, mapping: &Mapping) -> Result<Prepared, DestinationError> {
        tables::prepare(self, mapping).await
    }

    /// Begins a fill of the mapping with its first row, whatever fill is under way: no page of that one is written any more.
    /// `version` is a number of the source that was
    /// drawn before the first row is read; the fill ends with it as the cursor, or with the one before it where the mapping's
    /// cursor is exactly that number.
    ///
    /// # Errors
    /// When the database cannot be asked, or has no table for the mapping.
    pub async fn begin_fill(&self, mapping: &Mapping, version: SequenceId) -> Result<FillPosition, DestinationError> {
        fill::begin(self, mapping, version).await
    }

    /// A page of a fill, read in the order of the keys behind `from`. Ending it moves the fill, and at its end the cursor.
    pub fn open_fill_page(&self, start: PageStart<'_>, from: &FillPosition) -> FillPage {
        FillPage::new(self, start, from)
    }

    /// Closes the connection if it was not used for so long. Returns whether it is closed now.
    pub fn close_idle(&self, idle: Duration) -> bool {
        self.inner.slot.try_lock().is_ok_and(|mut slot| slot.close_idle(idle))
    }

    /// What `lockstep destination test` says: each thing that was checked, in words, and whether it is well.
    pub async fn examine(&self, mappings: &[&Mapping]) -> Vec<Finding> {
        examine::all(self, mappings).await
    }

    /// Deletes all rows of these mappings and their cursors, and with `drop_tables` the tables and ours as well. Returns how
    /// many rows there were of each. A table of another shape is left alone.
    ///
    /// # Errors
    /// When the database cannot be asked, or refuses. Doing it again goes on.
    pub async fn clear(
        &self,
        mappings: &[&Mapping],
        drop_tables: bool,
    ) -> Result<BTreeMap<MappingName, u64>, DestinationError> {
        clear::all(self, mappings, drop_tables).await
    }

    fn error(&self, failure: Failure, reason: impl Into<String>) -> DestinationError {
        DestinationError::new(failure, self.inner.id.clone(), reason)
    }
}

impl Destination for Postgres {
    type Page = Page;

    fn id(&self) -> DestinationId {
        self.inner.id.clone()
    }

    fn keeps(&self) -> Keeps {
        Keeps::Rows
    }

    /// Those of mappings that stream: one that is being filled has none to read above.
    async fn cursors(
        &self,
        tenancies: Selection<'_, TenancyId>,
        mappings: Selection<'_, MappingName>,
    ) -> Result<Cursors, DestinationError> {
        cursors::read(self, tenancies, mappings).await
    }

    fn open_page(&self, start: PageStart<'_>) -> Page {
        Page::new(self, start)
    }

    /// Of mappings that stream; [`Failure::Moved`] where one does not, and then none is moved.
    async fn advance(&self, cursors: &[CursorAt], window: WriteWindow) -> Result<(), DestinationError> {
        cursors::advance(self, cursors, window).await
    }

    async fn check_version(&self) -> Result<(), DestinationError> {
        examine::check_version(self).await
    }
}
