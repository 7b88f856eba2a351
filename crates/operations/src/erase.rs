//! Having a tenancy erased from the destination (ERASE-1).
//!
//! The work is done by a worker's janitor, as it is for every tenancy that is gone; this asks for it, and waits. Called again
//! it waits for the same erasure.

use std::time::Duration;

use lockstep_core::{Location, TenancyId};
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::erase::erasure_wait;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_postgres::{Client, Row};

use crate::DESTINATION;
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::pause::{Part, pause};
use crate::progress::{Progress, Waiting};
use crate::tenancies::exists;

/// Workers obey a pause within a second; what they read until then is waited for.
const WORKERS_OBEY: Duration = Duration::from_secs(3);

/// Asks for it, or joins an erasure that is asked for already. One of a tenancy that has been paused since starts anew.
const REQUEST: &str = "
INSERT INTO lockstep.erasure AS e (tenancy_id, destination, reason, paused, up_to)
SELECT $1, $3, 'by hand', $2, (SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1)
ON CONFLICT (tenancy_id, destination) WHERE finished_at IS NULL DO UPDATE SET reason = EXCLUDED.reason, paused = EXCLUDED.paused,
  requested_at = CASE WHEN e.paused = EXCLUDED.paused THEN e.requested_at ELSE EXCLUDED.requested_at END,
  up_to = CASE WHEN e.paused = EXCLUDED.paused THEN e.up_to ELSE EXCLUDED.up_to END
RETURNING id";

const RECEIPT: &str = "SELECT id, tenancy_id::text, destination, reason, to_char(requested_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), to_char(proven_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), to_char(finished_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), removed::text FROM lockstep.erasure";

/// Who is to be erased, and how.
#[derive(Clone, Debug)]
pub struct EraseRequest {
    /// Whose rows.
    pub tenancy: TenancyId,
    /// Also where it exists in the source: it is paused first.
    pub and_pause: bool,
    /// Where it was, for when nothing is known of it any more.
    pub location: Option<Location>,
    /// How long is waited; the erasure continues after that.
    pub limit: Duration,
}

/// What asking came to.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum EraseOutcome {
    /// Nothing is left of it.
    Erased,
    /// It had been erased before; the receipt is that of then.
    ErasedBefore,
    /// The time is up; the erasure continues.
    InFlight,
}

/// What asking came to, with the receipt.
#[derive(Serialize, Debug)]
pub struct EraseReport {
    /// In one word.
    pub outcome: EraseOutcome,
    /// None where the erasure continues.
    #[serde(flatten)]
    pub receipt: Option<Receipt>,
}

/// What was removed, and that nothing is left.
#[derive(Serialize, Debug)]
pub struct Receipt {
    /// Whose rows.
    pub tenancy: String,
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
    /// Rows of all versions, by mapping; what starts with _ is not of a mapping.
    pub removed: Map<String, Value>,
    /// What was counted after the removal.
    pub left: u64,
}

impl Receipt {
    /// Names every mapping, whether anything of it was removed or not.
    fn of(row: &Row, mappings: &MappingSet) -> Self {
        // Written by the janitor as an object; what is none holds no numbers.
        let mut removed: Map<String, Value> = serde_json::from_str(row.get(7)).unwrap_or_default();
        for mapping in mappings.iter() {
            removed.entry(mapping.name.as_str()).or_insert(Value::from(0));
        }
        Self {
            tenancy: row.get(1),
            destination: row.get(2),
            reason: row.get(3),
            requested_at: row.get(4),
            proven_at: row.get(5),
            finished_at: row.get(6),
            removed,
            left: 0,
        }
    }
}

/// Asks for the erasure, and waits for the receipt.
///
/// # Errors
/// When the tenancy exists, nothing is known of it, it comes back, or Postgres cannot be asked.
pub async fn erase(
    deployment: &Deployment<'_>,
    request: &EraseRequest,
    progress: Progress<'_>,
) -> Result<EraseReport, OperationError> {
    let (client, tenancy) = (&deployment.client, request.tenancy);
    let mut waiting = Waiting::new(request.limit, progress);
    // Fails where nothing is installed.
    let known = is_known(client, tenancy).await?;
    let exists = exists(client, tenancy).await?;
    if exists && !request.and_pause {
        return Err(OperationError::StillExists(tenancy));
    }
    if exists {
        waiting.tell("the tenancy is being paused");
        pause(deployment, &Part::Tenancy(tenancy), "lockstep erase --and-pause").await?;
        tokio::time::sleep(WORKERS_OBEY).await;
    } else if let (false, Some(location)) = (known, &request.location) {
        remember(client, tenancy, location).await?;
    } else if !known {
        let receipt = Some(last_receipt(deployment, tenancy).await?.ok_or(OperationError::PlaceUnknown(tenancy))?);
        return Ok(EraseReport { outcome: EraseOutcome::ErasedBefore, receipt });
    }
    let id: i64 = client.query_one(REQUEST, &[&tenancy.as_uuid(), &exists, &DESTINATION]).await?.get(0);
    match finished(deployment, id, tenancy, &mut waiting).await {
        Ok(receipt) => Ok(EraseReport { outcome: EraseOutcome::Erased, receipt: Some(receipt) }),
        Err(OperationError::Unfinished(_)) => Ok(EraseReport { outcome: EraseOutcome::InFlight, receipt: None }),
        Err(error) => Err(error),
    }
}

async fn is_known(client: &Client, tenancy: TenancyId) -> Result<bool, OperationError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM lockstep.tenancy_location WHERE tenancy_id = $1)";
    Ok(client.query_one(sql, &[&tenancy.as_uuid()]).await?.get(0))
}

async fn remember(client: &Client, tenancy: TenancyId, location: &Location) -> Result<(), OperationError> {
    let sql = "INSERT INTO lockstep.tenancy_location (tenancy_id, project_id, branch_id, gone_at) VALUES ($1, $2, $3, now()) ON CONFLICT DO NOTHING";
    client.execute(sql, &[&tenancy.as_uuid(), &location.project_id, &location.branch_id]).await?;
    Ok(())
}

async fn last_receipt(deployment: &Deployment<'_>, tenancy: TenancyId) -> Result<Option<Receipt>, OperationError> {
    let sql = format!("{RECEIPT} WHERE tenancy_id = $1 AND finished_at IS NOT NULL ORDER BY id DESC LIMIT 1");
    let row = deployment.client.query_opt(&sql, &[&tenancy.as_uuid()]).await?;
    Ok(row.map(|row| Receipt::of(&row, deployment.mappings)))
}

/// Waits for the receipt.
async fn finished(
    deployment: &Deployment<'_>,
    id: i64,
    tenancy: TenancyId,
    waiting: &mut Waiting<'_>,
) -> Result<Receipt, OperationError> {
    let wait = format!(
        "SELECT GREATEST(ceil(extract(epoch FROM requested_at + {} - clock_timestamp())), 0)::bigint FROM lockstep.erasure WHERE id = $1",
        erasure_wait()
    );
    let client = &deployment.client;
    let seconds: i64 = client.query_opt(&wait, &[&id]).await?.map_or(0, |row| row.get(0));
    waiting.tell(&format!("erasing begins in {seconds} s, when nothing can arrive any more that was read before"));
    let sql = format!("{RECEIPT} WHERE id = $1");
    loop {
        let row = client.query_opt(&sql, &[&id]).await?.ok_or(OperationError::CameBack(tenancy))?;
        let receipt = Receipt::of(&row, deployment.mappings);
        if receipt.finished_at.is_some() {
            return Ok(receipt);
        }
        waiting.pause(|| "the erasure continues".to_owned()).await?;
    }
}
