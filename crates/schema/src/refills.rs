//! Mappings that are to be filled again as soon as they fit their tables (`lockstep.refill`).
//!
//! Each question fails where Postgres cannot be asked.

use std::collections::BTreeMap;

use diesel::dsl::{exists, not, select};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use lockstep_core::DestinationId;
use lockstep_mappings::{Mapping, SourceTable};

use crate::attach::{note_shape, note_tenancies};
use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::{destination, fill, refill};
use crate::{fills, pauses};

/// Mappings that are to be filled again, each with the reason.
pub async fn wanted(control: &Control) -> Result<BTreeMap<String, String>, SourceError> {
    let rows: Vec<(String, String)> =
        refill::table.select((refill::mapping_name, refill::reason)).load(&mut &*control).await?;
    Ok(rows.into_iter().collect())
}

/// Has mappings filled again, each for a reason.
pub async fn want(control: &Control, mappings: &[(&Mapping, &str)]) -> Result<(), SourceError> {
    if mappings.is_empty() {
        return Ok(());
    }
    let rows = mappings
        .iter()
        .map(|(mapping, reason)| (refill::mapping_name.eq(mapping.name.as_str()), refill::reason.eq(*reason)))
        .collect::<Vec<_>>();
    diesel::insert_into(refill::table).values(rows).on_conflict_do_nothing().execute(&mut &*control).await?;
    Ok(())
}

/// Whether a destination lost changes that it had not passed, and no fill of it has begun since.
pub async fn is_due(control: &Control, of: &DestinationId) -> Result<bool, SourceError> {
    let begun = fill::table
        .filter(fill::destination.eq(of.as_str()))
        .filter(fill::started_at.nullable().gt(destination::needs_refill_since));
    let lost = destination::table.find(of.as_str()).filter(destination::needs_refill_since.is_not_null());
    Ok(select(exists(lost.filter(not(exists(begun))))).get_result(&mut &*control).await?)
}

/// Begins to fill a mapping again, notes the shapes of its tables (each with whether it is relaxed), and resumes it if it was
/// paused automatically, in one transaction.
pub async fn begin(
    control: &mut Control,
    mapping: &Mapping,
    to: &DestinationId,
    reason: &str,
    shapes: &[(&SourceTable, String, bool)],
) -> Result<(), SourceError> {
    // A row is shown only where its tenancy is known to be.
    let mut statements = vec![note_tenancies()];
    statements.extend(fills::begin(mapping, to, reason));
    statements.push(fills::ask_tenants(mapping));
    statements.extend(shapes.iter().map(|(table, shape, relaxed)| note_shape(table, shape, *relaxed)));
    let begun = control.transaction(async |control| {
        control.batch_execute(&statements.join(";\n")).await?;
        diesel::delete(refill::table.find(mapping.name.as_str())).execute(control).await?;
        pauses::resume_automatically(control, &mapping.name).await
    });
    begun.await
}
