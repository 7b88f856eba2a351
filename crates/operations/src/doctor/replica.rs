//! Whether workers can read from the replica that the settings name.

use std::collections::BTreeSet;

use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::fetch::{self, PageLimits};
use lockstep_schema::{Session, Source, SourceError, SqlStateKind, replica, row_security};
use tokio::time::timeout;
use tokio_postgres::Client;

use super::{BYPASS, Check, PROBE_TIMEOUT, tables_needed, too_late};

const CHECK: &str = "read replica";
/// Lockstep's own tables that a worker reads there before it reads a page, which reads the others.
const OWN: &str =
    "EXPLAIN SELECT FROM lockstep.pass, lockstep.setting, lockstep.quarantine, lockstep.definition, lockstep.fill";

/// Nothing is told where none is named, nor where the source does not answer: that is told already.
pub(super) async fn look(source: &Source, (settings, mappings): (&Settings, &MappingSet)) -> Option<Check> {
    let url = settings.source_read_url.as_ref()?;
    let source = source.connect(Session::Control).await.ok()?;
    let there = Settings { source_url: url.clone(), ..settings.clone() };
    Some(match timeout(PROBE_TIMEOUT, examine(&source, &there, mappings)).await {
        Err(_) => too_late(CHECK),
        Ok(Ok(forbidden)) if forbidden.is_empty() => Check::ok(CHECK, "workers can read there what they ship"),
        Ok(Ok(forbidden)) => {
            let said = forbidden.into_iter().collect::<Vec<_>>().join("; ");
            let remedy = "at the source, grant the role of LOCKSTEP_SOURCE_READ_URL SELECT on mapped tables and those of schema \
                          lockstep, and USAGE on their schemas";
            Check::finding(CHECK, said, remedy)
        }
        Ok(Err(error @ SourceError::RowSecurity(_))) => Check::finding(CHECK, error.to_string(), BYPASS),
        Ok(Err(error @ SourceError::NotAReplica)) => Check::finding(
            CHECK,
            error.to_string(),
            format!("correct or unset LOCKSTEP_SOURCE_READ_URL, which is {url}"),
        ),
        Ok(Err(error)) if error.is_configuration() => Check::failed(CHECK, &error, settings),
        Ok(Err(error)) => {
            let remedy = format!("start the replica at {url}, or correct or unset LOCKSTEP_SOURCE_READ_URL");
            Check::unknown(CHECK, error.to_string(), remedy)
        }
    })
}

/// What Postgres says that the role may not read there.
async fn examine(source: &Client, there: &Settings, mappings: &MappingSet) -> Result<BTreeSet<String>, SourceError> {
    let client = Source::of(there)?.connect(Session::Control).await?;
    replica::refuse_other(&client, source).await?;
    let tables = tables_needed(mappings);
    row_security::refuse(&client, &tables.iter().collect::<Vec<_>>()).await?;
    let mut forbidden = BTreeSet::new();
    forbidden.extend(refused(client.batch_execute(OWN).await)?);
    for mapping in mappings.iter() {
        // A page of no tenancy: whether it may be read is asked, and nothing is.
        let page = fetch::page(mapping, &[], PageLimits { tenancy_rows: 1, total_rows: 1 });
        forbidden.extend(refused(client.copy_out(&page).await.map(drop))?);
    }
    Ok(forbidden)
}

/// What a statement was refused with for want of a right. That a table is not there or does not fit is told of the source.
fn refused(read: Result<(), tokio_postgres::Error>) -> Result<Option<String>, SourceError> {
    let Err(error) = read.map_err(SourceError::from) else { return Ok(None) };
    match error.kind() {
        Some(SqlStateKind::Forbidden) => Ok(Some(error.to_string())),
        Some(kind) if kind.is_of_statement() && !kind.is_passing() => Ok(None),
        _ => Err(error),
    }
}
