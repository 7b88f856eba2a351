//! How many rows are in quarantine, and forgetting them (`lockstep.quarantine`). Their keys are read by statements that are
//! derived from their mapping.
//!
//! Each question fails where Postgres cannot be asked.

use diesel::dsl::{exists, select};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;
use lockstep_core::{DestinationId, MappingName, TenancyId};

use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::quarantine;

/// Which entries are meant.
#[derive(Clone, Default, Debug)]
pub struct QuarantineScope {
    /// Those of one mapping; of all, where it is not given.
    pub mapping: Option<MappingName>,
    /// Those of one tenancy; of all, where it is not given.
    pub tenancy: Option<TenancyId>,
    /// Those of one destination; of all, where it is not given.
    pub destination: Option<DestinationId>,
    /// Those with one error code; with any, where it is not given.
    pub code: Option<String>,
}

type Entries<'a> = Box<dyn BoxableExpression<quarantine::table, Pg, SqlType = Bool> + 'a>;

impl QuarantineScope {
    fn entries(&self) -> Entries<'_> {
        let mut entries: Entries<'_> = Box::new(true.into_sql::<Bool>());
        if let Some(mapping) = &self.mapping {
            entries = Box::new(entries.and(quarantine::mapping_name.eq(mapping.as_str())));
        }
        if let Some(tenancy) = self.tenancy {
            entries = Box::new(entries.and(quarantine::tenancy_id.eq(tenancy.as_uuid())));
        }
        if let Some(destination) = &self.destination {
            entries = Box::new(entries.and(quarantine::destination.eq(destination.as_str())));
        }
        if let Some(code) = &self.code {
            entries = Box::new(entries.and(quarantine::code.eq(code.as_str())));
        }
        entries
    }
}

/// Destinations and mappings of which rows are in quarantine, in order.
pub async fn places(control: &Control, scope: &QuarantineScope) -> Result<Vec<(String, String)>, SourceError> {
    let places = (quarantine::destination, quarantine::mapping_name);
    let rows = quarantine::table.filter(scope.entries()).select(places).distinct().order(places);
    Ok(rows.load(&mut &*control).await?)
}

/// How many rows are in quarantine.
pub async fn count(control: &Control, scope: &QuarantineScope) -> Result<i64, SourceError> {
    Ok(quarantine::table.filter(scope.entries()).count().get_result(&mut &*control).await?)
}

/// Forgets rows; returns how many.
pub async fn forget(control: &Control, scope: &QuarantineScope) -> Result<usize, SourceError> {
    Ok(diesel::delete(quarantine::table.filter(scope.entries())).execute(&mut &*control).await?)
}

/// Whether a destination has refused a row of these mappings and tenancies.
pub async fn are_refused(
    control: &Control,
    by: &DestinationId,
    mappings: &[&str],
    tenancies: &[TenancyId],
) -> Result<bool, SourceError> {
    let rows = quarantine::table
        .filter(quarantine::destination.eq(by.as_str()))
        .filter(quarantine::mapping_name.eq_any(mappings.iter().copied()))
        .filter(quarantine::tenancy_id.eq_any(tenancies.iter().map(TenancyId::as_uuid)));
    Ok(select(exists(rows)).get_result(&mut &*control).await?)
}
