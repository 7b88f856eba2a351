//! What a destination must have before anything is written to it.

use lockstep_mappings::MappingSet;

use crate::error::DestinationError;

/// What is asked for beside the tables.
#[derive(Clone, Copy, Default, Debug)]
pub struct Wanted {
    /// Views of the same names that read something else are replaced.
    pub replace_views: bool,
}

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvisionStep {
    /// In a few words, for people.
    pub what: String,
    /// Run in this order. Each can be run again.
    pub statements: Vec<String>,
}

/// What is missing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ProvisionPlan {
    /// To be applied in this order.
    pub steps: Vec<ProvisionStep>,
}

/// Why nothing is changed in a destination.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// It cannot be asked.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// Tables are of another shape.
    #[error(
        "LS-0016: ClickHouse holds tables of another shape, which are never written to; nothing was changed:{}\nEither \
         set LOCKSTEP_CLICKHOUSE_RAW_DATABASE (and LOCKSTEP_CLICKHOUSE_VIEW_DATABASE) to databases of other names; \
         Lockstep then builds and fills the right tables beside these. When `lockstep-verifier` finds them equal, set \
         LOCKSTEP_CLICKHOUSE_VIEW_DATABASE back and run `lockstep migrate --replace-views`: every view is swapped at \
         once. Or drop or rename the tables above and run this again.",
        list(.0)
    )]
    OtherShape(Vec<String>),
    /// Names are taken by views that read something else.
    #[error(
        "LS-0017: these names are taken in ClickHouse; nothing was changed:{}\nSet LOCKSTEP_CLICKHOUSE_VIEW_DATABASE \
         to a database of another name, or, once `lockstep-verifier` finds all equal, swap the views with --replace-views.",
        list(.0)
    )]
    NamesTaken(Vec<String>),
}

/// A destination whose tables Lockstep makes. Tables of another shape are never written to.
pub trait Provision: Send + Sync {
    /// What is missing. Changes nothing.
    ///
    /// # Errors
    /// When what is there does not fit, with everything that does not, or when the destination cannot be asked.
    fn plan(
        &self,
        mappings: &MappingSet,
        wanted: Wanted,
    ) -> impl Future<Output = Result<ProvisionPlan, ProvisionError>> + Send;

    /// Does one step.
    ///
    /// # Errors
    /// What the destination says. The step can be applied again.
    fn apply(&self, step: &ProvisionStep) -> impl Future<Output = Result<(), DestinationError>> + Send;

    /// As [`Provision::plan`] with nothing asked for beside the tables, once the destination answers.
    ///
    /// # Errors
    /// As [`Provision::plan`].
    fn check(&self, mappings: &MappingSet) -> impl Future<Output = Result<ProvisionPlan, ProvisionError>> + Send;
}

fn list(items: &[String]) -> String {
    items.iter().map(|item| format!("\n  - {item}")).collect()
}
