//! SQL for the source database, derived from definitions. Pure text: nothing here talks to a server.
//!
//! Aliases are the same in every statement: `s` is the source row, `t` its tenancy, `d` a tombstone, `w` one tenancy of
//! the work at hand, `j_…` a joined row.

pub mod backlog;
pub mod bypassed;
pub mod capture;
pub mod compare;
pub mod erase;
pub mod facts;
pub mod fetch;
pub mod indexes;
mod names;
pub mod quarantine;
mod quote;
mod row;
pub mod snapshot;
pub mod stamp;
mod tombstone;
pub mod touch;

pub use names::{CONTROL_SCHEMA, FLAG_COLUMN, SEQUENCE, SEQUENCE_COLUMN, STAMPING_SETTING, TENANCY_TOUCH};
pub use names::{deleted_row_table, tenancy_table};
pub use quote::{identifier, literal, table};
