//! A pass: one transaction that stamps, under the ordering lock from before its first number to its commit (SEQ-1).

use std::time::{Duration, Instant};

use lockstep_core::failpoint;
use lockstep_schema::SourceError;

use super::tally::Tally;
use super::{Failure, Report, State};
use crate::figures;
use crate::plan::fences::Counted;
use crate::plan::lanes;
use crate::plan::load::{SHARING_TENANTS, share};
use crate::plan::rests::Part;
use crate::storage::fences::Waiting;
use crate::storage::pending::Due;
use crate::storage::session::StampingSession;

/// After this time a pass begins no further lane: who changes a row now waits for its end.
const BUDGET: Duration = Duration::from_millis(250);

/// The same for a pass that answers fences: it has to get through all lanes.
const BUDGET_WITH_FENCES: Duration = Duration::from_secs(2);

/// One transaction that is being put together.
pub(super) struct Pass<'a> {
    pub(super) session: &'a StampingSession,
    pub(super) state: &'a mut State,
    pub(super) tally: Tally<'a>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(session: &'a StampingSession, state: &'a mut State) -> Self {
        Self { session, state, tally: Tally::default() }
    }

    /// Does it, from BEGIN to COMMIT.
    pub(super) async fn run(mut self, due: &Due) -> Result<Report, Failure> {
        let client = &self.session.client;
        self.session.begin().await?;
        let began = Instant::now();
        // Read before anything is stamped: see `plan::fences`.
        let waiting = if due.fences { self.session.fences.waiting(client).await? } else { Waiting::default() };
        if due.touches || waiting.last_touch.is_some() {
            self.work_off_touches().await?;
        }
        self.stamp_lanes(due, !waiting.ids.is_empty(), began).await?;
        if self.tally.news.len() > 0 {
            self.session.enqueue.add(client, &self.tally.news).await?;
        }
        let answered_fences = self.raise_head_and_answer(&waiting).await?;
        failpoint!("sequencer::stamp_commit::before", return Err(SourceError::Timeout(began.elapsed()).into()));
        self.session.commit().await?;
        failpoint!("sequencer::stamp_commit::after", return Err(SourceError::Timeout(began.elapsed()).into()));
        self.count(began.elapsed());
        Ok(Report {
            stamped_rows: self.tally.stamped_rows(),
            announced_tenancies: self.tally.news.len(),
            finished_touches: self.tally.finished_touches,
            answered_fences,
            more: self.tally.more,
            stopped: false,
        })
    }

    async fn stamp_lanes(&mut self, due: &Due, fences: bool, began: Instant) -> Result<(), Failure> {
        let count = due.lanes.len();
        let (order, budget) = if fences {
            (lanes::all(count), BUDGET_WITH_FENCES)
        } else {
            (lanes::waiting(&due.lanes, self.state.first_lane), BUDGET)
        };
        for lane in order {
            let part = Part::Lane(lane);
            if self.state.rests.is_resting(&part, Instant::now()) {
                self.tally.incomplete = true;
                continue;
            }
            if began.elapsed() > budget {
                self.state.first_lane = lane;
                (self.tally.more, self.tally.incomplete) = (true, true);
                break;
            }
            self.stamp_lane(lane, fences).await.map_err(Failure::of(part.clone()))?;
            self.state.rests.worked(&part);
            self.state.first_lane = (lane + 1) % count;
        }
        Ok(())
    }

    /// Stamps one batch of a lane. Where the last one did not hold everything, half of it goes to tenants in equal shares
    /// (FAIR-1): to those that follow in the walk over all of them, which begins again at its end.
    async fn stamp_lane(&mut self, index: usize, count: bool) -> Result<(), SourceError> {
        let (client, lane) = (&self.session.client, &self.session.lanes[index]);
        let state = &mut self.state.lanes[index];
        let (rows, began) = (state.load.rows(), Instant::now());
        let mut shared = 0;
        if state.load.is_crowded() {
            let after = state.tenant.as_ref().unwrap_or(&lane.first_tenant);
            let limit = i64::try_from(SHARING_TENANTS).unwrap_or(i64::MAX);
            let tenants = lane.flagged_tenants(client, limit, after).await?;
            state.tenant = tenants.last().filter(|_| tenants.len() == SHARING_TENANTS).cloned();
            if !tenants.is_empty() {
                let stamped = lane.stamp_fair(client, share(rows, tenants.len()), &tenants).await?;
                self.tally.add(&lane.name, &stamped);
                shared = stamped.rows;
            }
        }
        let limit = (rows - shared).max(1);
        let stamped = lane.stamp_any(client, limit, count).await?;
        self.tally.add(&lane.name, &stamped);
        let counted = stamped.flagged.map(|flagged| Counted { flagged, stamped: stamped.rows, limit });
        self.tally.incomplete |= !counted.is_some_and(Counted::is_all);
        self.tally.more |= stamped.rows >= limit;
        state.load.done(shared + stamped.rows, began.elapsed());
        Ok(())
    }

    /// Returns how many fences were answered: all of them or none.
    async fn raise_head_and_answer(&self, waiting: &Waiting) -> Result<usize, Failure> {
        let (client, fences) = (&self.session.client, &self.session.fences);
        let is_answer = !waiting.ids.is_empty() && !self.tally.incomplete && !self.are_touches_left(waiting).await?;
        if self.tally.last.is_none() && !is_answer {
            return Ok(0);
        }
        let head = fences.raise_head(client, self.tally.last.unwrap_or(0)).await?;
        if !is_answer {
            return Ok(0);
        }
        fences.answer(client, &waiting.ids, head).await?;
        Ok(waiting.ids.len())
    }

    async fn are_touches_left(&self, waiting: &Waiting) -> Result<bool, Failure> {
        match waiting.last_touch {
            Some(last) => Ok(self.session.fences.are_touches_left(&self.session.client, last).await?),
            None => Ok(false),
        }
    }

    fn count(&self, took: Duration) {
        figures::pass(took);
        for (&table, &rows) in &self.tally.rows {
            figures::stamped(table, rows);
        }
        for (lane, state) in self.session.lanes.iter().zip(&self.state.lanes) {
            figures::batch_rows(&lane.name, state.load.rows());
        }
    }
}
