//! Which tenancies are behind in which mapping: cursors from the destination, rows from the source.

use std::collections::BTreeMap;

use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::{ClickHouse, Selection};
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::{backlog, identifier, tenancy_table};
use lockstep_schema::SourceError;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::error::CliError;

/// Tenancies that are asked about in one statement.
const PAGE: usize = 5_000;

/// Tenancies with news not above a sequence, by mapping.
pub(crate) type Behind = BTreeMap<MappingName, Vec<TenancyId>>;

/// The tenancies of the source, or the one.
pub(crate) async fn tenancies(client: &Client, only: Option<TenancyId>) -> Result<Vec<TenancyId>, CliError> {
    let table = tenancy_table();
    let sql = format!(
        "SELECT t.\"id\" FROM {}.{} t WHERE $1::uuid IS NULL OR t.\"id\" = $1 ORDER BY t.\"id\"",
        identifier(&table.schema),
        identifier(&table.name)
    );
    let only_id = only.map(|tenancy| tenancy.as_uuid());
    let rows = client.query(&sql, &[&only_id]).await.map_err(SourceError::from)?;
    let found: Vec<_> = rows.iter().map(|row| TenancyId::new(row.get(0))).collect();
    match only {
        Some(tenancy) if found.is_empty() => Err(CliError::UnknownTenancy(tenancy)),
        _ => Ok(found),
    }
}

/// Which of the candidates are behind `up_to`, a mapping at a time. A mapping where none is has no entry.
pub(crate) async fn behind(
    client: &Client,
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
    candidates: &Behind,
    up_to: SequenceId,
) -> Result<Behind, CliError> {
    lagging(client, clickhouse, mappings, candidates, up_to, |_| true).await
}

/// Which of the candidates have any news, however high its number, and a cursor that has not passed `up_to`.
pub(crate) async fn not_past(
    client: &Client,
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
    candidates: &Behind,
    up_to: SequenceId,
) -> Result<Behind, CliError> {
    let any = SequenceId::new(i64::MAX);
    lagging(client, clickhouse, mappings, candidates, any, |cursor| cursor < up_to.get()).await
}

/// The candidates whose cursor `may_lag`, and that have news above it, up to that number.
async fn lagging(
    client: &Client,
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
    candidates: &Behind,
    up_to: SequenceId,
    may_lag: impl Fn(i64) -> bool,
) -> Result<Behind, CliError> {
    let mut behind = Behind::new();
    for mapping in mappings.iter() {
        let Some(tenancies) = candidates.get(&mapping.name) else { continue };
        let statement = client.prepare(&backlog::behind(mapping)).await.map_err(SourceError::from)?;
        for page in tenancies.chunks(PAGE) {
            let cursors = clickhouse_cursors(clickhouse, page, &mapping.name).await?;
            let asked = page.iter().map(TenancyId::as_uuid).zip(cursors).filter(|(_, cursor)| may_lag(*cursor));
            let (ids, cursors): (Vec<Uuid>, Vec<i64>) = asked.unzip();
            let rows = client.query(&statement, &[&ids, &cursors, &up_to.get()]).await.map_err(SourceError::from)?;
            if !rows.is_empty() {
                let found = rows.iter().map(|row| TenancyId::new(row.get(0)));
                behind.entry(mapping.name.clone()).or_default().extend(found);
            }
        }
    }
    Ok(behind)
}

async fn clickhouse_cursors(
    clickhouse: &ClickHouse,
    tenancies: &[TenancyId],
    mapping: &MappingName,
) -> Result<Vec<i64>, CliError> {
    use lockstep_destinations::Destination;
    let one = std::slice::from_ref(mapping);
    let cursors = clickhouse.cursors(Selection::These(tenancies), Selection::These(one)).await?;
    let of = |tenancy: &TenancyId| cursors.get(&(*tenancy, mapping.clone())).copied().unwrap_or(SequenceId::BASE).get();
    Ok(tenancies.iter().map(of).collect())
}
