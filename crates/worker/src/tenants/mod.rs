//! Tenants' own databases: beside the stream, so that none of them delays it or another (DEST-1).
//!
//! ```text
//!  hints of the stream ─┐
//!  registry: who is due ┴▶ service: lanes ─▶ visit: states ─▶ fill · flush ─▶ what became of it ─▶ registry
//! ```
//!
//! A destination is visited by one worker at a time, which holds a lock of the source for it; that saves work, and nothing
//! depends on it, since a page is written only where its cursor stands as it was read above. What is not visited now is found
//! again by the registry: nothing is kept for a destination that rests. Connections are opened when there is something to
//! ship, and closed when there was nothing for a while.

mod context;
mod filling;
mod page_size;
mod plan;
mod record;
mod service;
mod trouble;
mod visit;

use std::collections::HashMap;
use std::sync::Arc;

use lockstep_core::TenancyId;
use lockstep_core::freshness::ChangeTimes;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use self::context::Context;
pub(crate) use self::service::Tenants;
use crate::hints::Hints;

/// Which tenancies have destinations of their own, and which.
type ByTenancy = Arc<HashMap<TenancyId, Vec<Uuid>>>;

/// Hints that wait to be looked at. Beyond that they are dropped: the registry finds what they were about.
const HINTS: usize = 256;

/// Tells what the stream hears about tenancies with destinations of their own. Clones are cheap.
#[derive(Clone)]
pub(crate) struct News {
    sender: mpsc::Sender<Vec<(Uuid, ChangeTimes)>>,
    registered: watch::Receiver<ByTenancy>,
}

impl News {
    /// The tenancies of these hints have changes. Never waits.
    pub(crate) fn tell(&self, hints: &Hints) {
        let registered = self.registered.borrow();
        if registered.is_empty() {
            return;
        }
        let of = |tenancy: &TenancyId| {
            let times = hints.times(*tenancy);
            registered.get(tenancy).into_iter().flatten().map(move |id| (*id, times))
        };
        let destinations: Vec<_> = hints.tenancies().iter().flat_map(of).collect();
        if !destinations.is_empty() && self.sender.try_send(destinations).is_err() {
            tracing::debug!("hints for tenants' destinations are dropped: they are found again");
        }
    }
}
