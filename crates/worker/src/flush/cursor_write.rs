//! Cursors that move after their flush has returned, those of several flushes in one write.

use futures_util::FutureExt;
use lockstep_core::telemetry::{Kind, Origin, Span, going_on};
use lockstep_core::{DestinationId, failpoint};
use lockstep_destinations::{CursorAt, Destination, DestinationError, WriteWindow};
use tokio::task::JoinSet;

/// Where the cursors of a flush may move: what they pass is durable in the destination, and nothing of it is for the
/// quarantine to hold.
#[must_use = "messages are let go when their cursors have moved"]
#[derive(Debug)]
pub struct CursorMoves {
    /// What [`super::recent_cursors::RecentCursors`] calls them.
    pub(super) number: u64,
    to: Vec<CursorAt>,
    window: WriteWindow,
    /// The span of the flush, or of the first of several.
    origin: Option<Origin>,
}

impl CursorMoves {
    pub(super) const fn new(to: Vec<CursorAt>, window: WriteWindow, origin: Option<Origin>) -> Self {
        Self { number: 0, to, window, origin }
    }

    /// How many cursors.
    pub(crate) const fn len(&self) -> usize {
        self.to.len()
    }

    /// Moves them.
    ///
    /// # Errors
    /// When it is not certain that they were moved. What they pass has to be shipped again.
    pub(super) async fn write(self, destination: impl Destination) -> Result<(), DestinationError> {
        if self.to.is_empty() {
            return Ok(());
        }
        failpoint!("worker::cursor_write::before", return Err(DestinationError::unanswered(destination.id())));
        let advance = async {
            let span = Span::part(Kind::Client, || "advance".to_owned());
            span.count("lockstep.cursors", self.to.len());
            destination.advance(&self.to, self.window).await.inspect_err(|error| span.failed(error.code()))
        };
        going_on(self.origin, advance).await?;
        failpoint!("worker::cursor_write::after", return Err(DestinationError::unanswered(destination.id())));
        Ok(())
    }
}

/// Cursors on their way to the destination. Dropped before it is done, it may have moved them or not.
#[must_use = "messages are let go when their cursors have moved"]
#[derive(Debug)]
pub struct CursorWrite {
    /// Whose they are.
    pub(super) numbers: Vec<u64>,
    destination: DestinationId,
    writing: JoinSet<Result<(), DestinationError>>,
    outcome: Result<(), DestinationError>,
}

impl CursorWrite {
    /// Begins one write of all of them, beside the caller.
    pub(super) fn begin(moves: Vec<CursorMoves>, destination: impl Destination) -> Self {
        let (numbers, writing) = (Vec::new(), JoinSet::new());
        let mut write = Self { numbers, destination: destination.id(), writing, outcome: Ok(()) };
        let mut all: Option<CursorMoves> = None;
        for CursorMoves { number, to, window, origin } in moves {
            write.numbers.push(number);
            match &mut all {
                Some(all) => {
                    all.to.extend(to);
                    all.window = all.window.and(window);
                }
                None => all = Some(CursorMoves::new(to, window, origin)),
            }
        }
        if let Some(all) = all {
            write.writing.spawn(all.write(destination));
        }
        write
    }

    /// None of them is written: it is not certain any more that the destination holds what they pass.
    pub(super) fn refused(moves: &[CursorMoves], destination: DestinationId) -> Self {
        let numbers = moves.iter().map(|moves| moves.number).collect();
        let outcome = Err(DestinationError::unanswered(destination.clone()));
        Self { numbers, destination, writing: JoinSet::new(), outcome }
    }

    /// Waits for its end. May be dropped, and called again.
    pub(crate) async fn ended(&mut self) {
        while let Some(ended) = self.writing.join_next().await {
            self.outcome = ended.unwrap_or_else(|_| Err(DestinationError::unanswered(self.destination.clone())));
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.ended().now_or_never().is_some()
    }

    /// What it came to, at its end.
    ///
    /// # Errors
    /// As [`CursorMoves::write`].
    pub(super) async fn outcome(mut self) -> Result<(), DestinationError> {
        self.ended().await;
        self.outcome
    }
}
