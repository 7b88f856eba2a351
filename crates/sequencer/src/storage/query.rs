//! A statement that is prepared when it is first used on a connection, and never again.

use lockstep_schema::SourceError;
use tokio::sync::OnceCell;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

/// One statement of one connection.
pub(crate) struct Query {
    sql: String,
    prepared: OnceCell<Statement>,
}

impl Query {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), prepared: OnceCell::new() }
    }

    /// All rows.
    pub(crate) async fn rows(
        &self,
        client: &Client,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, SourceError> {
        let statement = self.prepared.get_or_try_init(|| client.prepare(&self.sql)).await?;
        Ok(client.query(statement, parameters).await?)
    }

    /// The one row.
    pub(crate) async fn row(&self, client: &Client, parameters: &[&(dyn ToSql + Sync)]) -> Result<Row, SourceError> {
        let statement = self.prepared.get_or_try_init(|| client.prepare(&self.sql)).await?;
        Ok(client.query_one(statement, parameters).await?)
    }

    /// How many rows it changed.
    pub(crate) async fn execute(
        &self,
        client: &Client,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, SourceError> {
        let statement = self.prepared.get_or_try_init(|| client.prepare(&self.sql)).await?;
        Ok(client.execute(statement, parameters).await?)
    }
}
