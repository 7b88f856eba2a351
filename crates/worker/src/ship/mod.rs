//! One mapping's rows on their way: read as binary `COPY`, checked, transcoded, gathered into chunks, inserted.
//!
//! Reading and writing are two tasks with a short channel of chunks between them, so that both sides work at once and
//! memory is bounded by chunks, whatever the size of a tenant.

mod gate;
mod read;
mod write;

pub(crate) use gate::{BaseGate, FormerGate, PageGate};
pub(crate) use read::{Copied, copy_rows};
pub(crate) use write::{InsertLimits, Pieces, Written, pieces, write};
