//! The application with its triggers, and the expander: who writes lines into the inbox.

use super::state::{Expander, Expansion, Fill, Keys, Line, Row, Snapshot, Source, State, Target};
use super::world::{KEYS, Keeps, TENANCIES, World, Write, small};

impl Source {
    /// What a place, or a tenancy's own database, shows of a key when all is in step: one of these, or nothing where there are
    /// none.
    pub(crate) fn living(&self, keeps: Keeps, place: usize, key: usize) -> impl Iterator<Item = u8> {
        let is_there = move |tenancy: &usize| match keeps {
            Keeps::Versions => self.places[*tenancy] == Some(place),
            Keeps::Rows => *tenancy == place && self.places[*tenancy].is_some(),
        };
        let there = (0..TENANCIES).filter(is_there);
        there.filter_map(move |tenancy| Some(self.rows[tenancy][key]?.content))
    }

    fn delete(&mut self, tenancy: usize, key: usize) -> Vec<Target> {
        self.rows[tenancy][key].take().map(|_| Target::Row(tenancy, key)).into_iter().collect()
    }

    /// The lines tell of the place that is left, and of the one that is taken.
    fn settle(&mut self, tenancy: usize, place: Option<usize>) -> Vec<Target> {
        let left = std::mem::replace(&mut self.places[tenancy], place);
        left.into_iter().chain(place).map(|place| Target::Tenancy(tenancy, place)).collect()
    }

    /// Does one write; returns what its triggers write down.
    fn write(&mut self, write: Write, content: u8, filling: bool) -> Vec<Target> {
        match write {
            Write::Put(tenancy, key) => {
                let part = self.rows[tenancy][key].map_or(0, |row| row.part);
                self.rows[tenancy][key] = Some(Row { content, part, rewritten: filling });
                vec![Target::Row(tenancy, key)]
            }
            Write::Delete(tenancy, key) => self.delete(tenancy, key),
            Write::Shift(tenancy, key) => {
                if let Some(row) = &mut self.rows[tenancy][key] {
                    (row.part, row.rewritten) = (1 - row.part, filling);
                }
                Vec::new()
            }
            Write::Settle(tenancy, place) => self.settle(tenancy, Some(place)),
            Write::Abandon(tenancy) => self.settle(tenancy, None),
            Write::Cascade(tenancy) => {
                let mut lines = self.settle(tenancy, None);
                lines.extend((0..KEYS).flat_map(|key| self.delete(tenancy, key)));
                lines
            }
        }
    }

    fn keys_of(&self, expansion: Expansion) -> Keys {
        let keys = (0..TENANCIES).flat_map(|tenancy| (0..KEYS).map(move |key| (tenancy, key)));
        keys.filter(|(tenancy, key)| {
            self.rows[*tenancy][*key].is_some_and(|row| match expansion {
                Expansion::Tenancy(wanted) => wanted == *tenancy,
                Expansion::Rewritten => row.rewritten,
            })
        })
        .collect()
    }
}

impl State {
    pub(crate) fn draw_xid(&mut self) -> u8 {
        self.next_xid += 1;
        self.next_xid - 1
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let writers = self.writers.iter().filter_map(|writer| writer.xid);
        let expander = match self.expander {
            Expander::Idle => None,
            Expander::Read(xid, ..) => Some(xid),
        };
        let running = writers.chain(expander).fold(0, |running, xid| running | 1 << xid);
        Snapshot { next: self.next_xid, running }
    }

    pub(crate) fn is_consumed(&self, line: &Line) -> bool {
        let pass = &self.control.pass;
        let unfinished = pass.unfinished.iter().find(|unfinished| unfinished.xid == line.xid);
        pass.consumed.sees(line.xid) && unfinished.is_none_or(|unfinished| line.position < unfinished.position)
    }

    pub(crate) fn capture(&mut self, xid: u8, targets: Vec<Target>) {
        let line = |(position, target)| Line { xid, position: small(position), target, numbered: false };
        self.inbox.extend(targets.into_iter().enumerate().map(line));
    }

    pub(crate) fn end_transaction(&mut self, writer: usize) {
        self.writers[writer].xid = None;
        self.writers[writer].at += 1;
    }

    fn forget_expansion(&mut self, expansion: Expansion) {
        if let Some(at) = self.control.expansions.iter().position(|other| *other == expansion) {
            self.control.expansions.remove(at);
        }
    }
}

impl World {
    pub(crate) fn begin(&self, state: &mut State, writer: usize) {
        state.writers[writer].xid = Some(state.draw_xid());
        if !self.one_by_one.transactions {
            self.commit(state, writer);
        }
    }

    /// Everything of a transaction is seen at once. What it wrote it wrote just now: that is one of the ways in which
    /// it may have gone, and no other is seen differently by anybody.
    pub(crate) fn commit(&self, state: &mut State, writer: usize) {
        let at = state.writers[writer].at;
        let Some(xid) = state.writers[writer].xid else { return };
        let is_later = self.protections.catch_up_of_running || xid >= state.fill_xid;
        let filling = self.fill && state.fill != Fill::Waiting && is_later;
        let mut targets = Vec::new();
        for (index, write) in self.writers[writer][at].iter().enumerate() {
            let content = small(1 + writer * 32 + at * 8 + index);
            targets.extend(state.source.write(*write, content, filling));
        }
        state.capture(xid, targets);
        state.end_transaction(writer);
    }

    pub(crate) fn read_expansion(&self, state: &mut State, at: usize) {
        let expansion = state.control.expansions[at];
        let keys = state.source.keys_of(expansion);
        let xid = state.draw_xid();
        state.expander = Expander::Read(xid, expansion, keys);
        if !self.protections.expansion_in_one_transaction {
            state.control.expansions.remove(at);
        }
        if !self.one_by_one.expander {
            self.commit_expansion(state);
        }
    }

    pub(crate) fn commit_expansion(&self, state: &mut State) {
        if let Expander::Read(xid, expansion, keys) = std::mem::replace(&mut state.expander, Expander::Idle) {
            state.capture(xid, keys.into_iter().map(|(tenancy, key)| Target::Row(tenancy, key)).collect());
            if self.protections.expansion_in_one_transaction {
                state.forget_expansion(expansion);
            }
        }
    }
}
