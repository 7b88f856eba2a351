//! What Lockstep's user lacks in ClickHouse, and the statement that grants it.

use lockstep_destinations::{ClickHouse, DestinationError};
use lockstep_mappings::clickhouse::rights::Right;

use super::Check;

/// A finding for each thing that the user lacks rights on.
///
/// # Errors
/// When ClickHouse cannot be asked.
pub async fn missing_rights(check: &'static str, clickhouse: &ClickHouse) -> Result<Vec<Check>, DestinationError> {
    let missing = clickhouse.missing_rights().await?;
    let finding = |right: &Right| {
        let what = format!("the user may not {} on {}", right.privileges.join(", "), right.on);
        Check::finding(check, what, right.grant(clickhouse.user()))
    };
    Ok(missing.iter().map(finding).collect())
}
