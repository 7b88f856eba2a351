//! What to do, decided from data alone: no database, no broker, no clock.

mod appetite;
mod news;
mod page;
mod verdict;

pub(crate) use appetite::Appetite;
pub use news::News;
pub(crate) use page::{Page, Settled};
pub(crate) use verdict::Verdict;
