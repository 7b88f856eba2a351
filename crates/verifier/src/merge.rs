//! Comparing two ordered streams of rows, one row of each in hand. Pure: whoever drives it fetches the rows.

use std::cmp::Ordering;

use lockstep_destinations::compare::{Row, Shape};

/// One of the two sides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Source,
    Destination,
}

/// A row came after one that it should have come before: nothing that follows can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OutOfOrder(pub(crate) Side);

/// What two streams have at one key.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Meeting<'m> {
    /// Both sides, all columns alike.
    Equal,
    /// The source alone.
    Missing(&'m Row),
    /// The destination alone.
    Unexpected(&'m Row),
    /// Both sides, unlike. Source first.
    Different(&'m Row, &'m Row),
}

/// One side's row in hand. It is kept until its successor arrives, to see that the order holds.
#[derive(Default, Debug)]
struct Hand {
    row: Option<Row>,
    /// The row has met its counterpart: the next one is wanted.
    spent: bool,
    ended: bool,
}

impl Hand {
    fn open() -> Self {
        Self { row: None, spent: true, ended: false }
    }

    fn take(&mut self, shape: &Shape, next: Option<Row>) -> bool {
        self.spent = false;
        let Some(next) = next else {
            self.ended = true;
            return true;
        };
        // The same key twice is no disorder: the second finds no counterpart and is told as a difference.
        let ordered = self.row.as_ref().is_none_or(|last| shape.order(last, &next) != Ordering::Greater);
        self.row = Some(next);
        ordered
    }

    fn row(&self) -> Option<&Row> {
        self.row.as_ref().filter(|_| !self.ended && !self.spent)
    }
}

/// The merge of two streams. While [`Merge::wants`] names a side, give it a row with [`Merge::give`]; then
/// [`Merge::meet`] tells what is at the smallest key in hand.
#[derive(Debug)]
pub(crate) struct Merge<'s> {
    shape: &'s Shape,
    source: Hand,
    destination: Hand,
}

impl<'s> Merge<'s> {
    pub(crate) fn new(shape: &'s Shape) -> Self {
        Self { shape, source: Hand::open(), destination: Hand::open() }
    }

    /// The side whose next row is needed.
    pub(crate) const fn wants(&self) -> Option<Side> {
        if self.source.spent && !self.source.ended {
            Some(Side::Source)
        } else if self.destination.spent && !self.destination.ended {
            Some(Side::Destination)
        } else {
            None
        }
    }

    /// The next row of a side, `None` at its end.
    pub(crate) fn give(&mut self, side: Side, row: Option<Row>) -> Result<(), OutOfOrder> {
        let hand = match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        };
        if hand.take(self.shape, row) { Ok(()) } else { Err(OutOfOrder(side)) }
    }

    /// What is at the next key; `None` when both sides have ended.
    pub(crate) fn meet(&mut self) -> Option<Meeting<'_>> {
        let order = match (self.source.row(), self.destination.row()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(source), Some(destination)) => self.shape.order(source, destination),
        };
        self.source.spent = order.is_le() && !self.source.ended;
        self.destination.spent = order.is_ge() && !self.destination.ended;
        let (source, destination) = (self.source.row.as_ref(), self.destination.row.as_ref());
        match order {
            Ordering::Less => source.map(Meeting::Missing),
            Ordering::Greater => destination.map(Meeting::Unexpected),
            Ordering::Equal => {
                let (source, destination) = (source?, destination?);
                let alike = source.is_like(destination);
                Some(if alike { Meeting::Equal } else { Meeting::Different(source, destination) })
            }
        }
    }
}

#[cfg(test)]
mod tests;
