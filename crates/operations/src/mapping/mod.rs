//! Definitions of an operator's own: written from a live table, checked against the database, shown as statements.

mod check;
mod init;
mod show;

pub use check::{DefinitionFinding, MappingCheckReport, check_mappings};
pub use init::{LeftOutColumn, MappingDraft, MappingInitRequest, init_mapping};
pub(crate) use init::{draft_of, taken};
pub use show::{MappingStatement, MappingStatements, show_mapping};
