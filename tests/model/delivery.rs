//! The announcer, the queue, the workers and the destination.

use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::postgres::fetch::Work;
use lockstep_worker::{News, decisions};
use uuid::Uuid;

use super::state::{
    Announcer, Base, Destination, KEYS, Opening, Page, Sequencer, Set, Shipped, Source, State, TENANCIES, Worker,
    World, has,
};
use super::steps::Step;

fn id(tenancy: usize) -> TenancyId {
    TenancyId::new(Uuid::from_u128(tenancy as u128 + 1))
}

fn tenancy(id: TenancyId) -> usize {
    usize::try_from(id.as_uuid().as_u128() - 1).expect("small worlds have small numbers")
}

fn number(sequence: SequenceId) -> u8 {
    u8::try_from(sequence.get()).expect("small worlds have small numbers")
}

impl Destination {
    fn put(&mut self, row: Shipped, highest_version: bool) {
        let kept = self.rows[row.key].filter(|kept| highest_version && kept.version > row.version);
        self.rows[row.key] = Some(kept.unwrap_or(row));
    }
}

impl State {
    pub(crate) fn publish(&mut self) {
        if let Announcer::Read(entries) = self.announcer.clone() {
            self.queue
                .push((0..TENANCIES).filter(|tenancy| entries[*tenancy].is_some()).map(|tenancy| 1 << tenancy).sum());
            self.announcer = Announcer::Published(entries);
        }
    }

    pub(crate) fn opening(&mut self, index: usize) -> &mut Opening {
        match &mut self.workers[index] {
            Worker::Opening(opening) => opening,
            other => unreachable!("{other:?} opens nothing"),
        }
    }

    /// What has further pages is announced before the message is let go.
    pub(crate) fn acknowledge(&mut self, index: usize) {
        if let Worker::Shipping(page) = std::mem::replace(&mut self.workers[index], Worker::Idle)
            && page.continued != 0
        {
            self.queue.push(page.continued);
        }
    }
}

impl World {
    pub(crate) fn delete_from_outbox(&self, state: &mut State) {
        if let Announcer::Published(entries) = std::mem::replace(&mut state.announcer, Announcer::Idle) {
            for (published, entry) in entries.iter().zip(&mut state.outbox) {
                if published.is_some() && (*published == *entry || !self.kept.generations) {
                    *entry = None;
                }
            }
        }
    }

    /// Tenancies with rows or tombstones between their cursor and the head.
    pub(crate) fn behind(&self, state: &State) -> Set {
        let rows = state.source.rows.iter().enumerate().filter_map(|(key, row)| Some((key, (*row)?.sequence?)));
        let tombstones =
            state.source.tombstones.iter().filter_map(|tombstone| Some((tombstone.key, tombstone.sequence?)));
        rows.chain(tombstones).fold(0, |behind, (key, sequence)| {
            let owner = self.owners[key];
            let news = sequence > state.destination.cursors[owner] && sequence <= state.source.head;
            if news { behind | 1 << owner } else { behind }
        })
    }

    pub(crate) fn take(&self, state: &mut State, index: usize, message: usize) {
        let news = state.queue.remove(message);
        state.workers[index] = Worker::Opening(Opening { news, ..Opening::default() });
    }

    /// What a worker can ask next, cursors and snapshot in any order.
    pub(crate) fn openings(&self, index: usize, opening: &Opening) -> Vec<Step> {
        let mut steps = Vec::new();
        if opening.cursors.is_none() {
            steps.push(Step::ReadCursors(index));
        }
        if !self.kept.one_snapshot && opening.alive.is_none() {
            steps.push(Step::ReadLiveKeys(index));
        } else if opening.snapshot.is_none() {
            steps.push(Step::ReadPage(index));
        } else if !self.kept.head_of_snapshot {
            steps.push(Step::ReadHead(index));
        }
        steps
    }

    /// As soon as a worker knows all it needs, its page is decided.
    pub(crate) fn read_what_is_open(&self, state: &mut State) {
        for worker in &mut state.workers {
            if let Worker::Opening(Opening { news, cursors: Some(cursors), snapshot: Some(snapshot), alive, late_head }) =
                worker
                && (self.kept.head_of_snapshot || late_head.is_some())
            {
                let alive = alive.unwrap_or_else(|| snapshot.live_keys());
                let head = late_head.unwrap_or(snapshot.head);
                *worker = Worker::Shipping(self.page(*news, *cursors, snapshot, alive, head));
            }
        }
    }

    /// Rows and tombstones above a tenancy's cursor, in order, as the page's statement returns them.
    fn news_of(&self, tenancy: usize, after: u8, snapshot: &Source, alive: Set) -> Vec<Shipped> {
        let ours = |key: usize| self.owners[key] == tenancy;
        let rows = (0..KEYS).filter(|key| ours(*key)).filter_map(|key| {
            let row = snapshot.rows[key]?;
            Some(Shipped { key, version: row.sequence?, deleted: false, content: row.content })
        });
        let dead = |key: usize| !self.kept.live_keys_left_out || !has(alive, key);
        let tombstones = snapshot.tombstones.iter().filter(|tombstone| ours(tombstone.key) && dead(tombstone.key));
        let tombstones = tombstones
            .filter_map(|gone| Some(Shipped { key: gone.key, version: gone.sequence?, deleted: true, content: 0 }));
        let mut news: Vec<_> = rows.chain(tombstones).filter(|row| row.version > after).collect();
        news.sort_by_key(|row| row.version);
        news.truncate(usize::try_from(self.limits.tenancy_rows).expect("small worlds have small numbers"));
        news
    }

    /// The page, with the worker's own merging of news and its own decision where cursors go.
    fn page(&self, news: Set, cursors: [u8; TENANCIES], snapshot: &Source, alive: Set, head: u8) -> Page {
        let mut merged = News::default();
        (0..TENANCIES).filter(|tenancy| has(news, *tenancy)).for_each(|tenancy| merged.add(id(tenancy), [0]));
        let (mut work, mut rows) = (Vec::new(), Vec::new());
        for whose in merged.of_mapping(0) {
            let after = cursors[tenancy(whose)];
            work.push(Work { tenancy: whose, after: SequenceId::new(after.into()) });
            rows.extend(self.news_of(tenancy(whose), after, snapshot, alive));
        }
        rows.truncate(usize::try_from(self.limits.total_rows).expect("small worlds have small numbers"));
        let heads: Vec<_> = rows
            .iter()
            .map(|row| (id(self.owners[row.key]), SequenceId::new(row.version.into()), row.deleted))
            .collect();
        let decided =
            decisions::page(&work, &heads, self.limits, SequenceId::new(head.into())).expect("rows come as asked for");
        Page {
            news,
            rows,
            forward: decided.forward.into_iter().map(|(whose, to)| (tenancy(whose), number(to))).collect(),
            continued: decided.continued.into_iter().map(|whose| 1 << tenancy(whose)).sum(),
        }
    }

    pub(crate) fn insert_one(&self, state: &mut State, index: usize) {
        if let Worker::Shipping(page) = &mut state.workers[index] {
            state.destination.put(page.rows.remove(0), self.kept.highest_version);
        }
    }

    pub(crate) fn move_cursors(&self, state: &mut State, index: usize) {
        if let Worker::Shipping(page) = &mut state.workers[index] {
            for (tenancy, to) in std::mem::take(&mut page.forward) {
                let cursor = &mut state.destination.cursors[tenancy];
                let moved = if self.kept.highest_cursor { to.max(*cursor) } else { to };
                state.seen.moved_back |= moved < *cursor;
                *cursor = moved;
            }
        }
    }

    pub(crate) fn insert_base(&self, state: &mut State, index: usize) {
        if let Base::Read(rows) = std::mem::replace(&mut state.bases[index], Base::Done) {
            rows.into_iter().for_each(|row| state.destination.put(row, self.kept.highest_version));
        }
    }

    /// A process dies: its transaction is undone, its message comes again, its range is read again.
    pub(crate) fn kill(&self, state: &mut State, step: Step) {
        state.faults.kills -= 1;
        match step {
            Step::KillSequencer(index) => state.sequencers[index] = Sequencer::Idle,
            Step::KillAnnouncer => state.announcer = Announcer::Idle,
            Step::KillBase(index) => state.bases[index] = Base::Waiting,
            Step::KillWorker(index) => {
                let news = match std::mem::replace(&mut state.workers[index], Worker::Idle) {
                    Worker::Idle => 0,
                    Worker::Opening(opening) => opening.news,
                    Worker::Shipping(page) => page.news,
                };
                if news != 0 && self.kept.acknowledged_last {
                    state.queue.push(news);
                }
            }
            _ => {}
        }
    }
}
