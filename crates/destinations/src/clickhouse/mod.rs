//! ClickHouse over HTTP: statements, streams, inserts, cursors, and what its tables look like.

mod access;
mod client;
mod compare;
mod connection;
mod cursors;
mod erase;
mod exception;
mod failure;
mod in_time;
mod insert;
mod marks;
mod page;
mod pinned;
mod provision;
mod quorum;
mod reader;
mod rights;
mod servers;
mod shape;
mod stream;
mod swap;
mod tables;
mod totals;
mod version;

use lockstep_core::{DestinationId, MappingName, TenancyId};

pub use self::access::AccessState;
pub use self::client::{ClickHouse, MAX_TEXT_BYTES, Timeouts};
pub use self::insert::{Insert, ONE_PART_BYTES, ONE_PART_ROWS};
pub use self::page::Page;
pub use self::shape::{Difference, TableShape, differences};
use crate::destination::{CursorAt, Cursors, Destination, Keeps, PageStart, Selection, ServerStart};
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

impl Destination for ClickHouse {
    type Page = Page;

    fn id(&self) -> DestinationId {
        DestinationId::clickhouse()
    }

    fn keeps(&self) -> Keeps {
        Keeps::Versions
    }

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

    async fn advance(&self, cursors: &[CursorAt], window: WriteWindow) -> Result<(), DestinationError> {
        cursors::advance(&self.clone().within(window), cursors).await
    }

    async fn check_version(&self) -> Result<(), DestinationError> {
        version::check(self).await
    }

    async fn ping(&self) -> Result<(), DestinationError> {
        Self::ping(self).await
    }

    async fn servers(&self) -> Result<Vec<ServerStart>, DestinationError> {
        servers::read(self).await
    }

    async fn unmerged(&self) -> Result<u64, DestinationError> {
        page::most_active_parts(self).await
    }
}

fn error(failure: Failure, reason: impl Into<String>) -> DestinationError {
    DestinationError::new(failure, DestinationId::clickhouse(), reason)
}
