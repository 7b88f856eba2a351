//! A connection beside that of the flush, which is opened when it is needed and used again.

use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::Client;

/// One connection to one database. It is taken out while it is in use, so that it is used again only where everything went
/// well.
pub(crate) struct Kept {
    source: Source,
    client: Option<Client>,
}

impl Kept {
    pub(crate) const fn new(source: Source) -> Self {
        Self { source, client: None }
    }

    /// The connection, a new one where there is none that can be used.
    ///
    /// # Errors
    /// When Postgres cannot be reached.
    pub(crate) async fn take(&mut self) -> Result<Client, SourceError> {
        match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => Ok(client),
            None => self.source.connect(Session::Control).await,
        }
    }

    /// Nothing is outstanding on it.
    pub(crate) fn put_back(&mut self, client: Client) {
        self.client = Some(client);
    }
}
