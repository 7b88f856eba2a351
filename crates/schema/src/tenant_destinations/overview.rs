//! Questions about all tenants' own destinations at once. What costs is how many are behind, not how many there are.
//!
//! Each question fails where Postgres cannot be asked.

use diesel::dsl::{count, count_star, exists, not, select, sql};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer, Nullable};
use diesel_async::RunQueryDsl;
use lockstep_core::{SequenceId, TenancyId};
use uuid::Uuid;

use super::mappings::MappingState;
use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::{UTC, pause, tenant_destination, tenant_mapping, tenant_sweep, to_char, uuid_text};

/// One that has failed for so long is backing off, and nobody waits for it; before that it may have been a moment's trouble.
const BACKS_OFF_AFTER: &str = "failing_since <= now() - interval '10 seconds'";

/// Which destinations are asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All tenants'.
    All,
    /// Those of a tenancy.
    Tenancy(TenancyId),
    /// One.
    Destination(Uuid),
}

/// A destination that does not hold everything through a number.
#[derive(Clone, PartialEq, Eq, Queryable, Debug)]
pub struct Behind {
    /// Its id.
    pub id: Uuid,
    /// Through which number it holds everything.
    pub passed: i64,
    /// There is a fill, or a first look.
    pub unfinished: bool,
    /// It, or its tenancy, is paused.
    pub is_paused: bool,
    /// It has failed for some time.
    pub is_backing_off: bool,
    /// Mappings are stopped, until its tenant mends their tables.
    pub is_stopped: bool,
}

/// How many destinations are what. One can be several things.
#[derive(Clone, Copy, PartialEq, Eq, Default, Queryable, Debug)]
pub struct Counts {
    /// All.
    pub total: i64,
    /// Paused, or of a tenancy that is.
    pub paused: i64,
    /// Their last attempt failed.
    pub failing: i64,
    /// Being filled, or to be looked at for the first time.
    pub unfinished: i64,
    /// With changes that are not there yet.
    pub behind: i64,
    /// Nothing is on its way, and the last attempt went well.
    pub in_step: i64,
}

type Condition<'a> = Box<dyn BoxableExpression<tenant_destination::table, Pg, SqlType = Bool> + 'a>;

impl Scope {
    fn condition(self) -> Condition<'static> {
        match self {
            Self::All => Box::new(true.into_sql::<Bool>()),
            Self::Tenancy(tenancy) => Box::new(tenant_destination::tenancy_id.eq(tenancy.as_uuid())),
            Self::Destination(id) => Box::new(tenant_destination::id.eq(id)),
        }
    }
}

/// As the index of those that are due has it.
fn is_due() -> Condition<'static> {
    Box::new(tenant_destination::known.gt(tenant_destination::passed).or(tenant_destination::unfinished))
}

fn is_paused() -> Condition<'static> {
    let itself = pause::kind.eq("destination").and(pause::name.eq(uuid_text(tenant_destination::id)));
    let tenancy = pause::kind.eq("tenancy").and(pause::name.eq(uuid_text(tenant_destination::tenancy_id)));
    Box::new(exists(pause::table.filter(itself.or(tenancy))))
}

fn is_backing_off() -> Condition<'static> {
    Box::new(sql::<Bool>("COALESCE(").sql(BACKS_OFF_AFTER).sql(", FALSE)"))
}

fn is_stopped() -> Condition<'static> {
    let mapping = tenant_mapping::destination_id
        .eq(tenant_destination::id)
        .and(tenant_mapping::state.eq(MappingState::Stopped.as_str()));
    Box::new(exists(tenant_mapping::table.filter(mapping)))
}

/// Destinations that do not hold everything through a number, of those whose changes were noted: those that are waited for, or
/// those that are not (paused, backing off, or with mappings that are stopped). At most `limit`, those that are furthest behind first.
pub async fn behind(
    control: &Control,
    scope: Scope,
    up_to: SequenceId,
    is_waited_for: bool,
    limit: i64,
) -> Result<Vec<Behind>, SourceError> {
    let is_left_out = || is_paused().or(is_backing_off()).or(is_stopped());
    let chosen: Condition<'static> = if is_waited_for { Box::new(not(is_left_out())) } else { Box::new(is_left_out()) };
    let lacks = tenant_destination::unfinished.or(tenant_destination::passed.lt(up_to.get()));
    let rows = tenant_destination::table
        .filter(scope.condition())
        .filter(is_due())
        .filter(lacks)
        .filter(chosen)
        .order((tenant_destination::passed, tenant_destination::id))
        .limit(limit)
        .select((
            tenant_destination::id,
            tenant_destination::passed,
            tenant_destination::unfinished,
            is_paused(),
            is_backing_off(),
            is_stopped(),
        ));
    Ok(rows.load(&mut &*control).await?)
}

/// Whether there is a destination that has not passed a number, and may have changes up to it that were not noted yet.
pub async fn is_unnoted(control: &Control, scope: Scope, up_to: SequenceId) -> Result<bool, SourceError> {
    let through = tenant_sweep::table.filter(tenant_sweep::through.ge(up_to.get()));
    let some = tenant_destination::table.filter(scope.condition()).filter(tenant_destination::passed.lt(up_to.get()));
    Ok(select(not(exists(through)).and(exists(some))).get_result(&mut &*control).await?)
}

/// Through which number changes were noted for all of them.
pub async fn noted_through(control: &Control) -> Result<SequenceId, SourceError> {
    let through: Option<i64> =
        tenant_sweep::table.select(tenant_sweep::through).first(&mut &*control).await.optional()?;
    Ok(through.map_or(SequenceId::BASE, SequenceId::new))
}

/// How many destinations are what.
pub async fn counts(control: &Control) -> Result<Counts, SourceError> {
    let failing = || tenant_destination::failing_since.is_not_null();
    let behind = || tenant_destination::known.gt(tenant_destination::passed);
    let row = tenant_destination::table.select((
        count_star(),
        count(tenant_destination::id).aggregate_filter(is_paused()),
        count(tenant_destination::id).aggregate_filter(failing()),
        count(tenant_destination::id).aggregate_filter(tenant_destination::unfinished),
        count(tenant_destination::id).aggregate_filter(behind()),
        count(tenant_destination::id).aggregate_filter(not(is_due()).and(not(failing()))),
    ));
    Ok(row.first(&mut &*control).await?)
}

/// How many mappings of all destinations are stopped, and how many are to be filled again.
pub async fn troubled_mappings(control: &Control) -> Result<(i64, i64), SourceError> {
    let stopped = tenant_mapping::table.filter(tenant_mapping::state.eq(MappingState::Stopped.as_str())).count();
    let refills = tenant_mapping::table.filter(tenant_mapping::refill_requested_at.is_not_null()).count();
    Ok((stopped.get_result(&mut &*control).await?, refills.get_result(&mut &*control).await?))
}

/// The destinations that most need somebody to look, at most so many: those that have failed for longest, those with mappings
/// that are stopped, and those that are furthest behind. Those that nothing is wrong with are left out.
pub async fn worst(control: &Control, limit: i64) -> Result<Vec<Uuid>, SourceError> {
    let ids = tenant_destination::table
        .filter(is_due().or(tenant_destination::failing_since.is_not_null()).or(is_stopped()))
        .order((
            tenant_destination::failing_since.asc().nulls_last(),
            is_stopped().desc(),
            (tenant_destination::known - tenant_destination::passed).desc(),
            tenant_destination::id,
        ))
        .limit(limit)
        .select(tenant_destination::id);
    Ok(ids.load(&mut &*control).await?)
}

/// Destinations in one database, by the address that was given.
pub async fn at_database(control: &Control, host: &str, port: u16, database: &str) -> Result<Vec<Uuid>, SourceError> {
    let ids = tenant_destination::table
        .filter(tenant_destination::host.eq(host).and(tenant_destination::port.eq(i32::from(port))))
        .filter(tenant_destination::database_name.eq(database))
        .select(tenant_destination::id);
    Ok(ids.load(&mut &*control).await?)
}

/// Destinations whose connection string is sealed with none of these keys, with the key's id.
pub async fn sealed_otherwise(control: &Control, keys: &[&str]) -> Result<Vec<(Uuid, String)>, SourceError> {
    let rows = tenant_destination::table
        .filter(tenant_destination::key_id.ne_all(keys.iter().copied()))
        .order((tenant_destination::key_id, tenant_destination::id))
        .select((tenant_destination::id, tenant_destination::key_id));
    Ok(rows.load(&mut &*control).await?)
}

/// Destinations that have failed for longer than so many seconds, longest first: id, since when, and the code of the error.
pub async fn failing_for(control: &Control, seconds: i32) -> Result<Vec<(Uuid, String, Option<String>)>, SourceError> {
    let since = to_char(tenant_destination::failing_since, UTC).assume_not_null();
    let long =
        sql::<Nullable<Bool>>("failing_since <= now() - make_interval(secs => ").bind::<Integer, _>(seconds).sql(")");
    let rows = tenant_destination::table
        .filter(long)
        .order((tenant_destination::failing_since, tenant_destination::id))
        .select((tenant_destination::id, since, tenant_destination::error_code));
    Ok(rows.load(&mut &*control).await?)
}
