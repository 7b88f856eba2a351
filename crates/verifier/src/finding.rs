//! One difference, as it may be shown: ids and column names, never a tenant's values.

use lockstep_core::{DestinationId, SequenceId};
use lockstep_mappings::postgres::compare::Key;
use lockstep_mappings::{BaseType, Mapping};
use lockstep_operations::shown::{self, ShownKey};
use serde::Serialize;
use uuid::Uuid;

use crate::class::Class;
use crate::judge::{Kind, Why};
use crate::recheck::{Doubt, Outcome};

/// A row that differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// Where it differs from the source: `clickhouse`, or the id of a tenant's own destination.
    pub destination: String,
    /// How it differs.
    pub kind: Kind,
    /// How it came to, as far as numbers tell.
    pub class: Class,
    /// The number that the destination shows, where it has numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The number of the last change of the row that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_change: Option<i64>,
    /// Since when the change that is on its way has had its number, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why it may still go away by itself; absent for a real difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<Why>,
    /// It is in quarantine for this destination: somebody has to act before it can be there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub quarantined: bool,
    /// Whose row it is, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenancy_id: Option<Uuid>,
    /// Where it is; a tenant's own destination does not say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project_id: String,
    /// Where it is; a tenant's own destination does not say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub branch_id: String,
    /// Its key, by column: ids, numbers and days as they are, of a text `sha256:` and the first 12 digits of its hash.
    pub key: ShownKey,
    /// Of a row that both sides have: the columns that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

impl Finding {
    pub(crate) fn new(to: &DestinationId, mapping: &Mapping, doubt: &Doubt, shown: Shown) -> Self {
        let Key { location, values } = &doubt.key;
        let columns = mapping.key_columns().zip(values);
        let in_flight = match doubt.outcome() {
            Outcome::InFlight(why) => Some(why),
            Outcome::Real | Outcome::Unreadable | Outcome::Settled => None,
        };
        let class = match (&doubt.told, in_flight) {
            (_, Some(_)) => Class::Pending,
            (Some(told), None) => told.class,
            (None, None) => Class::Unreadable,
        };
        Self {
            destination: to.to_string(),
            kind: doubt.kind,
            class,
            version: doubt.told.and_then(|told| told.version).map(SequenceId::get),
            last_change: doubt.told.and_then(|told| told.last_change).or(doubt.waits_for).map(SequenceId::get),
            since: doubt.since.clone(),
            in_flight,
            quarantined: doubt.quarantined,
            tenancy_id: doubt.tenancy.map(|tenancy| tenancy.as_uuid()),
            project_id: shown::id(&location.project_id),
            branch_id: shown::id(&location.branch_id),
            key: columns
                .map(|(column, value)| (column.name.clone(), shown.key(column.column_type.base, value)))
                .collect(),
            columns: doubt.columns.clone(),
        }
    }
}

/// What may be shown of a key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Shown {
    /// As [`shown`] has it: ids, numbers and days; of a text its hash.
    #[default]
    Ids,
    /// Everything, for people who may.
    Keys,
}

impl Shown {
    pub(crate) fn key(self, base: BaseType, value: &str) -> String {
        match self {
            Self::Ids => shown::value_of(base, value),
            Self::Keys => value.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_days_are_shown_and_texts_only_where_they_may_be() {
        let id = "00000000-0000-4000-8000-000000000001";
        assert_eq!(Shown::Ids.key(BaseType::Uuid, id), id);
        assert_eq!(Shown::Ids.key(BaseType::Date, "2026-11-26"), "2026-11-26");
        assert_eq!(Shown::Ids.key(BaseType::Text, "ada@example.com"), "sha256:b5fc85e55755");
        assert_eq!(Shown::Keys.key(BaseType::Text, "ada@example.com"), "ada@example.com");
    }
}
