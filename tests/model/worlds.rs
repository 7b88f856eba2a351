//! The small worlds: each brings some mechanisms together, and is searched to its end.

use super::world::Start::{Absent, Shipped, Stale, Uncaptured, Unshipped};
use super::world::Write::{Abandon, Cascade, Delete, Put, Settle, Shift};
use super::world::{Faults, Keeps, OneByOne, Protections, World};

/// No limit that these worlds reach.
const WIDE: usize = 100;
/// The two tenancies, and the two places.
const A: usize = 0;
const B: usize = 1;
const HERE: usize = 0;
const THERE: usize = 1;

/// One tenancy, one sequencer, one worker, nothing written, nothing wrong.
fn world() -> World {
    World {
        keeps: Keeps::Versions,
        places: [Some(HERE), None],
        start: [[Absent; 2]; 2],
        writers: Vec::new(),
        one_by_one: OneByOne::default(),
        rollbacks: false,
        sequencers: 1,
        limited_passes: false,
        share: WIDE,
        turn: None,
        workers: 1,
        tenancy_limit: WIDE,
        page_limit: WIDE,
        fill: false,
        faults: Faults::default(),
        protections: Protections::ALL,
        only: None,
    }
}

/// Two sequencers at once, transactions that commit in another order than they began, or not at all.
pub(crate) fn two_sequencers() -> World {
    World {
        writers: vec![vec![vec![Put(A, 0)], vec![Delete(A, 0)]], vec![vec![Put(A, 1)]]],
        rollbacks: true,
        sequencers: 2,
        faults: Faults { kills: 1, ..Faults::default() },
        one_by_one: OneByOne { transactions: true, sequencers: true, ..OneByOne::default() },
        ..world()
    }
}

/// A big transaction that is taken in shares, beside small ones that a pass may leave for the next.
pub(crate) fn shares() -> World {
    World {
        start: [[Shipped, Absent], [Absent; 2]],
        writers: vec![vec![vec![Put(A, 0), Put(A, 1), Delete(A, 0)]], vec![vec![Put(A, 1)], vec![Delete(A, 1)]]],
        limited_passes: true,
        share: 1,
        faults: Faults { kills: 1, ..Faults::default() },
        one_by_one: OneByOne { transactions: true, ..OneByOne::default() },
        ..world()
    }
}

/// Inboxes that take turns and are emptied, while transactions last from one turn to another.
pub(crate) fn turns() -> World {
    World {
        writers: vec![vec![vec![Put(A, 0)], vec![Put(A, 1)]], vec![vec![Delete(A, 0)]]],
        rollbacks: true,
        sequencers: 2,
        turn: Some(1),
        one_by_one: OneByOne { transactions: true, sequencers: true, ..OneByOne::default() },
        ..world()
    }
}

/// A key that was shipped goes and comes again, in one transaction and in several.
pub(crate) fn recreated() -> World {
    World {
        start: [[Shipped, Absent], [Absent; 2]],
        writers: vec![vec![vec![Delete(A, 0)], vec![Put(A, 0)]], vec![vec![Delete(A, 0), Put(A, 0), Delete(A, 0)]]],
        faults: Faults { kills: 1, ..Faults::default() },
        one_by_one: OneByOne { messages: true, ..OneByOne::default() },
        ..world()
    }
}

/// Two tenancies in one place: a row goes from one to the other and back, and each has one of its own.
pub(crate) fn shared_place() -> World {
    World {
        places: [Some(HERE), Some(HERE)],
        start: [[Shipped, Absent], [Absent, Unshipped]],
        writers: vec![vec![vec![Delete(A, 0), Put(B, 0)], vec![Put(A, 0), Delete(B, 0)]], vec![vec![Put(A, 1)]]],
        faults: Faults { kills: 1, ..Faults::default() },
        one_by_one: OneByOne { workers: true, ..OneByOne::default() },
        ..world()
    }
}

/// Tenancies that swap places, while both have the same key, and one has another.
pub(crate) fn swapped() -> World {
    World {
        places: [Some(HERE), Some(THERE)],
        start: [[Shipped, Absent], [Shipped, Unshipped]],
        writers: vec![vec![vec![Settle(A, THERE), Settle(B, HERE)]], vec![vec![Put(A, 0)], vec![Delete(B, 1)]]],
        one_by_one: OneByOne { expander: true, ..OneByOne::default() },
        ..world()
    }
}

/// A place is left, and taken by another tenancy with the same key; the former one's rows go on changing.
pub(crate) fn taken_over() -> World {
    World {
        start: [[Shipped, Absent], [Absent; 2]],
        writers: vec![
            vec![vec![Settle(A, THERE)], vec![Settle(B, HERE), Put(B, 0)]],
            vec![vec![Put(A, 0)], vec![Delete(A, 0)]],
        ],
        one_by_one: OneByOne { transactions: true, ..OneByOne::default() },
        ..world()
    }
}

/// A tenancy goes with its rows, and comes back elsewhere, with another tenancy of the same key beside it.
pub(crate) fn comes_back() -> World {
    World {
        places: [Some(HERE), Some(HERE)],
        start: [[Shipped, Absent], [Unshipped, Absent]],
        writers: vec![vec![vec![Cascade(A)], vec![Settle(A, THERE), Put(A, 0)], vec![Abandon(A)]]],
        faults: Faults { kills: 1, ..Faults::default() },
        one_by_one: OneByOne { expander: true, ..OneByOne::default() },
        ..world()
    }
}

/// A tenancy moves twice, transactions commit in any order, and passes take only some of what they see.
pub(crate) fn moves_twice() -> World {
    World {
        start: [[Unshipped, Absent], [Absent; 2]],
        writers: vec![vec![vec![Settle(A, THERE)], vec![Abandon(A)]], vec![vec![Delete(A, 0)]]],
        limited_passes: true,
        one_by_one: OneByOne { transactions: true, ..OneByOne::default() },
        ..world()
    }
}

/// A tenancy moves twice, and its lines wait in big transactions while the deletion of its row is numbered.
pub(crate) fn moves_in_shares() -> World {
    World {
        start: [[Unshipped, Absent], [Absent; 2]],
        writers: vec![vec![vec![Settle(A, THERE)], vec![Put(A, 1), Abandon(A)], vec![Delete(A, 0)]]],
        share: 1,
        ..world()
    }
}

/// The same with another tenancy: what it has at the place is shipped for a change of the first.
pub(crate) fn visits() -> World {
    World {
        places: [Some(THERE), Some(HERE)],
        start: [[Shipped, Absent], [Unshipped, Absent]],
        writers: vec![
            vec![vec![Settle(A, HERE)], vec![Settle(A, THERE)]],
            vec![vec![Delete(A, 0)]],
            vec![vec![Delete(B, 0)]],
        ],
        limited_passes: true,
        one_by_one: OneByOne { transactions: true, ..OneByOne::default() },
        ..world()
    }
}

/// Two workers with the same tenancy, each free to stop for as long as the other pleases.
pub(crate) fn two_workers() -> World {
    World {
        start: [[Shipped, Absent], [Absent; 2]],
        writers: vec![vec![vec![Put(A, 0)], vec![Delete(A, 0)], vec![Put(A, 0)]]],
        workers: 2,
        faults: Faults { kills: 1, repeats: 1, ..Faults::default() },
        one_by_one: OneByOne { workers: true, ..OneByOne::default() },
        ..world()
    }
}

/// Two workers, and two tenancies at one place that one of them leaves.
pub(crate) fn two_workers_at_one_place() -> World {
    World {
        places: [Some(HERE), Some(HERE)],
        start: [[Unshipped, Absent], [Shipped, Absent]],
        writers: vec![vec![vec![Put(B, 0)], vec![Settle(B, THERE)]]],
        workers: 2,
        faults: Faults { repeats: 1, ..Faults::default() },
        one_by_one: OneByOne { workers: true, ..OneByOne::default() },
        ..world()
    }
}

/// Two tenancies in pages that cannot hold all their changes, while messages are lost and come twice.
pub(crate) fn small_pages() -> World {
    World {
        places: [Some(HERE), Some(THERE)],
        writers: vec![vec![vec![Put(A, 0), Put(B, 1), Put(A, 1)], vec![Delete(A, 0)]]],
        tenancy_limit: 1,
        page_limit: 1,
        faults: Faults { kills: 1, losses: 1, repeats: 1, ..Faults::default() },
        one_by_one: OneByOne { messages: true, workers: true, ..OneByOne::default() },
        ..world()
    }
}

/// Rows that were there before capture change, and move within their table, while they are filled; some of a part come
/// late.
pub(crate) fn filled() -> World {
    World {
        start: [[Uncaptured, Uncaptured], [Absent; 2]],
        writers: vec![vec![vec![Put(A, 0)], vec![Delete(A, 0)]], vec![vec![Shift(A, 1)]]],
        fill: true,
        faults: Faults { stalls: 1, ..Faults::default() },
        ..world()
    }
}

/// Filled again: one row is stale, another moves within its table and is deleted, or comes again.
pub(crate) fn filled_again() -> World {
    World {
        start: [[Stale, Shipped], [Absent; 2]],
        writers: vec![vec![vec![Put(A, 0)]], vec![vec![Shift(A, 1)], vec![Delete(A, 1)]]],
        fill: true,
        faults: Faults { kills: 1, stalls: 1, ..Faults::default() },
        ..world()
    }
}

/// Filled while a tenancy moves away, and another takes its place.
pub(crate) fn filled_while_moving() -> World {
    World {
        start: [[Uncaptured, Absent], [Uncaptured, Absent]],
        writers: vec![vec![vec![Settle(A, THERE)], vec![Settle(B, HERE)], vec![Delete(B, 0)]]],
        fill: true,
        faults: Faults { stalls: 1, ..Faults::default() },
        ..world()
    }
}

/// The same where each tenancy has a database of its own that forgets deleted rows. All of a fill is remembered there too.
fn own(world: World) -> World {
    World { keeps: Keeps::Rows, ..world }
}

/// Two workers, each free to stop for as long as the other pleases, and a key that comes, goes and comes again.
pub(crate) fn own_two_workers() -> World {
    own(two_workers())
}

/// Pages that cannot hold all changes, while messages are lost and come twice.
pub(crate) fn own_small_pages() -> World {
    own(small_pages())
}

/// A tenancy goes with its rows and comes back elsewhere.
pub(crate) fn own_comes_back() -> World {
    own(comes_back())
}

/// Filled while rows change, with a worker that has read a page before; some of a part come late.
pub(crate) fn own_filled() -> World {
    own(World {
        start: [[Shipped, Stale], [Absent; 2]],
        writers: vec![vec![vec![Put(A, 0)], vec![Delete(A, 0)]]],
        fill: true,
        faults: Faults { kills: 1, stalls: 1, ..Faults::default() },
        one_by_one: OneByOne { workers: true, ..OneByOne::default() },
        ..world()
    })
}
