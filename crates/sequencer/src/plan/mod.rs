//! What to do next. Pure: nothing here talks to a server or looks at a clock.

pub(crate) mod fences;
pub(crate) mod lanes;
pub(crate) mod load;
pub(crate) mod news;
pub(crate) mod polling;
pub(crate) mod rests;
pub(crate) mod touches;
