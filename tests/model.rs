//! A model of the whole: writers, sequencers, announcer, queue, workers, base and destination as pure state machines, every
//! interleaving of a small world looked at, one step at a time.
//!
//! Which lanes a pass stamps in which order, how news are merged, and where cursors may go is decided by the services' own
//! code. What the databases and the broker do (locks, snapshots, commits, redeliveries) is written down in `model/`. Each
//! world is small enough to be searched to its end. Taking away any one protection must break a promise: a model that finds
//! nothing then would prove nothing.

#![allow(clippy::print_stdout, reason = "how much was looked at, and what was found, is for people")]

mod delivery;
mod promises;
mod source;
mod state;
mod steps;

use lockstep_mappings::postgres::fetch::PageLimits;
use stateright::{Checker, Model};

use self::promises::{CUR_1, DEL_1, EQUAL, IDEM_1, SEQ_1};
use self::state::Write::{Delete, Put};
use self::state::{Faults, Protections, Start, World};

/// No limit that these worlds reach.
const WIDE: PageLimits = PageLimits { tenancy_rows: 100, total_rows: 100 };
const THREADS: usize = 2;

/// One tenancy, one sequencer, one worker, nothing written, nothing wrong.
fn world() -> World {
    World {
        owners: [0, 0],
        start: [Start::Absent, Start::Absent],
        writers: Vec::new(),
        rollbacks: false,
        sequencers: 1,
        workers: 1,
        bases: 0,
        limits: WIDE,
        faults: Faults::default(),
        kept: Protections::ALL,
        only: None,
    }
}

/// Two sequencers at once, transactions that commit in another order than they began, or not at all.
fn two_sequencers() -> World {
    World {
        writers: vec![vec![vec![Put(0)], vec![Delete(0)]], vec![vec![Put(1)]]],
        rollbacks: true,
        sequencers: 2,
        faults: Faults { kills: 1, ..Faults::default() },
        ..world()
    }
}

/// A key that was shipped goes and comes again, in one transaction and in several, at any moment.
fn recreated() -> World {
    World {
        start: [Start::Shipped, Start::Absent],
        writers: vec![vec![vec![Delete(0)], vec![Put(0)]], vec![vec![Delete(0), Put(0), Delete(0)]]],
        faults: Faults { kills: 1, ..Faults::default() },
        ..world()
    }
}

/// A row that changes its key, and changes it back; cursors are forgotten once, as by `lockstep resync`.
fn moving() -> World {
    World {
        start: [Start::Shipped, Start::Absent],
        writers: vec![vec![vec![Delete(0), Put(1)], vec![Delete(1), Put(0)]]],
        faults: Faults { kills: 1, resyncs: 1, ..Faults::default() },
        ..world()
    }
}

/// Two workers with the same tenancy, each free to stop for as long as the other pleases.
fn two_workers() -> World {
    World {
        start: [Start::Shipped, Start::Absent],
        writers: vec![vec![vec![Put(0)], vec![Delete(0)], vec![Put(0)]]],
        workers: 2,
        faults: Faults { kills: 1, repeats: 1, ..Faults::default() },
        ..world()
    }
}

/// Two tenancies in pages that cannot hold all their news, while messages are lost and come twice.
fn small_pages() -> World {
    World {
        owners: [0, 1],
        writers: vec![vec![vec![Put(0), Put(1)], vec![Delete(0)]]],
        limits: PageLimits { tenancy_rows: 1, total_rows: 1 },
        faults: Faults { kills: 1, losses: 1, repeats: 1, ..Faults::default() },
        ..world()
    }
}

/// A row that was there before, and changes while two workers read the base, one of them long after its claim has ended.
fn with_a_base() -> World {
    World {
        start: [Start::Base, Start::Absent],
        writers: vec![vec![vec![Put(0)], vec![Delete(0)]]],
        bases: 2,
        faults: Faults { kills: 1, ..Faults::default() },
        ..world()
    }
}

/// Looks at every state of the world: no promise is broken in any.
fn keeps_its_promises(world: World) {
    let checker = world.checker().threads(THREADS).spawn_bfs().join();
    println!("{} states, {} steps", checker.unique_state_count(), checker.state_count());
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1_000, "the world is too small to tell anything");
}

/// Without this protection the promise is broken; says how.
fn finds(promise: &'static str, mut world: World, without: impl Fn(&mut Protections)) {
    without(&mut world.kept);
    world.only = Some(promise);
    let checker = world.checker().threads(THREADS).spawn_bfs().join();
    let path = checker.assert_any_discovery(promise);
    println!("{promise} is broken by {:?}", path.into_actions());
}

#[test]
fn model_two_sequencers_keep_every_promise() {
    keeps_its_promises(two_sequencers());
}

#[test]
fn model_keys_that_come_again_keep_every_promise() {
    keeps_its_promises(recreated());
}

#[test]
fn model_keys_that_move_keep_every_promise() {
    keeps_its_promises(moving());
}

#[test]
fn model_two_workers_keep_every_promise() {
    keeps_its_promises(two_workers());
}

#[test]
fn model_small_pages_and_lost_messages_keep_every_promise() {
    keeps_its_promises(small_pages());
}

#[test]
fn model_a_base_that_changes_keeps_every_promise() {
    keeps_its_promises(with_a_base());
}

#[test]
fn model_without_the_ordering_lock_finds_numbers_out_of_order_and_rows_that_are_missing() {
    finds(SEQ_1, two_sequencers(), |kept| kept.ordering_lock = false);
    finds(CUR_1, two_sequencers(), |kept| kept.ordering_lock = false);
    finds(EQUAL, two_sequencers(), |kept| kept.ordering_lock = false);
}

#[test]
fn model_without_leaving_out_tombstones_of_live_keys_finds_rows_that_are_hidden() {
    finds(DEL_1, recreated(), |kept| kept.live_keys_left_out = false);
    finds(EQUAL, recreated(), |kept| kept.live_keys_left_out = false);
}

#[test]
fn model_without_one_snapshot_for_keys_and_tombstones_finds_rows_that_are_hidden() {
    finds(DEL_1, recreated(), |kept| kept.one_snapshot = false);
    finds(EQUAL, recreated(), |kept| kept.one_snapshot = false);
}

#[test]
fn model_without_inserting_before_the_cursor_moves_finds_rows_that_are_missing() {
    finds(CUR_1, two_sequencers(), |kept| kept.insert_before_cursor = false);
    finds(EQUAL, two_sequencers(), |kept| kept.insert_before_cursor = false);
}

#[test]
fn model_without_the_head_of_the_snapshot_finds_rows_that_are_missing() {
    finds(CUR_1, two_sequencers(), |kept| kept.head_of_snapshot = false);
    finds(EQUAL, two_sequencers(), |kept| kept.head_of_snapshot = false);
}

#[test]
fn model_without_the_highest_cursor_winning_finds_one_that_moves_back() {
    finds(CUR_1, two_workers(), |kept| kept.highest_cursor = false);
}

#[test]
fn model_without_the_highest_version_winning_finds_stale_rows() {
    finds(IDEM_1, two_workers(), |kept| kept.highest_version = false);
    finds(EQUAL, two_workers(), |kept| kept.highest_version = false);
    finds(EQUAL, with_a_base(), |kept| kept.highest_version = false);
}

#[test]
fn model_without_the_outbox_in_the_commit_finds_news_that_are_lost() {
    finds(EQUAL, two_sequencers(), |kept| (kept.outbox_in_commit, kept.sweep) = (false, false));
}

#[test]
fn model_without_generations_in_the_outbox_finds_news_that_are_lost() {
    finds(EQUAL, recreated(), |kept| (kept.generations, kept.sweep) = (false, false));
}

#[test]
fn model_without_letting_messages_go_last_finds_news_that_are_lost() {
    finds(EQUAL, recreated(), |kept| (kept.acknowledged_last, kept.sweep) = (false, false));
}

#[test]
fn model_without_the_sweep_finds_that_a_lost_message_is_lost_news() {
    finds(EQUAL, small_pages(), |kept| kept.sweep = false);
}

/// Messages are hints: with the sweep, losing any of them loses nothing, whatever else goes wrong with them.
#[test]
fn model_the_sweep_makes_up_for_every_lost_hint() {
    let kept =
        Protections { outbox_in_commit: false, generations: false, acknowledged_last: false, ..Protections::ALL };
    keeps_its_promises(World { kept, ..recreated() });
}
