//! `lockstep pause`, `lockstep resume` and `lockstep paused`: stopping a part, and letting it go on.

use clap::{Args, Subcommand};
use lockstep_core::TenancyId;
use lockstep_operations::{ActionRecord, Part, PauseReport, PausedReport};

use crate::output::{Page, Report, say, table};

#[derive(Args, Debug)]
pub(crate) struct PauseArgs {
    #[command(subcommand)]
    pub(crate) part: PartArgs,
    /// Why, for whoever looks at what is paused
    #[arg(long, value_name = "TEXT", default_value = "", global = true)]
    pub(crate) reason: String,
}

#[derive(Args, Debug)]
pub(crate) struct ResumeArgs {
    #[command(subcommand)]
    pub(crate) part: PartArgs,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum PartArgs {
    /// While it is paused, changes get no numbers; they stay in the inbox
    Sequencer,
    /// While they are paused, nothing is shipped
    #[command(alias = "worker")]
    Workers,
    /// While it is paused, this mapping is not shipped
    Mapping {
        /// Its name
        name: String,
    },
    /// While it is paused, nothing is shipped to this destination
    Destination {
        /// clickhouse, or the id of a tenant's own
        name: String,
    },
    /// While it is paused, this tenancy is not shipped; nor is anything filled: ranges hold rows of all tenancies
    #[command(alias = "tenant")]
    Tenancy {
        /// "Tenancy"."id"
        id: TenancyId,
    },
}

impl PartArgs {
    /// As it is written down.
    pub(crate) fn change(&self, what: &'static str) -> ActionRecord {
        ActionRecord::of_part(what, &Part::from(self))
    }
}

impl From<&PartArgs> for Part {
    fn from(part: &PartArgs) -> Self {
        match part.clone() {
            PartArgs::Sequencer => Self::Sequencer,
            PartArgs::Workers => Self::Workers,
            PartArgs::Mapping { name } => Self::Mapping(name),
            PartArgs::Destination { name } => Self::Destination(name),
            PartArgs::Tenancy { id } => Self::Tenancy(id),
        }
    }
}

impl Report for PauseReport {
    fn print(&self, page: &mut Page) {
        let said = match (self.paused, self.changed) {
            (true, true) => "Paused",
            (true, false) => "Already paused",
            (false, true) => "Resumed",
            (false, false) => "Was not paused",
        };
        say!(page, "{said}: {}.", format!("{} {}", self.kind, self.name).trim_end());
    }
}

impl Report for PausedReport {
    fn print(&self, page: &mut Page) {
        if self.paused.is_empty() {
            say!(page, "Nothing is paused.");
            return;
        }
        let rows =
            self.paused.iter().map(|part| [&part.kind, &part.name, &part.since, &part.reason].map(String::clone));
        say!(page, "{}", table(["paused", "name", "since", "reason"], rows));
    }

    fn list(&self) -> Option<&'static str> {
        Some("paused")
    }
}
