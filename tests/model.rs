//! A model of the whole: the application's transactions, sequencers, expander, announcer, queue, workers, fill and
//! destination as state machines, every interleaving of small worlds looked at, one step at a time.
//!
//! It is written from the design alone and uses nothing of the services: where both agree, two have thought the same.
//! What the databases and the broker do (snapshots, locks, commits, redeliveries) is written down in `model/`. Each
//! world is small enough to be searched to its end. Taking away any one protection must break a promise (`without.rs`):
//! a model that finds nothing then would prove nothing.

#![allow(clippy::print_stdout, reason = "how much was looked at, and what was found, is for people")]

mod delivery;
mod own_database;
mod promises;
mod reading;
mod sequencer;
mod source;
mod start;
mod state;
mod steps;
mod without;
mod world;
mod worlds;

use stateright::{Checker, Model};

use self::world::World;

const THREADS: usize = 2;

/// Looks at every state of the world: no promise is broken in any.
fn keeps_its_promises(name: &str, world: World) {
    let began = std::time::Instant::now();
    let checker = world.checker().threads(THREADS).spawn_bfs().join();
    println!("{name}: {} states, {} steps, {:?}", checker.unique_state_count(), checker.state_count(), began.elapsed());
    checker.assert_properties();
    assert!(checker.unique_state_count() > 500, "the world is too small to tell anything");
}

/// One test for each world, named after it.
macro_rules! worlds_keep_every_promise {
    ($($test:ident: $world:ident,)*) => {$(
        #[test]
        fn $test() {
            keeps_its_promises(stringify!($world), worlds::$world());
        }
    )*};
}

worlds_keep_every_promise! {
    model_two_sequencers_keep_every_promise: two_sequencers,
    model_transactions_in_shares_keep_every_promise: shares,
    model_inboxes_that_are_truncated_keep_every_promise: turns,
    model_keys_that_come_again_keep_every_promise: recreated,
    model_tenancies_that_share_a_place_keep_every_promise: shared_place,
    model_tenancies_that_swap_places_keep_every_promise: swapped,
    model_a_place_that_is_taken_over_keeps_every_promise: taken_over,
    model_a_tenancy_that_comes_back_keeps_every_promise: comes_back,
    model_a_tenancy_that_moves_twice_keeps_every_promise: moves_twice,
    model_moves_in_shares_keep_every_promise: moves_in_shares,
    model_a_tenancy_that_visits_another_keeps_every_promise: visits,
    model_two_workers_keep_every_promise: two_workers,
    model_two_workers_at_one_place_keep_every_promise: two_workers_at_one_place,
    model_small_pages_and_lost_messages_keep_every_promise: small_pages,
    model_a_fill_of_rows_that_change_keeps_every_promise: filled,
    model_a_fill_over_stale_rows_keeps_every_promise: filled_again,
    model_a_fill_while_tenancies_move_keeps_every_promise: filled_while_moving,
    model_two_workers_at_own_databases_keep_every_promise: own_two_workers,
    model_small_pages_to_own_databases_keep_every_promise: own_small_pages,
    model_an_own_database_of_a_tenancy_that_comes_back_keeps_every_promise: own_comes_back,
    model_a_fill_of_an_own_database_keeps_every_promise: own_filled,
}
