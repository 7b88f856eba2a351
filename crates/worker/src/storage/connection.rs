//! A connection beside that of the flush, which is opened when it is needed and used again.

use std::time::Duration;

use lockstep_schema::{Session, Source, SourceError};
use tokio::time::timeout;
use tokio_postgres::Client;

/// One connection to one database.
pub(crate) struct SideConnection {
    source: Source,
    client: Option<Client>,
    /// Whether it stays open for the next question.
    is_kept: bool,
}

impl SideConnection {
    pub(crate) const fn new(source: Source) -> Self {
        Self { source, client: None, is_kept: true }
    }

    /// For questions that are rare, of many who ask.
    pub(crate) const fn closing(source: Source) -> Self {
        Self { source, client: None, is_kept: false }
    }

    /// Asks a question over it, a new one where there is none that can be used. It is used again only where everything went
    /// well.
    ///
    /// # Errors
    /// When Postgres cannot be reached, does not answer within the time, or with what the question fails.
    pub(crate) async fn ask<T>(
        &mut self,
        within: Duration,
        question: impl AsyncFnOnce(&Client) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let open = self.client.take().filter(|client| !client.is_closed());
        let asking = async {
            let client = match open {
                Some(client) => client,
                None => self.source.connect(Session::Control).await?,
            };
            let answer = question(&client).await?;
            Ok((client, answer))
        };
        let (client, answer) = timeout(within, asking).await.unwrap_or(Err(SourceError::Timeout(within)))?;
        self.client = Some(client).filter(|_| self.is_kept);
        Ok(answer)
    }
}
