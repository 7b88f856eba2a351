//! Rows for the source tables: realistic ones in any number, ones that hurt, and ones that belong to nobody.
//!
//! All are drawn on the server from counters, so that a million rows need no transfer and the same seed gives the same rows.

mod hostile;
mod seed;
mod table;

pub use hostile::hostile;
pub use seed::{Shape, ownerless, seed, seed_tables};
pub use table::Table;
