//! What is synced, and everything that follows from it.
//!
//! A mapping is one TOML file in `definitions/`. From it this crate derives, without any I/O: capture triggers, what
//! reads, numbers, fetches, fills and compares in Postgres, the tables, views and access of ClickHouse, and the
//! codec between the two wire formats. Two lists that must agree are one list.
//!
//! Start at [`MappingSet::load`], then read [`Mapping`]; `postgres`, `clickhouse` and `codec` turn it into text and bytes.

pub mod clickhouse;
pub mod codec;
mod column_type;
mod definition;
mod fingerprint;
mod mapping;
pub mod postgres;
pub mod row_hash;
mod set;
mod statements;
mod template;
pub mod tenant;

pub use column_type::{BaseType, ColumnType, Elements, MAX_PRECISION};
pub use definition::{DefinitionError, DefinitionErrors, Draft, DraftError, DraftRequest, LeftOut, draft};
pub use mapping::{Column, Join, Mapping, SourceTable, Tenant, Value};
pub use set::MappingSet;
pub use statements::{Statement, statements};
pub use template::{ColumnRef, Template};
