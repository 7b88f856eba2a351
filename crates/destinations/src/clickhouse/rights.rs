//! Whether Lockstep's user has been granted what it needs.

use lockstep_mappings::clickhouse::rights::{Right, rights, rights_to_manage_access};

use super::{ClickHouse, pinned};
use crate::error::DestinationError;

impl ClickHouse {
    /// What the user lacks, as far as the server that answers knows. Changes nothing. Whether a right may be passed on, no question
    /// tells.
    ///
    /// # Errors
    /// What the server says.
    pub async fn missing_rights(&self) -> Result<Vec<Right>, DestinationError> {
        let mut missing = self.missing_of(rights(&self.databases)).await?;
        // Who cannot see how access is managed is told of that first.
        if missing.is_empty() && self.can_manage_access().await? {
            missing = self.missing_of(rights_to_manage_access()).await?;
        }
        Ok(missing)
    }

    async fn missing_of(&self, rights: Vec<Right>) -> Result<Vec<Right>, DestinationError> {
        let mut missing = Vec::new();
        for mut right in rights {
            if self.is_granted(&right).await? {
                continue;
            }
            let mut lacked = Vec::new();
            for one in right.each() {
                if !self.is_granted(&one).await? {
                    lacked.extend(one.privileges);
                }
            }
            right.privileges = lacked;
            missing.extend((!right.privileges.is_empty()).then_some(right));
        }
        Ok(missing)
    }

    async fn is_granted(&self, right: &Right) -> Result<bool, DestinationError> {
        let check = right.check();
        let asking = pinned::text(&self.connection, &check);
        Ok(self.within_statement_timeout(asking).await?.trim() == "1")
    }
}
