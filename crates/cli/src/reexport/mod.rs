//! Exporting again while everything goes on (`lockstep resync`, `lockstep rewind`).
//!
//! Whole mappings are filled again, as they were the first time, by the workers ([`mappings`]). Some tenancies are exported
//! through the stream ([`tenancies`]): a number F is drawn; all their rows get changes above it; when these have arrived, what
//! is left below F at their places is in the destination alone, and gets tombstones of version F. Either way readers see the
//! same rows all the time, old versions replaced by new ones, and a command that was killed can be given again.

pub(crate) mod mappings;
mod stale;
pub(crate) mod tenancies;
