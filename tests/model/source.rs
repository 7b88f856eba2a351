//! The application, and the sequencers: who writes, and who gives numbers.

use lockstep_sequencer::decisions;

use super::state::{KEYS, Row, Sequencer, Set, Shipped, Source, State, Target, Tombstone, World, Write, has};

/// Tombstones come first, as in the sequencer.
const TOMBSTONES: usize = 0;

impl Source {
    /// Keys that live.
    pub(crate) fn live_keys(&self) -> Set {
        (0..KEYS).filter(|key| self.rows[*key].is_some()).map(|key| 1 << key).sum()
    }

    /// Rows that were there before capture and have not changed since.
    pub(crate) fn base(&self) -> Vec<Shipped> {
        let is_base = |row: &Row| row.sequence.is_none() && !row.flagged;
        let shipped = |(key, row): (usize, &Option<Row>)| {
            let row = row.filter(is_base)?;
            Some(Shipped { key, version: 0, deleted: false, content: row.content })
        };
        self.rows.iter().enumerate().filter_map(shipped).collect()
    }

    fn write(&mut self, write: Write, content: u8) {
        let key = write.key();
        self.rows[key] = match write {
            Write::Put(_) => {
                Some(Row { content, sequence: self.rows[key].and_then(|row| row.sequence), flagged: true })
            }
            Write::Delete(_) => {
                if self.rows[key].is_some() {
                    self.tombstones.push(Tombstone { key, sequence: None });
                }
                None
            }
        };
    }

    /// What waits in each lane.
    fn waiting(&self) -> [bool; 2] {
        [
            self.tombstones.iter().any(|tombstone| tombstone.sequence.is_none()),
            self.rows.iter().flatten().any(|row| row.flagged),
        ]
    }
}

impl State {
    pub(crate) fn end_transaction(&mut self, writer: usize) {
        self.writers[writer].open = false;
        self.writers[writer].at += 1;
    }

    /// What other passes have stamped and not committed: nobody else gets at it.
    fn is_being_stamped(&self, target: Target) -> bool {
        self.sequencers.iter().any(|sequencer| match sequencer {
            Sequencer::Pass { stamped, .. } => stamped.iter().any(|(other, _)| *other == target),
            _ => false,
        })
    }

    pub(crate) fn write_outbox(&mut self, index: usize) {
        if let Sequencer::Owing(news) = std::mem::replace(&mut self.sequencers[index], Sequencer::Idle) {
            self.announce_later(news);
        }
    }

    fn announce_later(&mut self, news: Set) {
        for (tenancy, generation) in self.outbox.iter_mut().enumerate() {
            if has(news, tenancy) {
                *generation = Some(self.next_generation);
            }
        }
        self.next_generation += 1;
    }
}

impl World {
    /// Whether a transaction holds the key. Its first write waits for whoever holds it, so it is held from the beginning.
    fn is_held(&self, state: &State, key: usize) -> bool {
        state
            .writers
            .iter()
            .zip(&self.writers)
            .any(|(writer, script)| writer.open && script[writer.at].iter().any(|write| write.key() == key))
    }

    pub(crate) fn can_begin(&self, state: &State, writer: usize) -> bool {
        let Some(transaction) = self.writers[writer].get(state.writers[writer].at) else { return false };
        transaction.iter().all(|write| {
            let key = write.key();
            !self.is_held(state, key) && !state.is_being_stamped(Target::Row(key))
        })
    }

    /// Everything of a transaction is seen at once.
    pub(crate) fn commit(&self, state: &mut State, writer: usize) {
        let at = state.writers[writer].at;
        for (index, write) in self.writers[writer][at].iter().enumerate() {
            let content = u8::try_from(1 + writer * 16 + at * 4 + index).expect("small worlds have small numbers");
            state.source.write(*write, content);
        }
        state.end_transaction(writer);
    }

    /// Flagged, and held by nobody: what a lane's statement stamps (SKIP LOCKED).
    fn free(&self, state: &State, lane: usize) -> Vec<Target> {
        let flagged: Vec<_> = if lane == TOMBSTONES {
            let tombstones = state.source.tombstones.iter().enumerate();
            tombstones
                .filter(|(_, tombstone)| tombstone.sequence.is_none())
                .map(|(at, _)| Target::Tombstone(at))
                .collect()
        } else {
            let flagged = |key: &usize| state.source.rows[*key].is_some_and(|row| row.flagged);
            (0..KEYS).filter(flagged).filter(|key| !self.is_held(state, *key)).map(Target::Row).collect()
        };
        flagged.into_iter().filter(|target| !state.is_being_stamped(*target)).collect()
    }

    /// Whether a pass may begin, and would do something.
    pub(crate) fn can_stamp(&self, state: &State) -> bool {
        let locked = state.sequencers.iter().any(|sequencer| matches!(sequencer, Sequencer::Pass { .. }));
        !(locked && self.kept.ordering_lock) && (0..2).any(|lane| !self.free(state, lane).is_empty())
    }

    pub(crate) fn begin_pass(&self, state: &mut State, index: usize, first: usize) {
        let lanes = decisions::lanes(&state.source.waiting(), first);
        state.sequencers[index] = Sequencer::Pass { lanes, stamped: Vec::new() };
    }

    /// One statement with a snapshot of its own: what others commit between two of them, the second one sees.
    pub(crate) fn stamp_lane(&self, state: &mut State, index: usize) {
        let Sequencer::Pass { lanes, .. } = &state.sequencers[index] else { return };
        let targets = self.free(state, lanes[0]);
        let first = state.next_sequence;
        state.next_sequence += u8::try_from(targets.len()).expect("small worlds have small numbers");
        if let Sequencer::Pass { lanes, stamped } = &mut state.sequencers[index] {
            lanes.remove(0);
            stamped.extend(targets.into_iter().zip(first..));
        }
    }

    pub(crate) fn commit_pass(&self, state: &mut State, index: usize) {
        let ended = std::mem::replace(&mut state.sequencers[index], Sequencer::Idle);
        let Sequencer::Pass { stamped, .. } = ended else { return };
        let highest = state.seen.highest;
        let mut news = 0;
        for (target, number) in stamped {
            state.seen.out_of_order |= number <= highest;
            state.seen.highest = state.seen.highest.max(number);
            state.source.head = state.source.head.max(number);
            let key = match target {
                Target::Row(key) => {
                    if let Some(row) = &mut state.source.rows[key] {
                        (row.sequence, row.flagged) = (Some(number), false);
                    }
                    key
                }
                Target::Tombstone(at) => {
                    state.source.tombstones[at].sequence = Some(number);
                    state.source.tombstones[at].key
                }
            };
            news |= 1 << self.owners[key];
        }
        if news == 0 {
            return;
        }
        if self.kept.outbox_in_commit {
            state.announce_later(news);
        } else {
            state.sequencers[index] = Sequencer::Owing(news);
        }
    }
}
