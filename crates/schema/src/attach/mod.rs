//! Attaching capture to a source database: look at what is there, plan what is missing, do it.
//!
//! [`inspect`] reads catalogs only. [`plan`] is pure: the same database gives the same plan, and one that has everything
//! gives an empty one. [`apply`] runs it step by step; a run that was killed is continued by the next.

mod apply;
mod flaws;
mod inspect;
mod plan;
mod snapshot;

pub use apply::{ApplyEvent, apply};
pub use flaws::{Flaw, FlawKind, flaws};
pub use inspect::{Live, LiveIndex, LiveObject, inspect};
pub use plan::{Mode, Part, Step, plan};
pub use snapshot::{RANGE_BLOCKS, restart_snapshot};
