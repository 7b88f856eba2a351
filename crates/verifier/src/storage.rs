//! The verifier's own questions to the source. None of them writes.

use std::collections::BTreeSet;

use lockstep_core::{DestinationId, Location, SequenceId, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::{self, Key, Positions};
use lockstep_mappings::postgres::passes::first_beyond;
use lockstep_mappings::postgres::{literal, table, tenancies_ever_at, tenancy_table};
use lockstep_schema::{definitions, row_security};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::error::VerifyError;
use crate::whose::Whose;

/// A whole look at a few hundred keys takes milliseconds.
const QUICK: &str = "SET statement_timeout = '60s'";
/// What a session for scans begins with: passes over whole mappings.
const UNHURRIED: &str = "SET statement_timeout = '24h'";
/// A table is read as a whole only where no index serves at all.
const BY_INDEX: &str = "SET enable_seqscan = off";
/// One snapshot for everything that is asked until the end.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Rows are sorted in memory while they are few; the default of 4 MB sends even small mappings to disk.
const SORT_MEMORY: &str = "SET LOCAL work_mem = '64MB'";

/// Where these tenancies are and were.
const LOCATIONS: &str = r#"SELECT "id", "projectId", "branchId" FROM "public"."Tenancy" WHERE "id" = ANY($1)
UNION SELECT tenancy_id, project_id, branch_id FROM lockstep.tenancy_location WHERE tenancy_id = ANY($1)"#;

/// Where a tenancy lives, and how many others live there.
const PLACE: &str = r#"SELECT t."projectId", t."branchId", (SELECT count(*) - 1 FROM "public"."Tenancy" o WHERE o."projectId" = t."projectId" AND o."branchId" = t."branchId")
FROM "public"."Tenancy" t WHERE t."id" = $1"#;

/// The last number, and when it was given out.
const LAST_PASS: &str =
    "SELECT last_sequence, to_json(passed_at AT TIME ZONE 'UTC') #>> '{}' FROM lockstep.pass ORDER BY id DESC LIMIT 1";

/// The last number that was drawn.
const LAST_DRAWN: &str = "SELECT last_value FROM lockstep.sequence";

/// The number through which everything was shipped.
const PASSED: &str = "SELECT passed FROM lockstep.destination WHERE name = $1";

/// The sequencer truncates an inbox when all of it has numbers. To a snapshot from before, lines that it should see as
/// waiting would be neither there nor numbered: so nothing is truncated from before the snapshot until its end. LOCK takes
/// no snapshot itself, and the sequencer does not wait for it.
const KEEP_INBOXES: &str = "LOCK TABLE lockstep.inbox_0, lockstep.inbox_1 IN ACCESS SHARE MODE";

/// From now on rows of one tenancy are found by an index, however many of all rows are its own.
pub(crate) async fn set_up_for_one_tenancy(client: &Client) -> Result<(), VerifyError> {
    Ok(client.batch_execute(BY_INDEX).await?)
}

/// From now on a connection is used for looks alone.
pub(crate) async fn set_up_for_looks(client: &Client) -> Result<(), VerifyError> {
    Ok(client.batch_execute(QUICK).await?)
}

/// From now on it is used for passes again.
pub(crate) async fn set_up_for_passes(client: &Client) -> Result<(), VerifyError> {
    Ok(client.batch_execute(UNHURRIED).await?)
}

/// Opens a snapshot in which lines of the inbox can be told from those that have numbers.
pub(crate) async fn begin_look(client: &Client) -> Result<(), VerifyError> {
    Ok(client.batch_execute(&format!("{BEGIN}; {KEEP_INBOXES}")).await?)
}

/// Opens a snapshot on a connection; it ends with [`end_snapshot`], or with the connection.
pub(crate) async fn begin_snapshot(client: &Client) -> Result<(), VerifyError> {
    Ok(client.batch_execute(&format!("{BEGIN}; {SORT_MEMORY}; SAVEPOINT reads")).await?)
}

/// The last number that was given out, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) sequence: SequenceId,
    /// As Postgres writes it, in UTC.
    pub(crate) at: String,
}

/// The last number that was given out.
pub(crate) async fn head(client: &Client) -> Result<Head, VerifyError> {
    let row = client.query_one(LAST_PASS, &[]).await?;
    Ok(Head { sequence: SequenceId::new(row.get(0)), at: row.get(1) })
}

/// The number with which the rows of a mapping that were there before capture are in a destination.
pub(crate) async fn fill(
    client: &Client,
    mapping: &Mapping,
    destination: &DestinationId,
    whose: Whose,
) -> Result<SequenceId, VerifyError> {
    let row = client.query_one(whose.fill(), &[&mapping.name.as_str(), &destination.as_str()]).await?;
    Ok(SequenceId::new(row.get(0)))
}

/// The last number that was drawn: of a fill, or of a pass that has not committed.
pub(crate) async fn last_drawn(client: &Client) -> Result<SequenceId, VerifyError> {
    Ok(SequenceId::new(client.query_one(LAST_DRAWN, &[]).await?.get(0)))
}

/// When each of these numbers was given out, where that is known, in their order.
pub(crate) async fn passed_at(client: &Client, numbers: &[i64]) -> Result<Vec<Option<String>>, VerifyError> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT (SELECT to_json(p.passed_at AT TIME ZONE 'UTC') #>> '{{}}' FROM {} p) FROM unnest($1::bigint[]) WITH ORDINALITY w(number, place) ORDER BY w.place",
        first_beyond("w.number - 1")
    );
    Ok(client.query(&sql, &[&numbers]).await?.iter().map(|row| row.get(0)).collect())
}

/// Opens a snapshot in which a table may be read as a whole.
pub(crate) async fn let_read_whole(client: &Client) -> Result<(), VerifyError> {
    Ok(client.batch_execute(&format!("{BEGIN}; SET LOCAL enable_seqscan = on")).await?)
}

/// Between which numbers rows of ClickHouse have the numbers of their last changes: above the first, up to the second.
pub(crate) async fn numbers_between(
    client: &Client,
    mapping: &Mapping,
    destination: &DestinationId,
) -> Result<(SequenceId, SequenceId), VerifyError> {
    let names: [&(dyn ToSql + Sync); 2] = [&mapping.name.as_str(), &destination.as_str()];
    let floor = client.query_one(compare::NUMBERS_FROM, &names).await?.get(0);
    let passed = client.query_opt(PASSED, &[&destination.as_str()]).await?.map_or(0, |row| row.get(0));
    Ok((SequenceId::new(floor), SequenceId::new(passed)))
}

/// Goes on in the snapshot of [`begin_snapshot`] after a statement failed.
pub(crate) async fn go_on(client: &Client) -> Result<(), VerifyError> {
    Ok(client.batch_execute("ROLLBACK TO SAVEPOINT reads").await?)
}

/// Gives a look up after a statement failed.
pub(crate) async fn give_up_look(client: &Client) -> Result<(), VerifyError> {
    Ok(client.batch_execute("ROLLBACK").await?)
}

/// How many blocks the table of a mapping has.
pub(crate) async fn blocks(client: &Client, mapping: &Mapping) -> Result<u32, VerifyError> {
    let sql = format!(
        "SELECT pg_relation_size({}::regclass) / current_setting('block_size')::bigint",
        literal(&table(&mapping.source))
    );
    let blocks: i64 = client.query_one(&sql, &[]).await?.get(0);
    Ok(u32::try_from(blocks).unwrap_or(u32::MAX))
}

/// Whose the row at a single position is, and its key.
pub(crate) async fn keys_at(
    client: &Client,
    mapping: &Mapping,
    position: &Positions,
) -> Result<Vec<(Key, TenancyId)>, VerifyError> {
    let rows = client.query(&compare::keys_at(mapping, position), &[]).await?;
    let key = |row: &Row| {
        let location = Location { project_id: row.get(0), branch_id: row.get(1) };
        let values = (0..mapping.key.len()).map(|index| row.get(2 + index)).collect();
        (Key { location, values }, TenancyId::new(row.get(2 + mapping.key.len())))
    };
    Ok(rows.iter().map(key).collect())
}

/// These mappings, each with its rows where they go at the moment. Refused where one is set up otherwise than is known here: what
/// is right of it would be called different.
pub(crate) async fn placed(
    client: &Client,
    mappings: &[&Mapping],
    destination: &DestinationId,
) -> Result<Vec<Mapping>, VerifyError> {
    let recorded = definitions::recorded(client, destination.as_str()).await?;
    let placed = |mapping: &&Mapping| match recorded.get(mapping.name.as_str()) {
        Some(found) if found.is_of(mapping) && found.is_beside => Ok(mapping.beside()),
        Some(found) if found.is_of(mapping) => Ok((*mapping).clone()),
        _ => Err(VerifyError::OtherDefinitions("are set up otherwise than these definitions say")),
    };
    mappings.iter().map(placed).collect()
}

/// Lets the snapshot go, so that it holds back no vacuum.
pub(crate) async fn end_snapshot(client: &Client) -> Result<(), VerifyError> {
    Ok(client.batch_execute("COMMIT").await?)
}

/// Every location of these tenancies, with whose it is.
pub(crate) async fn locations(
    client: &Client,
    tenancies: &[TenancyId],
) -> Result<Vec<(TenancyId, Location)>, VerifyError> {
    let ids: Vec<_> = tenancies.iter().map(TenancyId::as_uuid).collect();
    let rows = client.query(LOCATIONS, &[&ids]).await?;
    Ok(rows
        .iter()
        .map(|row| (TenancyId::new(row.get(0)), Location { project_id: row.get(1), branch_id: row.get(2) }))
        .collect())
}

/// Where a tenancy lives, and how many others live there; `None` where it is gone.
pub(crate) async fn place(client: &Client, tenancy: TenancyId) -> Result<Option<(Location, u64)>, VerifyError> {
    let row = client.query_opt(PLACE, &[&tenancy.as_uuid()]).await?;
    let place = |row: Row| (Location { project_id: row.get(0), branch_id: row.get(1) }, row.get::<_, i64>(2));
    Ok(row.map(place).map(|(at, others)| (at, u64::try_from(others).unwrap_or(0))))
}

/// Every tenancy that is or was at one of these locations.
pub(crate) async fn tenancies_at(client: &Client, locations: &[&Location]) -> Result<Vec<TenancyId>, VerifyError> {
    let projects: Vec<_> = locations.iter().map(|at| at.project_id.as_str()).collect();
    let branches: Vec<_> = locations.iter().map(|at| at.branch_id.as_str()).collect();
    let rows = client.query(&tenancies_ever_at(), &[&projects, &branches]).await?;
    Ok(rows.iter().map(|row| TenancyId::new(row.get::<_, Uuid>(0))).collect())
}

/// Whether everything that was there before capture, or that capture has missed, was exported.
pub(crate) async fn is_filled(
    client: &Client,
    mapping: &Mapping,
    destination: &DestinationId,
    whose: Whose,
) -> Result<bool, VerifyError> {
    Ok(client.query_one(whose.filled(), &[&mapping.name.as_str(), &destination.as_str()]).await?.get(0))
}

/// Refuses to read tables of which a policy would hide rows.
pub(crate) async fn refuse_row_security(client: &Client, mappings: &[&Mapping]) -> Result<(), VerifyError> {
    let tenancies = tenancy_table();
    let joined = mappings.iter().flat_map(|mapping| mapping.joins.iter().map(|join| &join.table));
    let tables: BTreeSet<_> =
        mappings.iter().map(|mapping| &mapping.source).chain(joined).chain([&tenancies]).collect();
    Ok(row_security::refuse(client, &tables.into_iter().collect::<Vec<_>>()).await?)
}
