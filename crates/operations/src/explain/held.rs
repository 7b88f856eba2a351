//! What destinations hold of a key. One that cannot be asked is no error: the others are told of.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::TryStreamExt;
use lockstep_core::{Location, MappingName, SequenceId, TenancyId};
use lockstep_destinations::compare::{Compare, Row, Shape};
use lockstep_destinations::postgres::MappingState;
use lockstep_destinations::{ClickHouse, Destination, DestinationError, Postgres, Selection};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::versions_of_keys;
use lockstep_mappings::postgres::compare::{Key, Scope};
use tokio::time::timeout;

use super::report::{Difference, HeldRow, Holds};
use super::source::{Rows, place};

/// For one question to a destination, connecting included.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Why a destination was not looked at, in words.
pub(super) type Unreachable = String;

/// What an answer is, within its time.
pub(super) async fn answered<T>(asking: impl Future<Output = Result<T, DestinationError>>) -> Result<T, Unreachable> {
    match timeout(ANSWER_LIMIT, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it did not answer within {} s", ANSWER_LIMIT.as_secs())),
    }
}

/// The cursors of a mapping in ClickHouse, of these tenancies.
pub(super) async fn cursors(
    clickhouse: &ClickHouse,
    mapping: &MappingName,
    tenancies: &[TenancyId],
) -> Result<HashMap<TenancyId, SequenceId>, Unreachable> {
    let mappings = [mapping.clone()];
    let asking = clickhouse.cursors(Selection::These(tenancies), Selection::These(&mappings));
    Ok(answered(asking).await?.into_iter().map(|((tenancy, _), cursor)| (tenancy, cursor)).collect())
}

/// Where a mapping stands in a tenant's own database.
pub(super) async fn state(postgres: &Postgres, mapping: &MappingName) -> Result<MappingState, Unreachable> {
    let states = answered(postgres.found_states(std::slice::from_ref(mapping))).await?;
    Ok(states.get(mapping).cloned().unwrap_or(MappingState::Absent))
}

async fn live(from: &impl Compare, mapping: &Mapping, keys: &[Key]) -> Result<Vec<Row>, Unreachable> {
    answered(from.rows(mapping, Scope::Keys(keys)).try_collect()).await
}

/// What the source has for a place, and where that is.
pub(super) struct Wanted {
    pub(super) place: Location,
    pub(super) former: bool,
    pub(super) rows: Rows,
}

/// What ClickHouse holds at these places.
pub(super) async fn in_clickhouse(
    clickhouse: &ClickHouse,
    mapping: &Mapping,
    key: &[String],
    wanted: &[Wanted],
) -> Result<Vec<HeldRow>, Unreachable> {
    let key = |wanted: &Wanted| Key { location: wanted.place.clone(), values: key.to_vec() };
    let keys: Vec<_> = wanted.iter().map(key).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let versions = versions_of_keys(mapping, clickhouse.databases(), &keys);
    let versions: Vec<(String, String, i64, u64)> = answered(clickhouse.fetch_rows(&versions)).await?;
    let (shape, live) = (Shape::of(mapping), live(clickhouse, mapping, &keys).await?);
    let held = wanted.iter().map(|wanted| {
        let Location { project_id, branch_id } = &wanted.place;
        let version = versions.iter().find(|(project, branch, ..)| project == project_id && branch == branch_id);
        let is_here =
            |row: &&Row| row.field(0) == Some(project_id.as_bytes()) && row.field(1) == Some(branch_id.as_bytes());
        let live: Vec<&Row> = live.iter().filter(is_here).collect();
        let holds = match (live.is_empty(), version) {
            (false, _) => Holds::Live,
            (true, Some(_)) => Holds::Tombstone,
            (true, None) => Holds::Nothing,
        };
        let (differs, columns) = difference(&shape, &wanted.rows, &live);
        HeldRow {
            place: Some(place(&wanted.place)),
            former: wanted.former,
            holds,
            version: version.map(|(_, _, version, _)| *version),
            copies: version.map_or(0, |(.., copies)| *copies),
            differs,
            columns,
        }
    });
    Ok(held.collect())
}

/// What a tenant's own database holds. It forgets what is gone, and keeps no numbers.
pub(super) async fn in_postgres(
    postgres: &Postgres,
    mapping: &Mapping,
    key: Key,
    wanted: &Rows,
) -> Result<HeldRow, Unreachable> {
    let live = live(postgres, mapping, &[key]).await?;
    Ok(own_row(mapping, wanted, &live.iter().collect::<Vec<_>>()))
}

/// What a tenant's own database holds that has no table yet.
pub(super) fn nothing(mapping: &Mapping, wanted: &Rows) -> HeldRow {
    own_row(mapping, wanted, &[])
}

fn own_row(mapping: &Mapping, wanted: &Rows, live: &[&Row]) -> HeldRow {
    let (differs, columns) = difference(&Shape::of(mapping), wanted, live);
    HeldRow {
        place: None,
        former: false,
        holds: if live.is_empty() { Holds::Nothing } else { Holds::Live },
        version: None,
        copies: live.len() as u64,
        differs,
        columns,
    }
}

fn difference(shape: &Shape, wanted: &Rows, held: &[&Row]) -> (Option<Difference>, Vec<String>) {
    let Rows::Read(wanted) = wanted else { return (Some(Difference::Unreadable), Vec::new()) };
    match (&wanted[..], held) {
        ([], []) => (None, Vec::new()),
        ([source], [destination]) => {
            let columns: Vec<_> = shape.differing(source, destination).into_iter().map(ToOwned::to_owned).collect();
            ((!columns.is_empty()).then_some(Difference::Different), columns)
        }
        // A key that is there twice has a row too many on that side, whatever the other holds.
        _ if wanted.len() >= held.len() => (Some(Difference::Missing), Vec::new()),
        _ => (Some(Difference::Unexpected), Vec::new()),
    }
}
