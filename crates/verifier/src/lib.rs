//! Compares the source with its destinations, ClickHouse and tenants' own, row by row and column by column, and says what differs (VER-1).
//!
//! Both sides are added up by place (`passes`, `totals`); where they are unlike, a large place is cut into buckets of keys (`narrow`), and a merge of
//! two streams of canonical text in the same order finds the rows that differ (`first_pass`, `merge`). What differs is looked at again until it is known
//! to have settled, to be on its way, or to be wrong: `judge` argues why that can be known. How it came to is told by numbers (`class`, `evidence`).
//! What is proven is written down (`proof`, `record`), and what differs is mended through the inbox where that is asked for (`repair`). No destination is
//! written, but for the rows that `self_test` plants in a tenancy of its own.
//!
//! Start at [`verify`]. `merge`, `judge`, `class` and `budget` are pure; `source_rows` streams. One destination is compared after the other (`service`), or
//! several at a time (`tenants`). A row that the source cannot give is named, and never called equal; the others are compared (`unreadable`).
//! [`compare_file`] compares one side with rows from elsewhere (`file`), by the same rules and the same merge.

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
