//! Looking for something to do.

use std::time::Instant;

use super::{Failure, State};
use crate::error::is_of_statement;
use crate::plan::rests::Part;
use crate::storage::pending::Due;
use crate::storage::session::StampingSession;

impl State {
    /// What waits and does not rest.
    pub(super) async fn look(&mut self, session: &StampingSession) -> Result<Due, Failure> {
        let mut due = match self.look_at_all(session).await? {
            Some(due) => due,
            None => self.look_one_by_one(session).await?,
        };
        let now = Instant::now();
        for (lane, waits) in due.lanes.iter_mut().enumerate() {
            let part = Part::Lane(lane);
            let rests = self.rests.is_resting(&part, now);
            if !rests && !*waits {
                self.rests.worked(&part);
            }
            *waits &= !rests;
        }
        Ok(due)
    }

    /// One statement for all tables; nothing if it fails because of one of them.
    async fn look_at_all(&mut self, session: &StampingSession) -> Result<Option<Due>, Failure> {
        if self.asks_one_by_one && self.rests.is_any_lane() {
            return Ok(None);
        }
        self.asks_one_by_one = false;
        match session.pending.all(&session.client).await {
            Ok(due) => Ok(Some(due)),
            Err(error) if is_of_statement(&error) => {
                self.asks_one_by_one = true;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A statement for each table that does not rest. A table that was dropped, or that somebody alters, stops no other.
    async fn look_one_by_one(&mut self, session: &StampingSession) -> Result<Due, Failure> {
        let mut due = session.pending.others(&session.client).await?;
        for lane in 0..session.lanes.len() {
            let part = Part::Lane(lane);
            if self.rests.is_resting(&part, Instant::now()) {
                continue;
            }
            match session.pending.lane(&session.client, lane).await {
                Ok(waits) => due.lanes[lane] = waits,
                Err(error) if is_of_statement(&error) => self.failed(session, part, &error),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(due)
    }
}
