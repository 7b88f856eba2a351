//! What the verifier has written down, run by run, and the receipts of erasures.

use lockstep_schema::erasures;
pub use lockstep_schema::erasures::OwnReceipt;
use lockstep_schema::verification_runs;
pub use lockstep_schema::verification_runs::{FindingOf, VerificationRun};

use crate::deployment::Deployment;
use crate::error::OperationError;

/// Runs, receipts and findings of one page.
pub const RUNS_A_PAGE: i64 = 20;

/// The verifier's runs with a number below `before`, the last first.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn verification_runs(
    deployment: &Deployment<'_>,
    before: Option<i64>,
) -> Result<Vec<VerificationRun>, OperationError> {
    deployment.control()?;
    Ok(verification_runs::before(&deployment.client, before, RUNS_A_PAGE).await?)
}

/// One run, or `None` where it is not kept.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn verification_run(deployment: &Deployment<'_>, id: i64) -> Result<Option<VerificationRun>, OperationError> {
    let runs = verification_runs(deployment, Some(id.saturating_add(1))).await?;
    Ok(runs.into_iter().next().filter(|run| run.id == id))
}

/// Rows that differed when they were looked at last, whoever's they are, with a number below `before`, the last first.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn all_findings(deployment: &Deployment<'_>, before: Option<i64>) -> Result<Vec<FindingOf>, OperationError> {
    deployment.control()?;
    Ok(verification_runs::open_findings(&deployment.client, before, RUNS_A_PAGE).await?)
}

/// Receipts of erasures that are finished, with a number below `before`, the last first.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn receipts(deployment: &Deployment<'_>, before: Option<i64>) -> Result<Vec<OwnReceipt>, OperationError> {
    Ok(erasures::finished_before(deployment.control()?, before, RUNS_A_PAGE).await?)
}

/// One receipt, or `None` where there is none.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn receipt(deployment: &Deployment<'_>, id: i64) -> Result<Option<OwnReceipt>, OperationError> {
    let found = receipts(deployment, Some(id.saturating_add(1))).await?;
    Ok(found.into_iter().next().filter(|receipt| receipt.id == id))
}
