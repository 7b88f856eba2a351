//! Rows as they come from Postgres's binary `COPY`, and as destinations take them: field by field, with no row structs in
//! between.
//!
//! Formats: PostgreSQL documentation, "COPY, Binary Format" and the `*_send` functions; ClickHouse documentation, "RowBinary".

mod array;
mod copy;
mod copy_binary;
mod decimal;
mod error;
mod row;
mod row_binary;
mod timestamp;

pub use copy::{CopyReader, Fields};
pub use copy_binary::{COPY_HEADER, COPY_TRAILER, append_copy_key, append_copy_row, key_texts};
pub use error::CodecError;
pub use row::{Row, RowHead};
pub use row_binary::append_row_binary;
pub(crate) use timestamp::POSTGRES_EPOCH_US;
pub use timestamp::timestamp_millis;
