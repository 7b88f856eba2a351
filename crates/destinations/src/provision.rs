//! What a destination must have before anything is written to it.

use std::collections::BTreeSet;

use lockstep_core::MappingName;
use lockstep_mappings::MappingSet;
use serde::Serialize;

use crate::error::DestinationError;

/// What is asked for beside what the definitions say, and what is known of what was done before.
#[derive(Clone, Default, Debug)]
pub struct Wanted {
    /// Views of the same names that read something else are replaced.
    pub replace_views: bool,
    /// Columns that the definitions no longer have are dropped.
    pub drop_columns: bool,
    /// Tables that another system has made are replaced too, by right ones that are built beside them.
    pub rebuild: bool,
    /// Tables that are replaced are kept under another name. Those of another system always are.
    pub keep: bool,
    /// Mappings that were set up before: their tables are Lockstep's own.
    pub own: BTreeSet<MappingName>,
    /// Mappings of which a table is being built beside, as their definitions say.
    pub under_way: BTreeSet<MappingName>,
}

/// When a step is done: some before the mappings are filled, some once programs know that they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Before fills begin.
    BeforeFills,
    /// After they have begun.
    AfterFills,
}

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvisionStep {
    /// In a few words, for people.
    pub what: String,
    /// Run in this order. Each can be run again.
    pub statements: Vec<String>,
    /// When.
    pub when: When,
}

impl ProvisionStep {
    /// What is done before fills begin.
    pub fn new(what: impl Into<String>, statements: Vec<String>) -> Self {
        Self { what: what.into(), statements, when: When::BeforeFills }
    }

    /// What is done after fills have begun.
    pub fn after_fills(what: impl Into<String>, statements: Vec<String>) -> Self {
        Self { when: When::AfterFills, ..Self::new(what, statements) }
    }
}

/// What happens to a table that differs from its definition.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum TableAction {
    /// Columns are added; the mapping is exported again.
    ColumnsAdded,
    /// Columns that no definition has any more stay until `--drop` says otherwise.
    ColumnsKept,
    /// Columns that no definition has any more are dropped.
    ColumnsDropped,
    /// The right table is built beside, filled, and takes its place; the other is dropped then.
    BuiltBeside,
    /// The same; the other is kept under another name.
    BuiltBesideAndKept,
    /// That is under way.
    BeingBuilt,
}

/// A table that differs from its definition.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct TableChange {
    /// With its database.
    pub table: String,
    /// What happens to it.
    pub action: TableAction,
    /// In what it differs, a sentence each.
    pub differences: Vec<String>,
    /// Rows that it holds, old versions included.
    pub rows: u64,
}

/// What is missing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ProvisionPlan {
    /// To be applied in this order.
    pub steps: Vec<ProvisionStep>,
    /// Tables that differ from their definitions.
    pub changes: Vec<TableChange>,
    /// Mappings whose rows have to go into a table beside their own, with whether the latter is kept.
    pub rebuilt: Vec<(MappingName, bool)>,
}

/// Why nothing is changed in a destination.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// It cannot be asked.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// Tables are of another shape, and nobody has said that they may be replaced.
    #[error(
        "LS-0016: ClickHouse holds tables of another shape, which are never written to; nothing was changed:{}\nEither \
         stop what writes to them and run `lockstep migrate --rebuild`: the right tables are built beside these and take their \
         places when they are whole, and these are kept under other names. Or set LOCKSTEP_CLICKHOUSE_RAW_DATABASE (and \
         LOCKSTEP_CLICKHOUSE_VIEW_DATABASE) to databases of other names; when `lockstep-verifier` finds all equal there, set \
         LOCKSTEP_CLICKHOUSE_VIEW_DATABASE back and run `lockstep migrate --replace-views`.",
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
    /// Tables cannot be built beside others.
    #[error("LS-0027: tables cannot be built beside these; nothing was changed:{}", list(.0))]
    NoPlaceBeside(Vec<String>),
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
        wanted: &Wanted,
    ) -> impl Future<Output = Result<ProvisionPlan, ProvisionError>> + Send;

    /// Does one step.
    ///
    /// # Errors
    /// What the destination says. The step can be applied again.
    fn apply(&self, step: &ProvisionStep) -> impl Future<Output = Result<(), DestinationError>> + Send;
}

fn list(items: &[String]) -> String {
    items.iter().map(|item| format!("\n  - {item}")).collect()
}
