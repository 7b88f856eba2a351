//! Having a tenancy erased from the destination (ERASE-1).
//!
//! The work is done by a worker's janitor, as it is for every tenancy that is gone; this asks for it, and waits. Called again
//! it waits for the same erasure.

use std::time::Duration;

use lockstep_core::{Location, TenancyId};
use lockstep_mappings::MappingSet;
pub use lockstep_schema::erasures::{Receipt, TenantReceipt};
use lockstep_schema::{Control, erasures, tenancy_locations};
use serde::Serialize;
use serde_json::Value;

use crate::DESTINATION;
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::pause::{Part, pause};
use crate::progress::{Progress, Waiting};
use crate::tenancies::exists;

/// Workers obey a pause within a second; what they read until then is waited for.
const WORKERS_OBEY: Duration = Duration::from_secs(3);

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
    /// What was counted after the removal; none where the erasure continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// The tenancy's own databases; none where the erasure continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_databases: Option<Vec<TenantReceipt>>,
}

impl EraseReport {
    /// Names every mapping, whether anything of it was removed or not.
    fn of(
        outcome: EraseOutcome,
        mut receipt: Receipt,
        own_databases: Vec<TenantReceipt>,
        mappings: &MappingSet,
    ) -> Self {
        if let Some(removed) = receipt.removed.as_object_mut() {
            for mapping in mappings.iter() {
                removed.entry(mapping.name.as_str()).or_insert(Value::from(0));
            }
        }
        Self { outcome, receipt: Some(receipt), left: Some(0), own_databases: Some(own_databases) }
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
    let (client, control, tenancy) = (&deployment.client, deployment.control()?, request.tenancy);
    let mut waiting = Waiting::new(request.limit, progress);
    let known = tenancy_locations::is_known(control, tenancy).await?;
    let exists = exists(client, tenancy).await?;
    if exists && !request.and_pause {
        return Err(OperationError::StillExists(tenancy));
    }
    if exists {
        waiting.tell("the tenancy is being paused");
        pause(deployment, &Part::Tenancy(tenancy), "lockstep erase --and-pause").await?;
        tokio::time::sleep(WORKERS_OBEY).await;
    } else if let (false, Some(location)) = (known, &request.location) {
        tenancy_locations::remember(control, tenancy, location).await?;
    } else if !known {
        let receipt = erasures::receipt(control, tenancy, &DESTINATION.into(), None).await?;
        let receipt = receipt.ok_or(OperationError::PlaceUnknown(tenancy))?;
        let own = erasures::of_own_databases(control, tenancy).await?;
        return Ok(EraseReport::of(EraseOutcome::ErasedBefore, receipt, own, deployment.mappings));
    }
    let id = erasures::request(control, tenancy, &DESTINATION.into(), exists).await?;
    match finished(control, id, tenancy, &mut waiting).await {
        Ok(receipt) => {
            let own = erasures::of_own_databases(control, tenancy).await?;
            Ok(EraseReport::of(EraseOutcome::Erased, receipt, own, deployment.mappings))
        }
        Err(OperationError::Unfinished(_)) => {
            Ok(EraseReport { outcome: EraseOutcome::InFlight, receipt: None, left: None, own_databases: None })
        }
        Err(error) => Err(error),
    }
}

/// Waits for the receipt.
async fn finished(
    control: &Control,
    id: i64,
    tenancy: TenancyId,
    waiting: &mut Waiting<'_>,
) -> Result<Receipt, OperationError> {
    let seconds = erasures::begins_in_s(control, id).await?;
    waiting.tell(&format!("erasing begins in {seconds} s, when nothing can arrive any more that was read before"));
    loop {
        let receipt = erasures::receipt(control, tenancy, &DESTINATION.into(), Some(id)).await?;
        let receipt = receipt.ok_or(OperationError::CameBack(tenancy))?;
        if receipt.finished_at.is_some() {
            return Ok(receipt);
        }
        waiting.pause(|| "the erasure continues".to_owned()).await?;
    }
}
