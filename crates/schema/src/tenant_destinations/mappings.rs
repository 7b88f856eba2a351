//! The mappings of tenants' own destinations (`lockstep.tenant_mapping`): what workers tell of each, and asking for a refill.
//!
//! Each question fails where Postgres cannot be asked.

use diesel::dsl::now;
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncConnection, RunQueryDsl};
use uuid::Uuid;

use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::{UTC, tenant_destination, tenant_mapping, to_char};

/// What a mapping is doing at a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MappingState {
    /// Its rows are read for the first time, or again.
    Filling,
    /// It follows changes.
    Streaming,
    /// Its table there does not fit.
    Stopped,
}

impl MappingState {
    /// As the table has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filling => "filling",
            Self::Streaming => "streaming",
            Self::Stopped => "stopped",
        }
    }

    /// What the table has. One that a newer version has is taken for a fill, which nobody counts as in step.
    pub fn of(text: &str) -> Self {
        match text {
            "streaming" => Self::Streaming,
            "stopped" => Self::Stopped,
            _ => Self::Filling,
        }
    }
}

/// A mapping of a destination. Times are in UTC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantMapping {
    /// Of which destination.
    pub destination: Uuid,
    /// Its name.
    pub mapping: String,
    /// What it is doing.
    pub state: MappingState,
    /// Why the last fill was begun.
    pub fill_reason: Option<String>,
    /// How many rows that has shipped.
    pub filled_rows: i64,
    /// Of about how many.
    pub total_rows: Option<i64>,
    /// When it ended.
    pub filled_at: Option<String>,
    /// The code of what it is stopped by.
    pub error_code: Option<String>,
    /// What it is stopped by, without values.
    pub error: Option<String>,
    /// Since when it is to be filled again.
    pub refill_requested_at: Option<String>,
}

type Row = (
    (Uuid, String, String, Option<String>),
    (i64, Option<i64>, Option<String>),
    (Option<String>, Option<String>, Option<String>),
);

impl From<Row> for TenantMapping {
    fn from(((destination, mapping, state, fill_reason), fill, rest): Row) -> Self {
        let (filled_rows, total_rows, filled_at) = fill;
        let (error_code, error, refill_requested_at) = rest;
        let state = MappingState::of(&state);
        Self {
            destination,
            mapping,
            state,
            fill_reason,
            filled_rows,
            total_rows,
            filled_at,
            error_code,
            error,
            refill_requested_at,
        }
    }
}

/// What is told of the mappings of these destinations, in order of destination and name.
pub async fn of(control: &Control, destinations: &[Uuid]) -> Result<Vec<TenantMapping>, SourceError> {
    let rows = tenant_mapping::table
        .filter(tenant_mapping::destination_id.eq_any(destinations))
        .order((tenant_mapping::destination_id, tenant_mapping::mapping_name))
        .select((
            (
                tenant_mapping::destination_id,
                tenant_mapping::mapping_name,
                tenant_mapping::state,
                tenant_mapping::fill_reason,
            ),
            (tenant_mapping::filled_rows, tenant_mapping::total_rows, to_char(tenant_mapping::filled_at, UTC)),
            (tenant_mapping::error_code, tenant_mapping::error, to_char(tenant_mapping::refill_requested_at, UTC)),
        ));
    let rows: Vec<Row> = rows.load(&mut &*control).await?;
    Ok(rows.into_iter().map(TenantMapping::from).collect())
}

/// Asks for mappings of a destination to be filled again, whatever their cursors there say. A worker takes the request back when
/// it begins the fill.
pub async fn request_refill(control: &mut Control, destination: Uuid, mappings: &[&str]) -> Result<(), SourceError> {
    let rows: Vec<_> = mappings
        .iter()
        .map(|mapping| {
            (
                tenant_mapping::destination_id.eq(destination),
                tenant_mapping::mapping_name.eq(*mapping),
                tenant_mapping::state.eq(MappingState::Filling.as_str()),
                tenant_mapping::refill_requested_at.eq(now),
            )
        })
        .collect();
    let requested: Result<(), diesel::result::Error> = control
        .transaction(async |control| {
            diesel::insert_into(tenant_mapping::table)
                .values(rows)
                .on_conflict((tenant_mapping::destination_id, tenant_mapping::mapping_name))
                .do_update()
                .set(tenant_mapping::refill_requested_at.eq(excluded(tenant_mapping::refill_requested_at)))
                .execute(control)
                .await?;
            let row = tenant_destination::table.find(destination);
            let revision = tenant_destination::revision.eq(tenant_destination::revision + 1);
            diesel::update(row).set((tenant_destination::unfinished.eq(true), revision)).execute(control).await?;
            Ok(())
        })
        .await;
    Ok(requested?)
}

/// Forgets everything that is told of mappings, of all destinations: what their cursors count are other numbers. They are filled
/// again.
pub async fn forget_all(control: &mut Control) -> Result<(), SourceError> {
    let forgotten: Result<(), diesel::result::Error> = control
        .transaction(async |control| {
            diesel::delete(tenant_mapping::table).execute(control).await?;
            let numbers = (tenant_destination::known.eq(0), tenant_destination::passed.eq(0));
            diesel::update(tenant_destination::table)
                .set((
                    numbers,
                    tenant_destination::unfinished.eq(true),
                    tenant_destination::revision.eq(tenant_destination::revision + 1),
                ))
                .execute(control)
                .await?;
            Ok(())
        })
        .await;
    Ok(forgotten?)
}

/// Forgets what is told of mappings that do not go to a destination any more.
pub async fn keep_only(control: &Control, destination: Uuid, mappings: &[&str]) -> Result<(), SourceError> {
    let others = tenant_mapping::table
        .filter(tenant_mapping::destination_id.eq(destination))
        .filter(tenant_mapping::mapping_name.ne_all(mappings.iter().copied()));
    diesel::delete(others).execute(&mut &*control).await?;
    Ok(())
}
