//! A statement that is prepared when it is first used on a connection, and never again.

use tokio::sync::OnceCell;
use tokio_postgres::{Client, Error, Statement};

/// One statement of one connection.
pub(crate) struct Query {
    sql: String,
    prepared: OnceCell<Statement>,
}

impl Query {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), prepared: OnceCell::new() }
    }

    /// The statement, as this connection knows it.
    pub(crate) async fn on(&self, client: &Client) -> Result<&Statement, Error> {
        self.prepared.get_or_try_init(|| client.prepare(&self.sql)).await
    }
}
