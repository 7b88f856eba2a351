//! The verifier's own questions to the source. None of them writes.

use std::collections::BTreeSet;

use lockstep_core::{DestinationId, Location, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::{self, Key, Positions};
use lockstep_mappings::postgres::{literal, table, tenancy_table};
use lockstep_schema::{definitions, row_security};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::error::VerifyError;
use crate::whose::Whose;

/// A whole look at a few hundred keys takes milliseconds.
const QUICK: &str = "SET statement_timeout = '60s'";
/// A table is read as a whole only where no index serves at all.
const BY_INDEX: &str = "SET enable_seqscan = off";
/// One snapshot for everything that is asked until the end.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Rows are sorted in memory while they are few; the default of 4 MB sends even small mappings to disk.
const SORT_MEMORY: &str = "SET LOCAL work_mem = '64MB'";

/// Where these tenancies are and were.
const LOCATIONS: &str = r#"SELECT "id", "projectId", "branchId" FROM "public"."Tenancy" WHERE "id" = ANY($1)
UNION SELECT tenancy_id, project_id, branch_id FROM lockstep.tenancy_location WHERE tenancy_id = ANY($1)"#;

/// Who is or was at these locations.
const TENANCIES: &str = r#"SELECT t."id" FROM unnest($1::text[], $2::text[]) AS w(project_id, branch_id)
JOIN "public"."Tenancy" t ON t."projectId" = w.project_id AND t."branchId" = w.branch_id
UNION SELECT h.tenancy_id FROM unnest($1::text[], $2::text[]) AS w(project_id, branch_id)
JOIN lockstep.tenancy_location h ON h.project_id = w.project_id AND h.branch_id = w.branch_id"#;

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

/// Opens a snapshot in which lines of the inbox can be told from those that have numbers.
pub(crate) async fn begin_look(client: &Client) -> Result<(), VerifyError> {
    Ok(client.batch_execute(&format!("{BEGIN}; {KEEP_INBOXES}")).await?)
}

/// Opens a snapshot on a connection; it ends with [`end_snapshot`], or with the connection.
pub(crate) async fn begin_snapshot(client: &Client) -> Result<(), VerifyError> {
    Ok(client.batch_execute(&format!("{BEGIN}; {SORT_MEMORY}; SAVEPOINT reads")).await?)
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

/// Every tenancy that is or was at one of these locations.
pub(crate) async fn tenancies_at(client: &Client, locations: &[&Location]) -> Result<Vec<TenancyId>, VerifyError> {
    let projects: Vec<_> = locations.iter().map(|at| at.project_id.as_str()).collect();
    let branches: Vec<_> = locations.iter().map(|at| at.branch_id.as_str()).collect();
    let rows = client.query(TENANCIES, &[&projects, &branches]).await?;
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
