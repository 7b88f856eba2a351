//! A definition for each table of tenants.

use std::collections::BTreeSet;
use std::path::Path;

use lockstep_core::settings::MappingSources;
use lockstep_mappings::postgres::tenancy_table;
use lockstep_mappings::{Draft, DraftError, Mapping, MappingSet, SourceTable, Tenant};
use lockstep_schema::attach::{ApplicationTable, application_tables, is_of_others};
use tokio_postgres::Client;

use super::tenants::{Tenants, shown, usual_column};
use super::{
    FileConflict, InitReport, InitRequest, MAPPINGS, MAX_TABLES, SuggestedMapping, Target, UnmappedTable,
    make_directory, write,
};
use crate::error::OperationError;
use crate::mapping::{draft_of, names_of, taken};

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
    let mut drafting = Drafting { client, request, tenants, usual: None, taken: taken(&set) };
    let tables = application_tables(client, &tenants.referred()).await?;
    drafting.usual = usual_column(&tables);
    let is_known =
        |of: &ApplicationTable| set.iter().any(|mapping| mapping.source == of.table) || of.table == tenancy_table();
    let (known, unknown): (Vec<_>, Vec<_>) = tables.into_iter().partition(is_known);
    report.known.extend(known.iter().map(|of| shown(&of.table)));
    for mapping in set.iter().filter(|mapping| Path::new(&mapping.file).starts_with(mappings)) {
        if let Some(of) = known.iter().find(|of| of.table == mapping.source) {
            drafting.of_other_tenants(mapping, of, report).await?;
        }
    }
    if let Some(more) = unknown.len().checked_sub(MAX_TABLES).filter(|more| *more > 0) {
        let reason = "not looked at: run it again for more".to_owned();
        report.unmapped.push(UnmappedTable { table: format!("{more} more tables"), reason });
    }
    for of in unknown.iter().take(MAX_TABLES) {
        drafting.of_table(of, report).await?;
    }
    Ok(())
}

/// What definitions are written of.
struct Drafting<'a> {
    client: &'a Client,
    request: &'a InitRequest,
    tenants: &'a Tenants,
    /// What most columns are called that refer to the tenants.
    usual: Option<String>,
    /// Names that no further mapping can have.
    taken: BTreeSet<String>,
}

impl Drafting<'_> {
    /// The column that was said to tell a table's tenants, or is known to.
    fn column<'a>(&'a self, of: &'a ApplicationTable) -> Option<&'a str> {
        let said = self.request.tenant_column.as_deref();
        said.or_else(|| self.tenants.column(of, self.usual.as_deref()))
    }

    /// A definition that is there: it may tell the tenants by another column than was said, or by one that is of other tenants' rows.
    async fn of_other_tenants(
        &self,
        mapping: &Mapping,
        of: &ApplicationTable,
        report: &mut InitReport,
    ) -> Result<(), OperationError> {
        let InitRequest { tenants_table, tenant_column, .. } = self.request;
        let (column, tenants) = (self.column(of).unwrap_or_default(), self.tenants.referred());
        let (by, is_wrong) = match &mapping.tenant {
            Tenant::Column(by) if by == column || (tenant_column.is_none() && of.references.contains(by)) => {
                return Ok(());
            }
            Tenant::Column(by) => (by.clone(), is_of_others(self.client, (&of.table, by), &tenants).await?),
            Tenant::ProjectAndBranch { project, branch } => (format!("{project} and {branch}"), false),
        };
        if !is_wrong && tenants_table.is_none() && tenant_column.is_none() {
            return Ok(());
        }
        let told = format!("it tells the tenants of {} by {by}", shown(&of.table));
        let others = self.taken.iter().filter(|name| !names_of(mapping).contains(name)).cloned().collect();
        match draft_of(self.client, &of.table, Some(column), &others).await {
            Ok(draft) => {
                let problem = format!("{told}, not by {column}");
                write(&Target::there(self.request, &mapping.file), &draft.text, |_| Some(problem), report)?;
            }
            // The column is none of this table's, or of another type, so nothing can be written in its place.
            Err(_) if is_wrong => report.conflicts.push(FileConflict {
                file: mapping.file.clone().into(),
                problem: format!("{told}, which is of no row of {}", shown(&tenants)),
                remedy: "remove it, or correct whose its rows are",
            }),
            Err(_) => {}
        }
        Ok(())
    }

    /// A table that no mapping reads.
    async fn of_table(&mut self, of: &ApplicationTable, report: &mut InitReport) -> Result<(), OperationError> {
        let table = &of.table;
        if of.is_partitioned {
            let reason = "it is partitioned, and rows of its partitions come and go past triggers".to_owned();
            report.unmapped.push(UnmappedTable { table: shown(table), reason });
            return Ok(());
        }
        match self.draft(of).await {
            Ok(draft) => {
                let left_out =
                    draft.left_out.into_iter().map(|left| format!("{}: {}", left.column, left.reason)).collect();
                self.taken.extend([format!("{}_truncated", draft.name), draft.name.clone()]);
                let is_other = |there: &str| {
                    (there != draft.text)
                        .then(|| format!("it is no definition of {}, or one that is wrong", shown(table)))
                };
                let file = Path::new(MAPPINGS).join(format!("{}.toml", draft.name));
                write(&Target::of(self.request, file), &draft.text, is_other, report)?;
                report.suggested.push(SuggestedMapping { name: draft.name, table: shown(table), left_out });
            }
            Err(OperationError::NoDraft { why: DraftError::NoTenant(_), .. }) if self.tenants.are_to_be_named() => {
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
        Ok(())
    }

    async fn draft(&self, of: &ApplicationTable) -> Result<Draft, OperationError> {
        let is_guessed = self.request.tenant_column.is_none() && of.references.is_empty();
        let draft = draft_of(self.client, &of.table, self.column(of), &self.taken).await;
        if is_guessed && has_no_tenant(&draft) {
            let by_usual_name = draft_of(self.client, &of.table, None, &self.taken).await;
            return if has_no_tenant(&by_usual_name) { draft } else { by_usual_name };
        }
        draft
    }
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
