//! Where a world begins.

use super::state::{
    Announcer, Change, Control, Destination, Expander, Fill, Pass, Row, Seen, Sequencer, Snapshot, Source, State,
    Truncation, Worker, Writer,
};
use super::world::{KEYS, Keeps, Start, TENANCIES, World, small};

impl State {
    pub(crate) fn of(world: &World) -> Self {
        let consumed = Snapshot { next: 1, running: 0 };
        let mut state = Self {
            source: Source { rows: Default::default(), places: world.places },
            writers: vec![Writer { at: 0, xid: None }; world.writers.len()],
            next_xid: 1,
            inbox: Vec::new(),
            control: Control {
                changes: Vec::new(),
                pass: Pass { id: 0, last_sequence: 0, consumed, unfinished: Vec::new() },
                recorded: world.places.map(|place| place.map_or(0, |place| 1 << place)),
                expansions: Vec::new(),
                announced: 0,
            },
            next_sequence: 1,
            sequencers: vec![Sequencer::Idle; world.sequencers],
            truncation: Truncation::Idle,
            expander: Expander::Idle,
            announcer: Announcer::Idle,
            queue: Vec::new(),
            workers: vec![Worker::Idle; world.workers],
            fill: if world.fill { Fill::Waiting } else { Fill::Done },
            fill_xid: 0,
            stalled: Vec::new(),
            destination: Destination {
                keeps: world.keeps,
                rows: Default::default(),
                cursors: [0; TENANCIES],
                filling: None,
            },
            faults: world.faults,
            seen: Seen::default(),
        };
        state.begin(world);
        state
    }

    fn begin(&mut self, world: &World) {
        let of = |start: Start| {
            let keys = (0..TENANCIES).flat_map(|tenancy| (0..KEYS).map(move |key| (tenancy, key)));
            keys.filter(move |(tenancy, key)| world.start[*tenancy][*key] == start)
        };
        let row = |tenancy, key| Row { content: small(100 + tenancy * KEYS + key), part: small(key), rewritten: false };
        for (tenancy, key) in of(Start::Shipped).chain(of(Start::Stale)) {
            let place = if world.keeps == Keeps::Rows { Some(tenancy) } else { world.places[tenancy] };
            if let Some(place) = place {
                self.destination.rows[place][key] = Some((self.next_sequence, Some(row(tenancy, key).content)));
            }
            self.next_sequence += 1;
        }
        let shipped = self.next_sequence - 1;
        self.destination.cursors = [shipped; TENANCIES];
        (self.control.announced, self.seen.published) = (shipped, shipped);
        for (tenancy, key) in of(Start::Unshipped) {
            let places = self.control.recorded[tenancy];
            self.control.changes.push(Change { sequence: self.next_sequence, tenancy, key, places });
            self.next_sequence += 1;
        }
        for (tenancy, key) in of(Start::Shipped).chain(of(Start::Unshipped)).chain(of(Start::Uncaptured)) {
            self.source.rows[tenancy][key] = Some(row(tenancy, key));
        }
        self.control.pass.last_sequence = self.next_sequence - 1;
        self.seen.highest = self.next_sequence - 1;
    }
}
