//! Who changed what (`lockstep.action`): writing it down, and the last entries.

use lockstep_core::TenancyId;
use serde::Serialize;
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::pause::Part;

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

/// A change as it is written down, whoever makes it.
#[derive(Clone, PartialEq, Debug)]
pub struct ActionRecord {
    /// As it is typed.
    pub what: &'static str,
    /// Ids, names and switches: no free text, no secret, and no tenant's values.
    pub arguments: Value,
}

impl ActionRecord {
    /// A change that only one command makes.
    pub const fn new(what: &'static str, arguments: Value) -> Self {
        Self { what, arguments }
    }

    /// A part is paused or resumed.
    pub fn of_part(what: &'static str, part: &Part) -> Self {
        Self::new(what, json!({ "kind": part.kind(), "name": part.name() }))
    }

    /// Rows are exported again; no tenancy or mapping: all.
    pub fn resync(tenants: &[TenancyId], mappings: &[String], destination: &str) -> Self {
        let tenants: Vec<_> = tenants.iter().map(ToString::to_string).collect();
        Self::new("resync", json!({ "tenants": tenants, "mappings": mappings, "destination": destination }))
    }

    /// Rows in quarantine are shipped again, or forgotten: of a mapping, a tenant and a destination, with an error code.
    pub fn of_quarantine(
        what: &'static str,
        [mapping, tenant, destination, code]: [Option<&str>; 4],
        all: bool,
    ) -> Self {
        let of = json!({ "mapping": mapping, "tenant": tenant, "destination": destination, "code": code, "all": all });
        Self::new(what, of)
    }

    /// A tenancy is erased.
    pub fn erase(tenant: TenancyId, and_pause: bool) -> Self {
        Self::new("erase", json!({ "tenant": tenant.to_string(), "and_pause": and_pause }))
    }

    /// A setting of all programs gets a value.
    pub fn setting(name: &str, value: &str) -> Self {
        Self::new("settings set", json!({ "name": name, "value": value }))
    }
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

/// Writes down that a change begins; returns the entry's number.
///
/// # Errors
/// When Postgres cannot be asked, or the session may not write.
pub async fn begin_action(
    deployment: &Deployment<'_>,
    through: &str,
    change: &ActionRecord,
) -> Result<i64, OperationError> {
    Ok(lockstep_schema::actions::begin(deployment.control()?, Some(through), change.what, &change.arguments).await?)
}

/// Writes down what came of it.
///
/// # Errors
/// When Postgres cannot be asked, or the session may not write.
pub async fn end_action(deployment: &Deployment<'_>, id: i64, outcome: &str) -> Result<(), OperationError> {
    Ok(lockstep_schema::actions::end(deployment.control()?, id, outcome).await?)
}
