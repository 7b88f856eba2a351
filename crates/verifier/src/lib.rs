//! Compares the source with its destinations, ClickHouse and tenants' own, row by row and column by column, and says what differs (VER-1).
//!
//! Its own queries ([`lockstep_mappings::postgres::compare`] and its counterparts for the destinations) turn every exported value of
//! both sides into the same canonical text, in the same order; a merge of the two streams finds what differs. What
//! differs is looked at again until it is known to have settled, to be on its way, or to be wrong: `judge` argues why
//! that can be known. No database is written, and no sync is started.
//!
//! Start at [`verify`]. `merge` and `judge` are pure; `source_rows` streams; `first_pass` and `recheck`
//! put them to work for one destination after the other (`service`), or several at a time (`tenants`). A row that the source cannot give is named, and never called equal; the others are compared
//! (`unreadable`). [`compare_file`] compares one side with rows from elsewhere (`file`), by the same rules and the same merge.

mod against;
mod budget;
mod class;
pub mod command;
mod error;
mod evidence;
mod file;
mod finding;
mod first_pass;
mod judge;
mod level;
mod look;
mod merge;
mod narrow;
mod passes;
mod progress;
mod proof;
mod ranges;
mod recent;
mod recheck;
mod record;
mod repair;
mod report;
mod self_test;
mod service;
mod side;
mod source_rows;
mod storage;
mod tenants;
mod totals;
mod unreadable;
mod whose;

pub use against::{FileFinding, FileOptions, FileReport, compare_file, save_file};
pub use budget::Budget;
pub use class::Class;
pub use error::VerifyError;
pub use file::{FileError, LineProblem};
pub use finding::{Finding, Shown};
pub use judge::{Kind, Why};
pub use level::Level;
pub use progress::{Phase, Progress};
pub use record::record;
pub use repair::{RepairReport, plan_repair, repair};
pub use report::{DestinationReport, MappingReport, Report, Verdict};
pub use self_test::{SelfTestOptions, SelfTestReport, self_test};
pub use service::{DestinationChoice, VerifyOptions, verify};
pub use side::{SideChoice, SideOptions};
