//! Where rows go: what a destination promises ([`Destination`], and beside it [`Erase`], [`HighWater`], [`Provision`],
//! [`Swap`] and [`compare::Compare`]), and ClickHouse and tenants' own Postgres behind it.
//!
//! A destination takes typed fields, encodes them in its own way, and keeps cursors. Tables, statements and the codec are
//! derived by `lockstep-mappings`. The `clickhouse` crate is named here only.

pub mod clickhouse;
mod clocks;
pub mod compare;
mod destination;
mod erase;
mod error;
mod error_policy;
pub mod faulty;
mod high_water;
pub mod postgres;
mod provision;
mod start;
mod swap;
mod window;

pub use clickhouse::{AccessState, ClickHouse};
pub use clocks::Moment;
pub use destination::{
    CursorAt, Cursors, Destination, Ended, Keeps, PageStart, PageWriter, Selection, Sent, ServerStart, WriteLimits,
    without_ahead,
};
pub use erase::{Erase, OldTombstones, PLACES_PER_STATEMENT, Removal};
pub use error::{DestinationError, Failure, Retry};
pub use error_policy::Policy;
pub use high_water::{HighWater, Mark, Marks, WentBack};
pub use postgres::Postgres;
pub use provision::{Provision, ProvisionError, ProvisionPlan, ProvisionStep, TableAction, TableChange, Wanted, When};
pub use start::refuse_unfit_at_start;
pub use swap::Swap;
pub use window::WriteWindow;
