//! Where tenancies are and were (`lockstep.tenancy_location`).
//!
//! Each question fails where Postgres cannot be asked.

use diesel::dsl::{exists, now, select};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use lockstep_core::{Location, TenancyId};

use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::tenancy_location;

/// Whether it is known where a tenancy is, or was.
pub async fn is_known(control: &Control, tenancy: TenancyId) -> Result<bool, SourceError> {
    let places = tenancy_location::table.filter(tenancy_location::tenancy_id.eq(tenancy.as_uuid()));
    Ok(select(exists(places)).get_result(&mut &*control).await?)
}

/// Writes down where a tenancy was that is gone.
pub async fn remember(control: &Control, tenancy: TenancyId, was_at: &Location) -> Result<(), SourceError> {
    let row = (
        tenancy_location::tenancy_id.eq(tenancy.as_uuid()),
        tenancy_location::project_id.eq(&was_at.project_id),
        tenancy_location::branch_id.eq(&was_at.branch_id),
        tenancy_location::gone_at.eq(now),
    );
    diesel::insert_into(tenancy_location::table).values(row).on_conflict_do_nothing().execute(&mut &*control).await?;
    Ok(())
}
