//! What to do next. Pure: nothing here talks to a server or looks at a clock.

pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod fences;
pub(crate) mod intake;
pub(crate) mod polling;
pub(crate) mod seen;
pub(crate) mod stamps;
pub(crate) mod waiting;
