//! A definition for each table of tenants.

use lockstep_core::settings::MappingSources;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::tenancy_table;
use lockstep_schema::attach::tables_with_tenants;
use tokio_postgres::Client;

use super::tenants::{Tenants, shown};
use super::{InitReport, InitRequest, MAX_TABLES, SuggestedMapping, UnmappedTable, make_directory, write};
use crate::error::OperationError;
use crate::mapping::{draft_of, taken};

/// Writes a definition for each table that has none.
pub(super) async fn suggest(
    client: &Client,
    request: &InitRequest,
    (tenants, sources): (&Tenants, &MappingSources),
    report: &mut InitReport,
) -> Result<(), OperationError> {
    let Some(mappings) = &sources.directory else { return Ok(()) };
    make_directory(mappings, 0o755)?;
    let set = MappingSet::load_right(sources, None).0;
    let mut taken = taken(&set);
    let tables = tables_with_tenants(client, &tenants.referred()).await?;
    for (table, references) in tables.into_iter().take(MAX_TABLES) {
        let is_known = set.iter().any(|mapping| mapping.source == table);
        if is_known || table == tenancy_table() {
            report.known.push(shown(&table));
            continue;
        }
        let tenant = request.tenant_column.as_deref().or_else(|| tenants.column(&table, &references));
        match draft_of(client, &table, tenant, &taken).await {
            Ok(draft) => {
                let left_out =
                    draft.left_out.into_iter().map(|left| format!("{}: {}", left.column, left.reason)).collect();
                taken.extend([format!("{}_truncated", draft.name), draft.name.clone()]);
                write(&mappings.join(format!("{}.toml", draft.name)), &draft.text, 0o644, request.force, report)?;
                report.suggested.push(SuggestedMapping { name: draft.name, table: shown(&table), left_out });
            }
            Err(OperationError::NoDraft { why, .. }) => {
                report.unmapped.push(UnmappedTable { table: shown(&table), reason: why.to_string() });
            }
            Err(OperationError::NoSuchTable { why, .. }) => {
                report.unmapped.push(UnmappedTable { table: shown(&table), reason: why });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
