//! From Postgres's binary `COPY` to ClickHouse's `RowBinary`, field by field, with no row structs in between.
//!
//! Formats: PostgreSQL documentation, "COPY, Binary Format" and the `*_send` functions; ClickHouse documentation, "RowBinary".

mod copy;
mod error;
mod row_binary;

pub use copy::{CopyReader, Fields};
pub use error::CodecError;
pub use row_binary::{RowHead, RowTranscoder};
