//! One row's whole story: what the source has of a key, what of it waits, its changes, what each destination holds, and what
//! follows.
//!
//! A look reads the destinations' cursors, then the source in one snapshot, then what the destinations hold: [`judge`] argues
//! from that order. What is to be called wrong is looked at again.

mod held;
mod judge;
mod key;
mod latest;
mod look;
mod own;
mod owners;
mod placed;
mod report;
mod sentences;
mod source;

use std::collections::BTreeSet;

use lockstep_core::TenancyId;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::tenancy_table;
use lockstep_schema::row_security;

use self::judge::is_strangers;
pub use self::key::KeyProblem;
pub use self::latest::{ChangedRow, latest_changes};
use self::look::story;
use self::owners::Owners;
use self::placed::reach;
pub use self::report::{
    BreakerState, Change, Changes, DestinationFacts, DestinationStory, Difference, ExplainReport, Fill, FillState,
    HeldRow, Holds, Judgement, Place, Refused, SourceRow, SourceState, TenancyFacts, TenancyStory, Verdict, Waiting,
};
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::shown;

/// Which row.
#[derive(Clone, Debug)]
pub struct ExplainRequest {
    /// Of which mapping.
    pub mapping: String,
    /// Its key, as an operator writes it.
    pub key: String,
    /// Whose; that of all who have or had it, where it is not given.
    pub tenancy: Option<TenancyId>,
}

/// Tells the story of a row. Nothing is written anywhere.
///
/// # Errors
/// When there is no such mapping, key or tenancy, or Postgres cannot be asked. A destination that cannot be asked is part of the
/// report.
pub async fn explain(deployment: &Deployment<'_>, request: &ExplainRequest) -> Result<ExplainReport, OperationError> {
    let mapping = deployment.mapping(&request.mapping)?;
    let key = key::parse(mapping, &request.key).map_err(|why| OperationError::NoKey {
        mapping: mapping.name.to_string(),
        why,
        syntax: key::syntax(mapping),
    })?;
    refuse_row_security(deployment, mapping).await?;
    let reached = reach(deployment).await;
    let owners = match request.tenancy {
        Some(tenancy) => Owners::named(deployment, tenancy).await?,
        None => Owners::found(deployment, mapping, &key, &reached).await?,
    };
    let mut tenancies = Vec::with_capacity(owners.tenancies.len());
    for tenancy in owners.tenancies {
        tenancies.push(story(deployment, mapping, &key, tenancy, &reached).await?);
    }
    // Others live where somebody has the key.
    if tenancies.iter().any(|tenancy| !is_strangers(tenancy)) {
        tenancies.retain(|tenancy| !is_strangers(tenancy));
    }
    Ok(ExplainReport {
        mapping: mapping.name.to_string(),
        key: shown::key(mapping, &key),
        judgement: judge::of_all(&tenancies, owners.not_searched.as_deref()),
        cut: owners.cut,
        not_searched: owners.not_searched,
        tenancies,
    })
}

/// Policies would hide rows, and what is hidden would be called absent.
async fn refuse_row_security(deployment: &Deployment<'_>, mapping: &Mapping) -> Result<(), OperationError> {
    let tenancies = tenancy_table();
    let joined = mapping.joins.iter().map(|join| &join.table);
    let tables: BTreeSet<_> = joined.chain([&mapping.source, &tenancies]).collect();
    Ok(row_security::refuse(&deployment.client, &tables.into_iter().collect::<Vec<_>>()).await?)
}
