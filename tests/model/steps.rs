//! What can happen next, and what comes of it.

use stateright::{Model, Property};

use super::promises;
use super::state::{Announcer, Base, Sequencer, State, Worker, World};

/// Messages that wait at most: a broker that is full is waited for.
const QUEUE_LIMIT: usize = 3;

/// One step of one process, or a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Begin(usize),
    Commit(usize),
    Rollback(usize),
    /// A pass begins, with the lane that is first in turn.
    BeginPass(usize, usize),
    StampLane(usize),
    CommitPass(usize),
    WriteOutbox(usize),
    KillSequencer(usize),
    ReadOutbox,
    Publish,
    DeleteFromOutbox,
    KillAnnouncer,
    Lose(usize),
    Repeat(usize),
    ForgetCursors,
    Sweep,
    Take(usize, usize),
    ReadCursors(usize),
    ReadLiveKeys(usize),
    ReadPage(usize),
    ReadHead(usize),
    InsertOne(usize),
    MoveCursors(usize),
    Acknowledge(usize),
    KillWorker(usize),
    ReadBase(usize),
    InsertBase(usize),
    KillBase(usize),
    /// Nothing can be done, though not everything is.
    GetStuck,
}

impl World {
    fn of_writers(&self, state: &State, steps: &mut Vec<Step>) {
        for (writer, at) in state.writers.iter().enumerate() {
            if at.open {
                steps.push(Step::Commit(writer));
                if self.rollbacks {
                    steps.push(Step::Rollback(writer));
                }
            } else if self.can_begin(state, writer) {
                steps.push(Step::Begin(writer));
            }
        }
    }

    fn of_sequencers(&self, state: &State, steps: &mut Vec<Step>) {
        for (index, sequencer) in state.sequencers.iter().enumerate() {
            match sequencer {
                Sequencer::Idle if self.can_stamp(state) => {
                    steps.extend([Step::BeginPass(index, 0), Step::BeginPass(index, 1)]);
                }
                Sequencer::Idle => continue,
                Sequencer::Pass { lanes, .. } if lanes.is_empty() => steps.push(Step::CommitPass(index)),
                Sequencer::Pass { .. } => steps.push(Step::StampLane(index)),
                Sequencer::Owing(_) => steps.push(Step::WriteOutbox(index)),
            }
            if state.faults.kills > 0 && *sequencer != Sequencer::Idle {
                steps.push(Step::KillSequencer(index));
            }
        }
    }

    fn of_queue(&self, state: &State, steps: &mut Vec<Step>) {
        match &state.announcer {
            Announcer::Idle if state.outbox.iter().any(Option::is_some) => steps.push(Step::ReadOutbox),
            Announcer::Idle => {}
            Announcer::Read(_) if state.queue.len() < QUEUE_LIMIT => steps.push(Step::Publish),
            Announcer::Read(_) => {}
            Announcer::Published(_) => steps.push(Step::DeleteFromOutbox),
        }
        if state.faults.kills > 0 && state.announcer != Announcer::Idle {
            steps.push(Step::KillAnnouncer);
        }
        for message in 0..state.queue.len() {
            if state.faults.losses > 0 {
                steps.push(Step::Lose(message));
            }
            if state.faults.repeats > 0 && state.queue.len() < QUEUE_LIMIT {
                steps.push(Step::Repeat(message));
            }
        }
        if state.faults.resyncs > 0 {
            steps.push(Step::ForgetCursors);
        }
    }

    fn of_workers(&self, state: &State, steps: &mut Vec<Step>) {
        for (index, worker) in state.workers.iter().enumerate() {
            match worker {
                Worker::Idle => {
                    steps.extend((0..state.queue.len()).map(|message| Step::Take(index, message)));
                    continue;
                }
                Worker::Opening(opening) => steps.extend(self.openings(index, opening)),
                Worker::Shipping(page) => {
                    let moves = !page.forward.is_empty();
                    if moves && (page.rows.is_empty() || !self.kept.insert_before_cursor) {
                        steps.push(Step::MoveCursors(index));
                    }
                    if page.rows.is_empty() && !moves {
                        steps.push(Step::Acknowledge(index));
                    } else if !page.rows.is_empty() && (self.kept.insert_before_cursor || !moves) {
                        steps.push(Step::InsertOne(index));
                    }
                }
            }
            if state.faults.kills > 0 {
                steps.push(Step::KillWorker(index));
            }
        }
        for (index, base) in state.bases.iter().enumerate() {
            match base {
                Base::Waiting => steps.push(Step::ReadBase(index)),
                Base::Read(_) => {
                    steps.push(Step::InsertBase(index));
                    if state.faults.kills > 0 {
                        steps.push(Step::KillBase(index));
                    }
                }
                Base::Done => {}
            }
        }
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
        self.of_queue(state, steps);
        self.of_workers(state, steps);
        if !steps.is_empty() {
            return;
        }
        // A sweep is one more hint. Where others are on their way it would be like a message that comes twice.
        if self.kept.sweep && self.behind(state) != 0 {
            steps.push(Step::Sweep);
        } else if !self.is_quiet(state) {
            steps.push(Step::GetStuck);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        match step {
            Step::Begin(writer) => next.writers[writer].open = true,
            Step::Commit(writer) => self.commit(&mut next, writer),
            Step::Rollback(writer) => next.end_transaction(writer),
            Step::BeginPass(index, first) => self.begin_pass(&mut next, index, first),
            Step::StampLane(index) => self.stamp_lane(&mut next, index),
            Step::CommitPass(index) => self.commit_pass(&mut next, index),
            Step::WriteOutbox(index) => next.write_outbox(index),
            Step::ReadOutbox => next.announcer = Announcer::Read(next.outbox),
            Step::Publish => next.publish(),
            Step::DeleteFromOutbox => self.delete_from_outbox(&mut next),
            Step::Lose(message) => {
                next.faults.losses -= 1;
                next.queue.remove(message);
            }
            Step::Repeat(message) => {
                next.faults.repeats -= 1;
                next.queue.push(next.queue[message]);
            }
            Step::ForgetCursors => {
                next.faults.resyncs -= 1;
                next.destination.cursors = Default::default();
            }
            Step::Sweep => next.queue.push(self.behind(state)),
            Step::Take(index, message) => self.take(&mut next, index, message),
            Step::ReadCursors(index) => next.opening(index).cursors = Some(state.destination.cursors),
            Step::ReadLiveKeys(index) => next.opening(index).alive = Some(state.source.live_keys()),
            Step::ReadPage(index) => next.opening(index).snapshot = Some(state.source.clone()),
            Step::ReadHead(index) => next.opening(index).late_head = Some(state.source.head),
            Step::InsertOne(index) => self.insert_one(&mut next, index),
            Step::MoveCursors(index) => self.move_cursors(&mut next, index),
            Step::Acknowledge(index) => next.acknowledge(index),
            Step::ReadBase(index) => next.bases[index] = Base::Read(state.source.base()),
            Step::InsertBase(index) => self.insert_base(&mut next, index),
            Step::GetStuck => next.seen.stuck = true,
            Step::KillSequencer(_) | Step::KillAnnouncer | Step::KillWorker(_) | Step::KillBase(_) => {
                self.kill(&mut next, step);
            }
        }
        self.read_what_is_open(&mut next);
        Some(next.normal())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::all().into_iter().filter(|promise| self.only.is_none_or(|only| promise.name == only)).collect()
    }
}
