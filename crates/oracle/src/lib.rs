//! Knows what every ClickHouse view, and every table of a tenant's own Postgres, must hold from the source tables alone, and
//! compares.
//!
//! The judge of the whole system: its SQL, its ClickHouse client and its comparison are its own. It depends on no other
//! crate of Lockstep, so that a mistake in what it judges cannot hide itself.

mod clickhouse_http;
mod compare;
mod destination;
mod report;
mod rows;
mod source;
mod tenant;
mod view;

#[cfg(test)]
mod judged;
#[cfg(test)]
mod judged_tenant;

pub use clickhouse_http::Endpoint;
pub use compare::compare;
pub use destination::found;
pub use report::{Difference, MappingReport, Report};
pub use rows::Rows;
pub use source::{count, expected};
pub use tenant::{compare_tenant, expected_of};
pub use view::{ColumnType, VIEWS, View};
