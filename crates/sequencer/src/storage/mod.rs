//! The sequencer's SQL: what it asks of Postgres, and in which words. Derived statements come from the mappings.

pub(crate) mod announcements;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod expansions;
pub(crate) mod leadership;
pub(crate) mod passes;
mod query;
pub(crate) mod upkeep;
