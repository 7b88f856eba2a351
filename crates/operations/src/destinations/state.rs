//! What a tenant's destination is doing, in one word, from what workers have written down.

use lockstep_schema::pauses::PausedPart;
use lockstep_schema::tenant_destinations::TenantDestination;
use lockstep_schema::tenant_destinations::mappings::{MappingState, TenantMapping};
use serde::Serialize;
use uuid::Uuid;

/// What a destination is doing.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum DestinationState {
    /// It, its tenancy, or all of shipping is paused.
    Paused,
    /// Its last attempts have failed, and the next one waits.
    BackingOff,
    /// Mappings are filled for the first time or again, or it was not looked at yet.
    Filling,
    /// Mappings are to be filled again: that has not begun.
    NeedsRefill,
    /// Changes are on their way.
    Behind,
    /// It holds everything that was noted of its tenancy.
    InStep,
}

/// A destination as it is told of.
#[derive(Clone, Serialize, Debug)]
pub struct DestinationEntry {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub tenancy: Uuid,
    /// What kind of database it is.
    pub kind: &'static str,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
    /// The mappings that go there; none where all do.
    pub mappings: Option<Vec<String>>,
    /// The key that its connection string is encrypted with.
    pub key_id: String,
    /// When it was added, in UTC.
    pub added_at: String,
    /// In one word.
    pub state: DestinationState,
    /// Through which number it holds everything.
    pub passed: i64,
    /// Numbers from there to the last change of its tenancy.
    pub behind_by: i64,
    /// Rows that the fills under way have shipped; none where there is no fill.
    pub filled_rows: Option<i64>,
    /// Of about how many; none where that is not known.
    pub total_rows: Option<i64>,
    /// Mappings that are to be filled again.
    pub needs_refill: Vec<String>,
    /// Mappings that are stopped, as their tables there do not fit.
    pub stopped: Vec<String>,
    /// Failures in a row.
    pub failures: i32,
    /// Since when it fails, in UTC; none where the last attempt went well.
    pub backing_off_since: Option<String>,
    /// When it is tried again, in UTC.
    pub retry_at: Option<String>,
    /// The code of the last failure.
    pub error_code: Option<String>,
    /// The last failure.
    pub error: Option<String>,
    /// When something last went well there, in UTC.
    pub last_success_at: Option<String>,
    /// What pauses it.
    pub paused: Vec<PausedPart>,
}

impl DestinationEntry {
    pub(super) fn of(destination: TenantDestination, mappings: &[TenantMapping], paused: &[PausedPart]) -> Self {
        let TenantDestination { setup, added_at, progress, breaker, .. } = destination;
        let paused: Vec<_> =
            paused.iter().filter(|part| pauses(part, setup.id, setup.tenancy.as_uuid())).cloned().collect();
        let named = |holds: fn(&TenantMapping) -> bool| -> Vec<String> {
            mappings.iter().filter(|mapping| holds(mapping)).map(|mapping| mapping.mapping.clone()).collect()
        };
        let filling: Vec<_> = mappings.iter().filter(|mapping| is_filling(mapping)).collect();
        let needs_refill = named(|mapping| mapping.refill_requested_at.is_some() && mapping.filled_at.is_some());
        let mut entry = Self {
            id: setup.id,
            tenancy: setup.tenancy.as_uuid(),
            kind: "postgres",
            host: setup.address.host,
            port: setup.address.port,
            database: setup.address.database,
            user: setup.address.user,
            mappings: setup.mappings,
            key_id: setup.sealed.key_id,
            added_at,
            state: DestinationState::InStep,
            passed: progress.passed,
            behind_by: (progress.known - progress.passed).max(0),
            filled_rows: (!filling.is_empty()).then(|| filling.iter().map(|mapping| mapping.filled_rows).sum()),
            total_rows: (!filling.is_empty())
                .then(|| filling.iter().map(|mapping| mapping.total_rows).sum::<Option<i64>>())
                .flatten(),
            needs_refill,
            stopped: named(|mapping| mapping.state == MappingState::Stopped),
            failures: breaker.failures,
            backing_off_since: breaker.failing_since,
            retry_at: breaker.retry_at,
            error_code: breaker.error_code,
            error: breaker.error,
            last_success_at: progress.last_success_at,
            paused,
        };
        entry.state = entry.judged(!filling.is_empty(), progress.unfinished);
        entry
    }

    /// What matters most comes first.
    fn judged(&self, is_filling: bool, is_unfinished: bool) -> DestinationState {
        if !self.paused.is_empty() {
            DestinationState::Paused
        } else if self.backing_off_since.is_some() {
            DestinationState::BackingOff
        } else if is_filling {
            DestinationState::Filling
        } else if !self.needs_refill.is_empty() {
            DestinationState::NeedsRefill
        } else if is_unfinished {
            DestinationState::Filling
        } else if self.behind_by > 0 {
            DestinationState::Behind
        } else {
            DestinationState::InStep
        }
    }
}

/// A fill that is under way, or will be the first.
fn is_filling(mapping: &TenantMapping) -> bool {
    mapping.state == MappingState::Filling && (mapping.refill_requested_at.is_none() || mapping.filled_at.is_none())
}

/// Whether a pause holds for a destination of a tenancy.
fn pauses(part: &PausedPart, id: Uuid, tenancy: Uuid) -> bool {
    match part.kind.as_str() {
        "workers" => true,
        "destination" => part.name == id.to_string(),
        "tenancy" => part.name == tenancy.to_string(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
