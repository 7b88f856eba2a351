//! Knows what every ClickHouse view must hold from the source tables alone, and compares.
//!
//! The judge of the whole system: its SQL, its ClickHouse client and its comparison are its own. Nothing of mappings,
//! worker or verifier is used here, so that a mistake there cannot hide itself.

mod clickhouse_http;
mod compare;
mod destination;
mod report;
mod rows;
mod source;
mod view;

#[cfg(test)]
mod judged;

pub use compare::{compare, eventually_equal};
pub use destination::{Endpoint, found};
pub use report::{Difference, MappingReport, Report};
pub use rows::Rows;
pub use source::{count, expected};
pub use view::{VIEWS, View};
