//! SQL for the source database, derived from definitions. Pure text: nothing here talks to a server.
//!
//! Aliases are the same in every statement: `s` is the source row, `t` its tenancy, `c` a change, `e` an expansion, `w` one
//! tenancy of the work at hand, `j_…` a joined row.

pub mod capture;
pub mod compare;
pub mod erase;
pub mod expand;
pub mod explain;
pub mod facts;
pub mod fetch;
pub mod fill;
pub mod inbox;
pub mod indexes;
mod key;
pub mod mark;
mod names;
pub mod passes;
mod places;
pub mod quarantine;
mod row;
mod target;
mod tenancies;
pub mod tenant_fill;

pub(crate) use key::MAX_OF_A_KIND;
pub use names::{CONTROL_SCHEMA, SEQUENCE, identifier, literal, stable_hash, table, tenancy_table};
pub use places::tenancies_ever_at;
pub use target::Target;
pub use tenancies::{KEEPER, tenancies_kept_from, tenancies_taken_out};
