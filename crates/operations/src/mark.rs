//! Having rows looked at and shipped anew, by key.

use lockstep_core::TenancyId;
use lockstep_mappings::postgres::inbox::inbox_of;
use lockstep_mappings::postgres::mark;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::deployment::Deployment;
use crate::error::OperationError;

/// Rows that are written into the inbox by one transaction.
const ROWS_AT_A_TIME: usize = 5_000;

/// A row that is to be shipped anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MarkedRow {
    /// Whose it is, or at whose place it is.
    pub tenancy: TenancyId,
    /// The values of the key's columns, in order, as text.
    pub key: Vec<String>,
}

/// Has rows of a mapping numbered and shipped anew to every destination: what the source has of them by then, or a tombstone.
///
/// # Errors
/// When there is no such mapping, or Postgres refuses it; rows of earlier transactions stay marked.
pub async fn mark(deployment: &mut Deployment<'_>, mapping: &str, rows: &[MarkedRow]) -> Result<(), OperationError> {
    let mapping = deployment.mapping(mapping)?.clone();
    for some in rows.chunks(ROWS_AT_A_TIME) {
        let tenancies: Vec<Uuid> = some.iter().map(|row| row.tenancy.as_uuid()).collect();
        let lists: Vec<Vec<&str>> = (0..mapping.key.len())
            .map(|column| some.iter().map(|row| row.key.get(column).map_or("", String::as_str)).collect())
            .collect();
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&tenancies];
        parameters.extend(lists.iter().map(|list| list as &(dyn ToSql + Sync)));
        let transaction = deployment.client.transaction().await?;
        let xid: i64 = transaction.query_one("SELECT txid_current()", &[]).await?.get(0);
        transaction.execute(&mark::mark(&mapping, inbox_of(xid)), &parameters).await?;
        transaction.commit().await?;
    }
    Ok(())
}
