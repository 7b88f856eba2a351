//! What to do, decided from data alone: no database, no broker, no clock.

mod appetite;
mod isolation;
mod news;
mod page;
mod verdict;

pub(crate) use isolation::{Extents, Isolation, Lot, MAX_IN_A_ROW, Refused};
pub use news::News;
pub(crate) use page::{Page, Refusal, Settled};
pub(crate) use verdict::Verdict;

use appetite::Appetite;

/// What was learnt of one mapping from one flush to the next.
#[derive(Clone, Default, Debug)]
pub(crate) struct Learnt {
    pub(crate) appetite: Appetite,
    pub(crate) isolation: Isolation,
}
