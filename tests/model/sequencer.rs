//! The sequencers: looks, plans, passes, and the truncation of an inbox whose turn is over.

use super::state::{Change, Expansion, Line, Pass, Plan, Sequencer, Snapshot, State, Target, Truncation, Unfinished};
use super::world::{TENANCIES, World, has, small};

impl State {
    /// Committed lines that no pass has consumed.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Line> {
        self.inbox.iter().filter(|line| !self.is_consumed(line))
    }

    /// Below which ids a look may stop; none: it takes all that it sees.
    pub(crate) fn limits(&self) -> Vec<u8> {
        let mut xids: Vec<_> = self.waiting().map(|line| line.xid).collect();
        xids.sort_unstable();
        xids.dedup();
        xids.pop();
        xids
    }

    fn number(&mut self, line: &Line) {
        for numbered in self.inbox.iter_mut().filter(|other| (other.xid, other.position) == (line.xid, line.position)) {
            numbered.numbered = true;
        }
    }

    fn add_change(&mut self, sequence: u8, (tenancy, key): (usize, usize)) {
        self.seen.out_of_order |= sequence <= self.seen.highest;
        self.seen.highest = self.seen.highest.max(sequence);
        self.seen.unannounced |= sequence <= self.seen.published;
        let places = self.control.recorded[tenancy];
        self.control.changes.push(Change { sequence, tenancy, key, places });
    }
}

/// Rows that lines tell of, each once.
fn rows(lines: &[Line]) -> Vec<(usize, usize)> {
    let row = |line: &Line| match line.target {
        Target::Row(tenancy, key) => Some((tenancy, key)),
        Target::Tenancy(..) => None,
    };
    let mut rows: Vec<_> = lines.iter().filter_map(row).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

fn places(lines: &[Line]) -> Vec<(usize, usize)> {
    let place = |line: &Line| match line.target {
        Target::Tenancy(tenancy, place) => Some((tenancy, place)),
        Target::Row(..) => None,
    };
    lines.iter().filter_map(place).collect()
}

/// Whether anything that was consumed by a pass is not by the next.
fn goes_back(before: &Pass, after: &Pass) -> bool {
    let position = |pass: &Pass, xid: u8| {
        let unfinished = pass.unfinished.iter().find(|unfinished| unfinished.xid == xid);
        if pass.consumed.sees(xid) { unfinished.map_or(u8::MAX, |unfinished| unfinished.position) } else { 0 }
    };
    (0..before.consumed.next).any(|xid| position(before, xid) > position(after, xid))
}

impl World {
    /// One snapshot, and what it makes a pass do: transactions up to the limit, a share of each.
    fn look(&self, state: &State, limit: Option<u8>) -> Plan {
        let before = &state.control.pass;
        let waiting: Vec<_> = state.waiting().copied().collect();
        let (mut lines, mut unfinished) = (Vec::new(), Vec::<Unfinished>::new());
        for line in &waiting {
            if limit.is_some_and(|limit| line.xid > limit) && !before.consumed.sees(line.xid) {
                continue;
            }
            if lines.iter().filter(|taken: &&Line| taken.xid == line.xid).count() < self.share {
                lines.push(*line);
            } else if unfinished.last().is_none_or(|last| last.xid != line.xid) {
                unfinished.push(Unfinished { xid: line.xid, position: line.position });
            }
        }
        if !self.protections.position_of_share {
            unfinished.clear();
        }
        Plan {
            after: before.id,
            places: if self.protections.places_recorded_first { places(&waiting) } else { places(&lines) },
            lines,
            consumed: self.consumed(state, limit),
            unfinished,
        }
    }

    pub(crate) fn plan(&self, state: &mut State, index: usize, limit: Option<u8>) {
        state.sequencers[index] = Sequencer::Planned(self.look(state, limit));
        if !self.one_by_one.sequencers {
            self.begin_pass(state, index);
            self.commit_pass(state, index);
        }
    }

    fn consumed(&self, state: &State, limit: Option<u8>) -> Snapshot {
        let seen = state.snapshot();
        let seen = Snapshot { running: if self.protections.running_not_consumed { seen.running } else { 0 }, ..seen };
        let Some(limit) = limit else { return seen };
        let before = state.control.pass.consumed;
        let least = if self.protections.consumed_only_grows { before.next } else { 0 };
        let next = least.max(limit + 1);
        let taken = |xid: &u8| seen.sees(*xid) && (*xid <= limit || before.sees(*xid));
        let running = (0..next).filter(|xid| !taken(xid)).fold(0, |running, xid| running | 1 << xid);
        Snapshot { next, running }
    }

    pub(crate) fn can_pass(&self, state: &State) -> bool {
        let locked = state.sequencers.iter().any(|sequencer| matches!(sequencer, Sequencer::Numbering(..)));
        !(locked && self.protections.ordering_lock)
    }

    /// Takes the lock, and numbers.
    pub(crate) fn begin_pass(&self, state: &mut State, index: usize) {
        let planned = std::mem::replace(&mut state.sequencers[index], Sequencer::Idle);
        let Sequencer::Planned(plan) = planned else { return };
        if self.protections.plan_checked_again && plan.after != state.control.pass.id {
            return;
        }
        let first = state.next_sequence;
        let rows = rows(&plan.lines);
        state.next_sequence += small(rows.len());
        if !self.protections.announced_after_commit {
            state.queue.push(rows.iter().fold(0, |hinted, (tenancy, _)| hinted | 1 << tenancy));
        }
        state.sequencers[index] = Sequencer::Numbering(plan, first);
    }

    pub(crate) fn commit_pass(&self, state: &mut State, index: usize) {
        let numbering = std::mem::replace(&mut state.sequencers[index], Sequencer::Idle);
        let Sequencer::Numbering(plan, first) = numbering else { return };
        self.record_places(state, &plan);
        let moved = places(&plan.lines).into_iter().fold(0, |moved, (tenancy, _)| moved | 1 << tenancy);
        let moved = (0..TENANCIES).filter(|tenancy| has(moved, *tenancy));
        state.control.expansions.extend(moved.map(Expansion::Tenancy));
        let rows = rows(&plan.lines);
        for (sequence, row) in (first..).zip(&rows) {
            state.add_change(sequence, *row);
        }
        for line in &plan.lines {
            state.number(line);
        }
        let before = state.control.pass.clone();
        let last = (first + small(rows.len())).saturating_sub(1);
        state.control.pass = Pass {
            id: before.id + 1,
            last_sequence: if rows.is_empty() { before.last_sequence } else { before.last_sequence.max(last) },
            consumed: plan.consumed,
            unfinished: plan.unfinished,
        };
        state.seen.consumed_back |= goes_back(&before, &state.control.pass);
        if !self.protections.announced_after_commit {
            state.control.announced = state.control.pass.last_sequence;
        }
        self.forget_numbered_lines(state);
    }

    fn record_places(&self, state: &mut State, plan: &Plan) {
        for (tenancy, place) in &plan.places {
            let place = if self.protections.places_in_lines { Some(*place) } else { state.source.places[*tenancy] };
            state.control.recorded[*tenancy] |= place.map_or(0, |place| 1 << place);
        }
    }

    /// Where nothing is truncated, nobody asks for lines that are numbered and consumed.
    fn forget_numbered_lines(&self, state: &mut State) {
        if self.turn.is_none() {
            let left: Vec<_> =
                state.inbox.iter().filter(|line| !line.numbered || !state.is_consumed(line)).copied().collect();
            state.inbox = left;
        }
    }

    /// Which inbox a transaction writes into.
    fn inbox_of(&self, xid: u8) -> u8 {
        self.turn.map_or(0, |turn| (xid / turn) % 2)
    }

    /// Inboxes that may be truncated: their turn is over, and all is consumed.
    pub(crate) fn truncatable(&self, state: &State) -> Vec<u8> {
        if self.turn.is_none() {
            return Vec::new();
        }
        let snapshot = state.snapshot();
        let has_lines = |inbox: u8| state.inbox.iter().any(|line| self.inbox_of(line.xid) == inbox);
        let is_consumed = |inbox: u8| !state.waiting().any(|line| self.inbox_of(line.xid) == inbox);
        let has_ended = |inbox: u8| {
            let running = (0..snapshot.next).filter(|xid| !snapshot.sees(*xid));
            self.inbox_of(snapshot.next) != inbox && running.into_iter().all(|xid| self.inbox_of(xid) != inbox)
        };
        let ended = |inbox: u8| !self.protections.truncation_when_all_ended || has_ended(inbox);
        (0..2).filter(|inbox| has_lines(*inbox) && is_consumed(*inbox) && ended(*inbox)).collect()
    }

    pub(crate) fn decide_truncation(&self, state: &mut State, inbox: u8) {
        state.truncation = Truncation::Decided(inbox);
        if self.protections.truncation_under_lock {
            self.truncate(state);
        }
    }

    pub(crate) fn truncate(&self, state: &mut State) {
        let Truncation::Decided(inbox) = std::mem::replace(&mut state.truncation, Truncation::Idle) else { return };
        let goes = |line: &Line| self.inbox_of(line.xid) == inbox;
        state.seen.truncated_unnumbered |= state.inbox.iter().any(|line| goes(line) && !line.numbered);
        state.inbox.retain(|line| !goes(line));
    }
}
