//! A tenant's own destination, as the registry has it, and how to reach it.

use lockstep_core::{DestinationId, TenancyId};
use lockstep_destinations::Postgres;
use lockstep_destinations::postgres::MappingState as FoundState;
use lockstep_mappings::Mapping;
use lockstep_schema::tenant_destinations::mappings::{self as registered, MappingState, TenantMapping};
use lockstep_schema::tenant_destinations::{self as registry, TenantDestination};

use super::held::{self, Unreachable};
use super::report::{BreakerState, Fill, FillState};
use crate::deployment::Deployment;
use crate::destinations::postgres;
use crate::error::OperationError;

/// A tenant's own destination that takes the mapping.
pub(super) struct OwnDestination {
    one: TenantDestination,
    mapping: Option<TenantMapping>,
    pub(super) postgres: Result<Postgres, Unreachable>,
}

impl OwnDestination {
    pub(super) async fn all(
        deployment: &Deployment<'_>,
        mapping: &Mapping,
        tenancy: TenancyId,
    ) -> Result<Vec<Self>, OperationError> {
        let control = deployment.control()?;
        let mut found = registry::list(control, Some(tenancy)).await?;
        found.retain(|one| one.setup.takes(mapping.name.as_str()));
        let ids: Vec<_> = found.iter().map(|one| one.setup.id).collect();
        let mut states = registered::of(control, &ids).await?;
        states.retain(|state| state.mapping == mapping.name.as_str());
        let own = found.into_iter().map(|one| Self {
            mapping: states.iter().find(|state| state.destination == one.setup.id).cloned(),
            postgres: postgres(deployment.settings, &one.setup).map_err(|error| error.to_string()),
            one,
        });
        Ok(own.collect())
    }

    pub(super) fn id(&self) -> DestinationId {
        self.one.setup.destination_id()
    }

    pub(super) fn fill(&self, found: Option<&FoundState>, is_refilled: bool) -> Fill {
        let of = |state| Fill { state, error: None };
        let registered = self.mapping.as_ref();
        if let Some(stopped) = registered.filter(|mapping| mapping.state == MappingState::Stopped) {
            return Fill { state: FillState::Stopped, error: stopped.error.clone() };
        }
        let is_asked_for = registered.is_some_and(|mapping| mapping.refill_requested_at.is_some());
        match found {
            None => of(FillState::Unknown),
            Some(FoundState::Filling(_)) => of(FillState::Filling),
            Some(FoundState::Absent) => of(FillState::WaitsForFill),
            Some(FoundState::At(_)) if is_asked_for || is_refilled => of(FillState::WaitsForFill),
            Some(FoundState::At(_)) if registered.is_some_and(|mapping| mapping.state == MappingState::Filling) => {
                of(FillState::Filling)
            }
            Some(FoundState::At(_)) => of(FillState::Filled),
        }
    }

    pub(super) fn breaker(&self) -> Option<BreakerState> {
        let breaker = &self.one.breaker;
        breaker.failing_since.is_some().then(|| BreakerState {
            failures: breaker.failures,
            since: breaker.failing_since.clone(),
            retry_at: breaker.retry_at.clone(),
            error_code: breaker.error_code.clone(),
            error: breaker.error.clone(),
        })
    }

    /// Where the mapping stands there.
    pub(super) async fn state(&self, mapping: &Mapping) -> Result<FoundState, Unreachable> {
        match &self.postgres {
            Ok(postgres) => held::state(postgres, &mapping.name).await,
            Err(why) => Err(why.clone()),
        }
    }
}
