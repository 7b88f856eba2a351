//! Batches whose rows are written and whose cursors have not moved yet. Their messages are let go when these have.

use std::time::Duration;

use lockstep_core::telemetry::Origin;
use lockstep_queue::Delivery;
use tokio::time::{Instant, sleep_until};

use crate::flush::{CursorMoves, CursorWrite, Failed};
use crate::hints::Hints;

/// So many cursors do not wait for those of later batches: that is some MB of memory.
const MAX_WAITING_CURSORS: usize = 20_000;

/// A batch that is shipped.
#[derive(Debug)]
pub(super) struct ShippedBatch {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) hints: Hints,
    pub(super) failed: Vec<Failed>,
    /// The span of its flush.
    pub(super) origin: Option<Origin>,
}

/// Batches whose cursors share a write.
#[derive(Debug)]
pub(super) struct MovingBatches {
    pub(super) batches: Vec<ShippedBatch>,
    pub(super) write: CursorWrite,
}

/// Batches in the order in which they were shipped. Their cursors are written one write after another, and not more often than
/// is said: each write costs the destination about as much as one of rows.
#[derive(Default, Debug)]
pub(super) struct Unacknowledged {
    waiting: Vec<(ShippedBatch, CursorMoves)>,
    moving: Option<MovingBatches>,
    next_write_at: Option<Instant>,
}

impl Unacknowledged {
    pub(super) fn add(&mut self, batch: ShippedBatch, cursors: CursorMoves) {
        self.waiting.push((batch, cursors));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.moving.is_none()
    }

    /// Whether so much waits that no more batches are to be added before a write has ended.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.iter().map(|(_, cursors)| cursors.len()).sum::<usize>() >= MAX_WAITING_CURSORS
    }

    /// Waits until a write has ended, or the next is due. May be dropped, and called again.
    pub(super) async fn until_ready(&mut self) {
        let is_full = self.is_full();
        match (&mut self.moving, self.next_write_at) {
            (Some(moving), _) => moving.write.ended().await,
            (None, Some(at)) if !is_full => sleep_until(at).await,
            (None, _) => {}
        }
    }

    /// The batches whose write has ended, well or not.
    pub(super) fn take_ended(&mut self) -> Option<MovingBatches> {
        self.moving.take_if(|moving| moving.write.has_ended())
    }

    /// Begins a write, where none is under way and one is due. The next is due `every` after this.
    pub(super) fn begin_write(&mut self, every: Duration, begin: impl FnOnce(Vec<CursorMoves>) -> CursorWrite) {
        let now = Instant::now();
        let is_due = self.is_full() || self.next_write_at.is_none_or(|at| at <= now);
        if self.moving.is_none() && !self.waiting.is_empty() && is_due {
            let (batches, cursors) = std::mem::take(&mut self.waiting).into_iter().unzip();
            self.moving = Some(MovingBatches { batches, write: begin(cursors) });
            self.next_write_at = Some(now + every);
        }
    }

    /// What waits is due now.
    pub(super) fn hurry(&mut self) {
        self.next_write_at = None;
    }
}
