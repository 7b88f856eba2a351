//! What is proven of a tenancy, and a certificate of it.

mod certificate;

use lockstep_core::TenancyId;
pub use lockstep_schema::verifications::{OpenFinding, Proven};
use lockstep_schema::verifications::{open_findings, own_mappings, proven};
use serde::Serialize;

pub use self::certificate::{Certificate, CertificateError, SigningKey, VerifyingKey};
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::tenancies::must_exist;

/// What is proven of a tenancy.
#[derive(Serialize, Debug)]
pub struct VerifiedReport {
    /// Whose.
    pub tenancy: String,
    /// When it was asked, in UTC, by the source's clock.
    pub asked_at: String,
    /// Through which number each mapping is proven in each destination, by level.
    pub proven: Vec<Proven>,
    /// Mappings of whose rows nothing is proven in ClickHouse; then those of its own destinations, behind the id of theirs.
    pub unproven: Vec<String>,
    /// Rows that differed when they were looked at last, some of them.
    pub findings: Vec<OpenFinding>,
}

const NOW: &str = r#"SELECT to_char(clock_timestamp(), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"#;

/// What is proven of a tenancy, as the verifier has written it down. Nothing is compared.
///
/// # Errors
/// When there is no such tenancy, or Postgres cannot be asked.
pub async fn verified(deployment: &Deployment<'_>, tenancy: TenancyId) -> Result<VerifiedReport, OperationError> {
    deployment.control()?;
    must_exist(&deployment.client, tenancy).await?;
    let proven = proven(&deployment.client, tenancy.as_uuid()).await?;
    // Numbers and counts are no proof of what rows hold.
    let is_proven = |destination: &str, name: &str| {
        proven.iter().any(|one| one.destination == destination && one.mapping == name && one.level != "versions")
    };
    let clickhouse =
        deployment.mappings.iter().map(|mapping| (crate::DESTINATION.to_owned(), mapping.name.to_string()));
    let own = own_mappings(&deployment.client, tenancy.as_uuid()).await?;
    let unproven = clickhouse.chain(own).filter(|(destination, name)| !is_proven(destination, name));
    let unproven =
        unproven.map(
            |(destination, name)| {
                if destination == crate::DESTINATION { name } else { format!("{destination}: {name}") }
            },
        );
    Ok(VerifiedReport {
        tenancy: tenancy.to_string(),
        asked_at: deployment.client.query_one(NOW, &[]).await?.get(0),
        unproven: unproven.collect(),
        findings: open_findings(&deployment.client, tenancy.as_uuid()).await?,
        proven,
    })
}
