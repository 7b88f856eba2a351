//! Tenancies that are exported again by hand (`lockstep.resync`). A command that was killed goes on where its row is.
//!
//! Each question fails where Postgres cannot be asked.

use std::collections::BTreeSet;

use diesel::dsl::{now, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use lockstep_core::{DestinationId, SequenceId, TenancyId};
use serde::Serialize;
use uuid::Uuid;

use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::{UTC, resync, to_char};

const PURPOSE: &str = "resync";

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Resync {
    /// Its id.
    pub id: i64,
    /// The number that all rows of the tenancies get numbers above.
    pub floor: SequenceId,
    /// Whether it was begun before.
    pub is_continued: bool,
}

/// Goes on with the request of the same tenancies and mappings that is not finished, or draws a floor from the sequence and
/// writes a new one down. Tenancies are compared in order and without repetition, so that the same request is found again.
pub async fn begin(
    control: &Control,
    to: &DestinationId,
    tenancies: &[TenancyId],
    mappings: &[&str],
) -> Result<Resync, SourceError> {
    let tenancies: BTreeSet<_> = tenancies.iter().map(TenancyId::as_uuid).collect();
    let tenancies: Vec<_> = tenancies.into_iter().collect();
    let unfinished = resync::table
        .filter(resync::purpose.eq(PURPOSE).and(resync::destination.eq(to.as_str())))
        .filter(resync::tenancies.eq(&tenancies).and(resync::mappings.eq(mappings)))
        .filter(resync::finished_at.is_null())
        .order(resync::id.desc())
        .select((resync::id, resync::floor));
    let found: Option<(i64, i64)> = unfinished.first(&mut &*control).await.optional()?;
    let (id, floor) = match found {
        Some(found) => found,
        None => {
            let row = (
                resync::purpose.eq(PURPOSE),
                resync::destination.eq(to.as_str()),
                resync::tenancies.eq(&tenancies),
                resync::mappings.eq(mappings),
                resync::floor.eq(sql::<BigInt>("nextval('lockstep.sequence')")),
            );
            let new = diesel::insert_into(resync::table).values(row).returning((resync::id, resync::floor));
            new.get_result(&mut &*control).await?
        }
    };
    Ok(Resync { id, floor: SequenceId::new(floor), is_continued: found.is_some() })
}

/// Writes down that a request is done, and how many rows only the destination had.
pub async fn finish(control: &Control, id: i64, stale_rows: i64) -> Result<(), SourceError> {
    let done = (resync::finished_at.eq(now), resync::stale_rows.eq(stale_rows));
    diesel::update(resync::table.find(id)).set(done).execute(&mut &*control).await?;
    Ok(())
}

/// An export of tenancies that was asked for.
#[derive(Clone, PartialEq, Eq, Queryable, Serialize, Debug)]
pub struct ResyncEntry {
    /// Its number.
    pub id: i64,
    /// `resync` or `rewind`.
    pub purpose: String,
    /// The tenancies that were named; none: all.
    pub tenancies: Option<Vec<Uuid>>,
    /// The mappings that were named; none: all.
    pub mappings: Option<Vec<String>>,
    /// The number that its rows get numbers above.
    pub floor: i64,
    /// When it was finished, in UTC; none: it is under way, or was given up.
    pub finished_at: Option<String>,
}

/// At most `limit` exports, those that are not finished first, then the last.
pub async fn last(control: &Control, limit: i64) -> Result<Vec<ResyncEntry>, SourceError> {
    let rows = resync::table.order((resync::finished_at.desc().nulls_first(), resync::id.desc())).limit(limit);
    let columns = (
        resync::id,
        resync::purpose,
        resync::tenancies,
        resync::mappings,
        resync::floor,
        to_char(resync::finished_at, UTC),
    );
    Ok(rows.select(columns).load(&mut &*control).await?)
}
