//! Connections for reading changes: so many at once at most, each used again by whoever reads next.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::FetchSession;

/// Places for sessions. Clones share them.
#[derive(Clone)]
pub(crate) struct FetchSessions {
    idle: Arc<Mutex<Vec<FetchSession>>>,
    places: Arc<Semaphore>,
}

/// A place for a session, and the session that was left there.
pub(crate) struct Place {
    idle: Arc<Mutex<Vec<FetchSession>>>,
    permit: Option<OwnedSemaphorePermit>,
}

/// A session that nobody else uses. Dropped, it ends, and its place is free.
pub(crate) struct LeasedSession {
    session: FetchSession,
    place: Place,
}

impl FetchSessions {
    /// So many places.
    pub(crate) fn new(places: usize) -> Self {
        Self { idle: Arc::default(), places: Arc::new(Semaphore::new(places)) }
    }

    /// Waits for a place.
    pub(crate) async fn place(&self) -> Place {
        // Nobody closes the semaphore.
        let permit = Arc::clone(&self.places).acquire_owned().await.ok();
        Place { idle: Arc::clone(&self.idle), permit }
    }
}

impl Place {
    /// The session that was left here, if it still stands.
    pub(crate) fn left(&self) -> Option<FetchSession> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(|session| !session.client().is_closed())
    }

    /// Takes the place with this session.
    pub(crate) const fn take(self, session: FetchSession) -> LeasedSession {
        LeasedSession { session, place: self }
    }
}

impl LeasedSession {
    /// Leaves the session for whoever reads next.
    pub(crate) fn leave(self) {
        let Self { session, place: Place { idle, permit } } = self;
        idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        drop(permit);
    }
}

impl Deref for LeasedSession {
    type Target = FetchSession;

    fn deref(&self) -> &FetchSession {
        &self.session
    }
}
