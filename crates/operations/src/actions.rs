//! Who changed what (`lockstep.action`): writing it down, and the last entries.

use lockstep_core::TenancyId;
use serde::Serialize;
use serde_json::Value;

use crate::deployment::Deployment;
use crate::error::OperationError;

/// Entries that are told of.
const TOLD: i64 = 50;
/// Entries that are looked through for those about one tenancy.
const LOOKED_THROUGH: i64 = 10_000;

/// A change that somebody made.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct ActionEntry {
    /// Its number.
    pub id: i64,
    /// When it began, in UTC.
    pub at: String,
    /// The role in the source database, with what it ran on or through.
    pub who: String,
    /// As it is typed.
    pub what: String,
    /// What it was given: ids, names and switches.
    pub arguments: Value,
    /// What came of it; none while it runs, and where it was killed.
    pub outcome: Option<String>,
}

/// The last entries, of those that name the tenancy `$1 text` where it is given. `$2 bigint` are looked through.
const LAST: &str = r#"SELECT id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), who, what, arguments, outcome
FROM (SELECT * FROM lockstep.action ORDER BY id DESC LIMIT $2) a
WHERE $1::text IS NULL OR arguments->>'tenant' = $1 OR arguments->>'name' = $1 OR arguments->'tenants' ? $1
ORDER BY id DESC LIMIT $3"#;

/// The last changes that somebody made, of one tenancy or of all.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn actions(deployment: &Deployment<'_>, of: Option<TenancyId>) -> Result<Vec<ActionEntry>, OperationError> {
    deployment.control()?;
    let of = of.map(|id| id.to_string());
    let rows = deployment.client.query(LAST, &[&of, &LOOKED_THROUGH, &TOLD]).await?;
    let entry = |row: &tokio_postgres::Row| ActionEntry {
        id: row.get(0),
        at: row.get(1),
        who: row.get(2),
        what: row.get(3),
        arguments: row.get(4),
        outcome: row.get(5),
    };
    Ok(rows.iter().map(entry).collect())
}

/// Writes down that a change begins; returns the entry's number. `arguments` holds no secret, and no tenant's values.
///
/// # Errors
/// When Postgres cannot be asked, or the session may not write.
pub async fn begin_action(
    deployment: &Deployment<'_>,
    through: &str,
    what: &str,
    arguments: &Value,
) -> Result<i64, OperationError> {
    Ok(lockstep_schema::actions::begin(deployment.control()?, Some(through), what, arguments).await?)
}

/// Writes down what came of it.
///
/// # Errors
/// When Postgres cannot be asked, or the session may not write.
pub async fn end_action(deployment: &Deployment<'_>, id: i64, outcome: &str) -> Result<(), OperationError> {
    Ok(lockstep_schema::actions::end(deployment.control()?, id, outcome).await?)
}
