//! A definition for each table of tenants.

use lockstep_core::settings::MappingSources;
use lockstep_mappings::postgres::tenancy_table;
use lockstep_mappings::{Draft, DraftError, MappingSet, SourceTable};
use lockstep_schema::attach::{ApplicationTable, application_tables};
use tokio_postgres::Client;

use super::tenants::{Tenants, shown, usual_column};
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
    let tables = application_tables(client, &tenants.referred()).await?;
    let usual = usual_column(&tables);
    let is_known =
        |of: &ApplicationTable| set.iter().any(|mapping| mapping.source == of.table) || of.table == tenancy_table();
    let (known, unknown): (Vec<_>, Vec<_>) = tables.into_iter().partition(is_known);
    report.known.extend(known.iter().map(|of| shown(&of.table)));
    if let Some(more) = unknown.len().checked_sub(MAX_TABLES).filter(|more| *more > 0) {
        let reason = "not looked at: run it again for more".to_owned();
        report.unmapped.push(UnmappedTable { table: format!("{more} more tables"), reason });
    }
    for of in unknown.into_iter().take(MAX_TABLES) {
        let table = &of.table;
        if of.is_partitioned {
            let reason = "it is partitioned, and rows of its partitions come and go past triggers".to_owned();
            report.unmapped.push(UnmappedTable { table: shown(table), reason });
            continue;
        }
        let tenant = request.tenant_column.as_deref().or_else(|| tenants.column(&of, usual.as_deref()));
        let is_guessed = request.tenant_column.is_none() && of.references.is_empty();
        let mut draft = draft_of(client, table, tenant, &taken).await;
        if is_guessed && has_no_tenant(&draft) {
            let by_usual_name = draft_of(client, table, None, &taken).await;
            draft = if has_no_tenant(&by_usual_name) { draft } else { by_usual_name };
        }
        match draft {
            Ok(draft) => {
                let left_out =
                    draft.left_out.into_iter().map(|left| format!("{}: {}", left.column, left.reason)).collect();
                taken.extend([format!("{}_truncated", draft.name), draft.name.clone()]);
                write(&mappings.join(format!("{}.toml", draft.name)), &draft.text, 0o644, request.force, report)?;
                report.suggested.push(SuggestedMapping { name: draft.name, table: shown(table), left_out });
            }
            Err(OperationError::NoDraft { why: DraftError::NoTenant(_), .. }) if tenants.are_to_be_named() => {
                let reason = "who the tenants are is not known yet: name their table with --tenants-table".to_owned();
                report.unmapped.push(UnmappedTable { table: shown(table), reason });
            }
            Err(OperationError::NoDraft { why, .. }) => {
                report.unmapped.push(UnmappedTable { table: shown(table), reason: why.to_string() });
            }
            Err(OperationError::NoSuchTable { why, .. }) => {
                report.unmapped.push(UnmappedTable { table: shown(table), reason: why });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The column by which `lockstep init` would tell a table's tenants.
pub(crate) async fn tenant_column(client: &Client, table: &SourceTable) -> Result<Option<String>, OperationError> {
    let tenants = Tenants::find(client, None).await?;
    let tables = application_tables(client, &tenants.referred()).await?;
    let usual = usual_column(&tables);
    let of = tables.iter().find(|of| of.table == *table);
    Ok(of.and_then(|of| tenants.column(of, usual.as_deref())).map(str::to_owned))
}

fn has_no_tenant(draft: &Result<Draft, OperationError>) -> bool {
    use DraftError::{NoTenant, OtherType};
    matches!(draft, Err(OperationError::NoDraft { why: NoTenant(_) | OtherType { .. }, .. }))
}
