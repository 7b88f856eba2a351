//! What can happen next, and what comes of it.

use stateright::{Model, Property};

use super::delivery::Killed;
use super::promises;
use super::state::{Announcer, Expander, Fill, Sequencer, State, Truncation, Worker};
use super::world::{Keeps, World};

/// Messages that wait at most: a broker that is full is waited for.
const QUEUE_LIMIT: usize = 3;

/// One step of one process, or a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Begin(usize),
    Commit(usize),
    Rollback(usize),
    /// Transactions up to an id, or all.
    Look(usize, Option<u8>),
    BeginPass(usize),
    CommitPass(usize),
    /// Whether the inbox of a turn may be emptied; with the lock, that is done at once.
    DecideTruncation(u8),
    Truncate,
    ReadExpansion(usize),
    CommitExpansion,
    /// Reads how far changes are announced, publishes, writes the position down: one after the other.
    Announce,
    Lose(usize),
    Repeat(usize),
    Sweep,
    /// A worker takes a message and reads the cursors.
    Take(usize, usize),
    /// The same where there are no messages.
    Open(usize),
    ReadPage(usize),
    ReadHead(usize),
    WriteRow(usize),
    MoveCursors(usize),
    /// Rows, cursors and acknowledgement together.
    WritePage(usize),
    Acknowledge(usize),
    Fill,
    /// The claim of a part ends while it is in hand.
    StallFill,
    /// What a stalled process had in hand is written.
    WriteLate(usize),
    Kill(Killed),
    /// Nothing can be done, though not everything is.
    GetStuck,
}

impl World {
    fn of_writers(&self, state: &State, steps: &mut Vec<Step>) {
        for (writer, at) in state.writers.iter().enumerate() {
            if at.xid.is_some() {
                steps.push(Step::Commit(writer));
                if self.rollbacks {
                    steps.push(Step::Rollback(writer));
                }
            } else if at.at < self.writers[writer].len() {
                steps.push(Step::Begin(writer));
            }
        }
    }

    fn of_sequencers(&self, state: &State, steps: &mut Vec<Step>) {
        for (index, sequencer) in state.sequencers.iter().enumerate() {
            match sequencer {
                Sequencer::Idle if state.waiting().next().is_some() => {
                    steps.push(Step::Look(index, None));
                    if self.limited_passes {
                        steps.extend(state.limits().into_iter().map(|limit| Step::Look(index, Some(limit))));
                    }
                }
                Sequencer::Planned(_) if self.can_pass(state) => steps.push(Step::BeginPass(index)),
                Sequencer::Numbering(..) => steps.push(Step::CommitPass(index)),
                Sequencer::Idle | Sequencer::Planned(_) => {}
            }
            if state.faults.kills > 0 && matches!(sequencer, Sequencer::Numbering(..)) {
                steps.push(Step::Kill(Killed::Sequencer(index)));
            }
        }
        match state.truncation {
            Truncation::Idle => steps.extend(self.truncatable(state).into_iter().map(Step::DecideTruncation)),
            Truncation::Decided(_) => steps.push(Step::Truncate),
        }
    }

    fn of_expander(&self, state: &State, steps: &mut Vec<Step>) {
        match state.expander {
            Expander::Idle => {
                let expansions = &state.control.expansions;
                let first = |at: &usize| *at == 0 || expansions[*at - 1] != expansions[*at];
                steps.extend((0..expansions.len()).filter(first).map(Step::ReadExpansion));
            }
            Expander::Read(..) => {
                steps.push(Step::CommitExpansion);
                if state.faults.kills > 0 {
                    steps.push(Step::Kill(Killed::Expander));
                }
            }
        }
    }

    fn of_queue(&self, state: &State, steps: &mut Vec<Step>) {
        if !self.one_by_one.messages {
            return;
        }
        let has_room = state.queue.len() < QUEUE_LIMIT;
        match state.announcer {
            Announcer::Idle if state.control.announced >= state.control.pass.last_sequence => {}
            Announcer::Read(..) if !has_room => {}
            _ => steps.push(Step::Announce),
        }
        if state.faults.kills > 0 && state.announcer != Announcer::Idle {
            steps.push(Step::Kill(Killed::Announcer));
        }
        for message in 0..state.queue.len() {
            if state.faults.losses > 0 {
                steps.push(Step::Lose(message));
            }
            if state.faults.repeats > 0 && has_room {
                steps.push(Step::Repeat(message));
            }
        }
    }

    fn of_worker(&self, index: usize, worker: &Worker) -> Step {
        match worker {
            Worker::Idle => Step::Open(index),
            Worker::Reading(..) => Step::ReadPage(index),
            Worker::Shipping(page) if page.head_missing => Step::ReadHead(index),
            Worker::Shipping(_) if !self.one_by_one.workers => Step::WritePage(index),
            Worker::Shipping(page) => {
                let (written, moved) = (page.rows.is_empty(), page.forward.is_empty());
                if written && moved {
                    Step::Acknowledge(index)
                } else if self.keeps == Keeps::Versions && (moved || (self.protections.rows_before_cursor && !written))
                {
                    Step::WriteRow(index)
                } else {
                    Step::MoveCursors(index)
                }
            }
        }
    }

    fn of_workers(&self, state: &State, steps: &mut Vec<Step>) {
        for (index, worker) in state.workers.iter().enumerate() {
            if *worker != Worker::Idle {
                steps.push(self.of_worker(index, worker));
                if state.faults.kills > 0 {
                    steps.push(Step::Kill(Killed::Worker(index)));
                }
            } else if self.one_by_one.messages {
                steps.extend((0..state.queue.len()).map(|message| Step::Take(index, message)));
            } else if state.behind() != 0 {
                steps.push(Step::Open(index));
            }
        }
    }

    fn of_fill(&self, state: &State, steps: &mut Vec<Step>) {
        if self.can_fill(state) {
            steps.push(Step::Fill);
        }
        if matches!(state.fill, Fill::Writing(..) | Fill::Removing(..)) {
            if state.faults.kills > 0 {
                steps.push(Step::Kill(Killed::Fill));
            }
            if state.faults.stalls > 0 {
                steps.push(Step::StallFill);
            }
        }
        steps.extend((0..state.stalled.len()).map(Step::WriteLate));
    }
}

impl Model for World {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::of(self)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.seen.stuck {
            return;
        }
        self.of_writers(state, steps);
        self.of_sequencers(state, steps);
        self.of_expander(state, steps);
        self.of_queue(state, steps);
        self.of_workers(state, steps);
        self.of_fill(state, steps);
        if !steps.is_empty() {
            return;
        }
        // A sweep is one more hint. Where others are on their way it would be like a message that comes twice.
        if self.protections.sweep && state.behind() != 0 {
            steps.push(Step::Sweep);
        } else if !self.is_quiet(state) {
            steps.push(Step::GetStuck);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        match step {
            Step::Begin(writer) => self.begin(&mut next, writer),
            Step::Commit(writer) => self.commit(&mut next, writer),
            Step::Rollback(writer) => next.end_transaction(writer),
            Step::Look(index, limit) => self.plan(&mut next, index, limit),
            Step::BeginPass(index) => self.begin_pass(&mut next, index),
            Step::CommitPass(index) => self.commit_pass(&mut next, index),
            Step::DecideTruncation(inbox) => self.decide_truncation(&mut next, inbox),
            Step::Truncate => self.truncate(&mut next),
            Step::ReadExpansion(at) => self.read_expansion(&mut next, at),
            Step::CommitExpansion => self.commit_expansion(&mut next),
            Step::Announce => self.announce(&mut next),
            Step::Lose(message) => {
                next.faults.losses -= 1;
                next.queue.remove(message);
            }
            Step::Repeat(message) => {
                next.faults.repeats -= 1;
                next.queue.push(state.queue[message]);
            }
            Step::Sweep => next.queue.push(state.behind()),
            Step::Take(index, message) => {
                let hinted = next.queue.remove(message);
                self.open(&mut next, index, hinted);
            }
            Step::Open(index) => self.open(&mut next, index, state.behind()),
            Step::ReadPage(index) => self.read_page(&mut next, index),
            Step::ReadHead(index) => next.read_head(index),
            Step::WriteRow(index) => self.write_row(&mut next, index),
            Step::MoveCursors(index) => self.move_cursors(&mut next, index),
            Step::WritePage(index) => self.write_page(&mut next, index),
            Step::Acknowledge(index) => self.acknowledge(&mut next, index),
            Step::Fill => self.fill(&mut next),
            Step::StallFill => {
                next.faults.stalls -= 1;
                self.leave_part(&mut next, true);
            }
            Step::WriteLate(at) => {
                let rows = next.stalled.remove(at);
                match self.keeps {
                    Keeps::Versions => rows.into_iter().for_each(|row| self.put(&mut next, row)),
                    Keeps::Rows => self.write_own_part(&mut next, rows),
                }
            }
            Step::Kill(killed) => self.kill(&mut next, killed),
            Step::GetStuck => next.seen.stuck = true,
        }
        Some(next.normal())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::all().into_iter().filter(|promise| self.only.is_none_or(|only| promise.name == only)).collect()
    }
}
