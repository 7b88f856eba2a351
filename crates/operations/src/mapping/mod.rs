//! Mappings: how each is, and what it is made of. Definitions of an operator's own: written from a live table, checked against the database.

mod check;
mod detail;
mod init;
mod list;
mod own;
mod show;

pub use check::{DefinitionFinding, MappingCheckReport, check_mappings};
pub use detail::{MappingColumn, MappingDetail, MappingTrigger, mapping_detail};
pub use init::{LeftOutColumn, MappingDraft, MappingInitRequest, init_mapping};
pub(crate) use init::{draft_of, names_of, taken};
pub use list::{MappingEntry, MappingState, MappingsReport, mapping_entries, mappings, quarantined_of};
pub use own::OwnDatabases;
pub use show::{MappingStatement, MappingStatements, show_mapping};
