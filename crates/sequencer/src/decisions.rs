//! What a sequencer decides about a pass, for the model of the whole (`tests/model.rs`): no database.

use crate::plan::lanes;

/// The lanes of an ordinary pass, in order: those that wait, beginning with `first`. Lane 0 is the tombstones.
pub fn lanes(waiting: &[bool], first: usize) -> Vec<usize> {
    lanes::waiting(waiting, first)
}
