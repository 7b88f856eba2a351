//! Erasures that were asked for, and their receipts (`lockstep.erasure`, ERASE-1).
//!
//! Each question fails where Postgres cannot be asked.

use diesel::dsl::{case_when, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::upsert::{DecoratableTarget, excluded};
use diesel_async::RunQueryDsl;
use lockstep_core::destination_id::CLICKHOUSE;
use lockstep_core::{DestinationId, TenancyId};
use lockstep_mappings::postgres::erase::erasure_wait;
use serde::Serialize;
use uuid::Uuid;

use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::{UTC, erasure, pass, to_char};

/// What was removed, and that nothing is left.
#[derive(Clone, PartialEq, Eq, Queryable, Serialize, Debug)]
pub struct Receipt {
    /// Whose rows.
    pub tenancy: Uuid,
    /// From where.
    pub destination: String,
    /// `automatic` or `by hand`.
    pub reason: String,
    /// When it was asked for or noticed, in UTC.
    pub requested_at: String,
    /// When it was counted that nothing is left, in UTC.
    pub proven_at: Option<String>,
    /// When it was done, in UTC.
    pub finished_at: Option<String>,
    /// An object of rows of all versions, by mapping; what starts with _ is not of a mapping.
    pub removed: serde_json::Value,
}

/// The columns of a [`Receipt`].
macro_rules! receipt {
    () => {
        (
            erasure::tenancy_id,
            erasure::destination,
            erasure::reason,
            to_char(erasure::requested_at.nullable(), UTC).assume_not_null(),
            to_char(erasure::proven_at, UTC),
            to_char(erasure::finished_at, UTC),
            erasure::removed,
        )
    };
}

/// Asks for the erasure of a tenancy, or joins one that is asked for already, and returns its id. One of a tenancy that has
/// been paused since starts anew.
pub async fn request(
    control: &Control,
    tenancy: TenancyId,
    from: &DestinationId,
    is_paused: bool,
) -> Result<i64, SourceError> {
    let last = pass::table.select(pass::last_sequence).order(pass::id.desc()).limit(1).single_value();
    let same = erasure::paused.eq(excluded(erasure::paused));
    let id = diesel::insert_into(erasure::table)
        .values((
            erasure::tenancy_id.eq(tenancy.as_uuid()),
            erasure::destination.eq(from.as_str()),
            erasure::reason.eq("by hand"),
            erasure::paused.eq(is_paused),
            erasure::up_to.eq(last.assume_not_null()),
        ))
        .on_conflict((erasure::tenancy_id, erasure::destination))
        .filter_target(erasure::finished_at.is_null())
        .do_update()
        .set((
            erasure::reason.eq(excluded(erasure::reason)),
            erasure::paused.eq(excluded(erasure::paused)),
            erasure::requested_at.eq(case_when(same, erasure::requested_at).otherwise(excluded(erasure::requested_at))),
            erasure::up_to.eq(case_when(same, erasure::up_to).otherwise(excluded(erasure::up_to))),
        ))
        .returning(erasure::id)
        .get_result(&mut &*control)
        .await?;
    Ok(id)
}

/// Seconds until nothing can arrive any more that was read before an erasure was asked for: then it begins.
pub async fn begins_in_s(control: &Control, id: i64) -> Result<i64, SourceError> {
    let left =
        format!("GREATEST(ceil(extract(epoch FROM requested_at + {} - clock_timestamp())), 0)::bigint", erasure_wait());
    let seconds = erasure::table.find(id).select(sql::<BigInt>(&left)).first(&mut &*control).await.optional()?;
    Ok(seconds.unwrap_or_default())
}

/// The receipt of an erasure of a tenancy from a destination, complete once it is finished, or `None` where it was taken back; of the last one
/// that is finished, where no id is given.
pub async fn receipt(
    control: &Control,
    of: TenancyId,
    from: &DestinationId,
    id: Option<i64>,
) -> Result<Option<Receipt>, SourceError> {
    let receipts = erasure::table.filter(erasure::tenancy_id.eq(of.as_uuid())).order(erasure::id.desc());
    let receipts = match id {
        Some(id) => receipts.filter(erasure::id.eq(id)).into_boxed(),
        None => {
            receipts.filter(erasure::finished_at.is_not_null().and(erasure::destination.eq(from.as_str()))).into_boxed()
        }
    };
    Ok(receipts.select(receipt!()).first(&mut &*control).await.optional()?)
}

/// The erasure of a tenancy from one of its own databases.
#[derive(Clone, PartialEq, Eq, Queryable, Serialize, Debug)]
pub struct TenantReceipt {
    /// The destination's id.
    pub destination: String,
    /// When everything was removed, in UTC; none: it has not been reached yet, and is tried again.
    pub finished_at: Option<String>,
    /// Rows by mapping.
    pub removed: serde_json::Value,
}

/// The last erasure of a tenancy from each of its own databases, in the order of their ids.
pub async fn of_own_databases(control: &Control, of: TenancyId) -> Result<Vec<TenantReceipt>, SourceError> {
    let receipts = erasure::table
        .filter(erasure::tenancy_id.eq(of.as_uuid()).and(erasure::destination.ne(CLICKHOUSE)))
        .distinct_on(erasure::destination)
        .order((erasure::destination, erasure::id.desc()))
        .select((erasure::destination, to_char(erasure::finished_at, UTC), erasure::removed));
    Ok(receipts.load(&mut &*control).await?)
}

/// An erasure of a tenancy from one destination.
#[derive(Clone, PartialEq, Eq, Queryable, Serialize, Debug)]
pub struct OwnReceipt {
    /// Its number.
    pub id: i64,
    /// Its receipt, complete once it is finished.
    #[diesel(embed)]
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// Erasures that are shown of a tenancy.
const OF_A_TENANCY: i64 = 100;

/// Erasures of a tenancy, the last first, whether they are finished or not.
pub async fn of_tenancy(control: &Control, of: TenancyId) -> Result<Vec<OwnReceipt>, SourceError> {
    let rows = erasure::table.filter(erasure::tenancy_id.eq(of.as_uuid())).order(erasure::id.desc());
    Ok(rows.limit(OF_A_TENANCY).select((erasure::id, receipt!())).load(&mut &*control).await?)
}

/// At most `limit` erasures that are finished, with a number below `before`, the last first.
pub async fn finished_before(
    control: &Control,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<OwnReceipt>, SourceError> {
    let rows =
        erasure::table.filter(erasure::finished_at.is_not_null().and(erasure::id.lt(before.unwrap_or(i64::MAX))));
    Ok(rows.order(erasure::id.desc()).limit(limit).select((erasure::id, receipt!())).load(&mut &*control).await?)
}
