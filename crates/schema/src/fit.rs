//! Whether a mapping fits its table, by Postgres's own word.

use std::time::Duration;

use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::fetch::plain_select;
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::error::SourceError;
use crate::sqlstate::SqlStateKind;

/// Planning waits for locks of whoever alters the table.
const PLAN_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether what a mapping reads can be read at all: planning looks at columns, types, labels and constants, and at no row. A
/// label that was renamed fails with the code of a value, too.
///
/// # Errors
/// When the server does not answer. In a transaction, an answer of `false` has ended it.
pub async fn fits_its_table(client: &Client, mapping: &Mapping) -> Result<bool, SourceError> {
    let explain = format!("EXPLAIN {}", plain_select(mapping));
    let explained = timeout(PLAN_TIMEOUT, client.batch_execute(&explain)).await;
    match explained.map_err(|_| SourceError::Timeout(PLAN_TIMEOUT))? {
        Ok(()) => Ok(true),
        Err(error) => match error.code() {
            Some(state) if !SqlStateKind::of(state.code()).is_passing() => Ok(false),
            _ => Err(error.into()),
        },
    }
}
