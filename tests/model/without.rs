//! Taking away any one protection breaks a promise, and the model finds out how.

use stateright::{Checker, Model};

use super::promises::{CAP_1, CUR_1, DEL_1, EQUAL, IDEM_1, ISO_1, OUT_1, SEQ_1};
use super::world::{Protections, World};
use super::worlds::{
    comes_back, filled, filled_again, filled_while_moving, moves_in_shares, moves_twice, own_filled, own_two_workers,
    recreated, shared_place, shares, small_pages, swapped, taken_over, turns, two_sequencers, two_workers, visits,
};
use super::{THREADS, keeps_its_promises};

/// Without this protection the promise is broken; says how.
fn finds(promise: &'static str, mut world: World, without: impl Fn(&mut Protections)) {
    without(&mut world.protections);
    world.only = Some(promise);
    let checker = world.checker().threads(THREADS).spawn_bfs().join();
    let path = checker.assert_any_discovery(promise);
    println!("{promise} is broken by {:?}", path.into_actions());
}

fn still_keeps(name: &str, mut world: World, without: impl Fn(&mut Protections)) {
    without(&mut world.protections);
    keeps_its_promises(name, world);
}

#[test]
fn model_without_the_ordering_lock_finds_numbers_out_of_order_and_rows_that_are_missing() {
    let without = |with: &mut Protections| (with.ordering_lock, with.plan_checked_again) = (false, false);
    finds(SEQ_1, two_sequencers(), without);
    finds(CUR_1, two_sequencers(), without);
    finds(EQUAL, two_sequencers(), without);
    finds(SEQ_1, two_sequencers(), |with| with.ordering_lock = false);
}

#[test]
fn model_without_the_ordering_lock_finds_changes_that_are_never_announced() {
    let mut world = two_sequencers();
    world.one_by_one.messages = true;
    finds(OUT_1, world, |with| with.ordering_lock = false);
}

#[test]
fn model_without_checking_the_plan_again_finds_lines_that_are_consumed_twice() {
    finds(CAP_1, two_sequencers(), |with| with.plan_checked_again = false);
    finds(CAP_1, turns(), |with| with.plan_checked_again = false);
}

#[test]
fn model_without_respect_for_running_transactions_finds_lines_that_are_lost() {
    finds(CAP_1, two_sequencers(), |with| with.running_not_consumed = false);
    finds(EQUAL, two_sequencers(), |with| with.running_not_consumed = false);
}

#[test]
fn model_without_the_position_of_a_share_finds_lines_that_are_lost() {
    finds(CAP_1, shares(), |with| with.position_of_share = false);
    finds(EQUAL, shares(), |with| with.position_of_share = false);
}

#[test]
fn model_without_keeping_what_was_consumed_finds_lines_that_are_consumed_twice() {
    finds(CAP_1, shares(), |with| with.consumed_only_grows = false);
}

#[test]
fn model_without_waiting_for_the_end_of_a_turn_finds_lines_that_are_truncated() {
    let without =
        |with: &mut Protections| (with.truncation_when_all_ended, with.truncation_under_lock) = (false, false);
    finds(CAP_1, turns(), without);
    finds(EQUAL, turns(), without);
}

/// Between the look and the TRUNCATE the turn may come round again.
#[test]
fn model_without_looking_under_the_lock_finds_lines_that_are_truncated() {
    finds(CAP_1, turns(), |with| with.truncation_under_lock = false);
    finds(EQUAL, turns(), |with| with.truncation_under_lock = false);
}

/// That a turn is over only keeps the TRUNCATE from waiting for those who write.
#[test]
fn model_looking_under_the_lock_is_enough_to_truncate() {
    still_keeps("turns", turns(), |with| with.truncation_when_all_ended = false);
}

#[test]
fn model_without_one_transaction_for_an_expansion_finds_keys_that_are_lost() {
    finds(EQUAL, comes_back(), |with| with.expansion_in_one_transaction = false);
}

#[test]
fn model_without_announcing_after_the_commit_finds_news_that_are_lost() {
    let mut world = recreated();
    world.one_by_one.sequencers = true;
    finds(OUT_1, world.clone(), |with| with.announced_after_commit = false);
    finds(EQUAL, world, |with| (with.announced_after_commit, with.sweep) = (false, false));
}

#[test]
fn model_without_the_position_after_the_confirm_finds_news_that_are_lost() {
    finds(OUT_1, recreated(), |with| with.position_after_confirm = false);
    finds(EQUAL, recreated(), |with| (with.position_after_confirm, with.sweep) = (false, false));
}

#[test]
fn model_without_letting_messages_go_last_finds_news_that_are_lost() {
    finds(EQUAL, recreated(), |with| (with.acknowledged_last, with.sweep) = (false, false));
}

#[test]
fn model_without_the_sweep_finds_that_a_lost_message_is_lost_news() {
    finds(EQUAL, small_pages(), |with| with.sweep = false);
}

/// Messages are hints: with the sweep, losing any of them loses nothing, whatever else goes wrong with them.
#[test]
fn model_the_sweep_makes_up_for_every_lost_hint() {
    let mut world = recreated();
    world.faults.losses = 1;
    world.protections.acknowledged_last = false;
    keeps_its_promises("recreated", world);
}

#[test]
fn model_without_judging_by_place_finds_rows_that_are_hidden() {
    finds(DEL_1, shared_place(), |with| with.judged_by_place = false);
    finds(EQUAL, shared_place(), |with| with.judged_by_place = false);
    finds(DEL_1, taken_over(), |with| with.judged_by_place = false);
    finds(DEL_1, swapped(), |with| with.judged_by_place = false);
}

#[test]
fn model_without_former_places_finds_rows_that_are_left_behind() {
    finds(ISO_1, moves_twice(), |with| with.former_places = false);
    finds(EQUAL, moves_twice(), |with| with.former_places = false);
    finds(EQUAL, swapped(), |with| with.former_places = false);
}

#[test]
fn model_without_the_places_in_lines_finds_rows_that_are_left_behind() {
    let without = |with: &mut Protections| (with.places_in_lines, with.recorded_places_only) = (false, false);
    finds(ISO_1, moves_twice(), without);
    finds(EQUAL, moves_twice(), without);
}

/// A pass that takes the deletion of a row, and leaves the earlier move of its tenancy for the next, leaves the row
/// where the tenancy was in between.
#[test]
fn model_without_recording_places_in_time_finds_rows_that_are_left_behind() {
    let without = |with: &mut Protections| (with.places_recorded_first, with.recorded_places_only) = (false, false);
    finds(ISO_1, moves_twice(), without);
    finds(EQUAL, moves_twice(), without);
    finds(ISO_1, visits(), without);
    finds(ISO_1, moves_in_shares(), without);
}

/// It is enough that passes record places before anything else, or that readers ship only to places that are recorded.
/// With the latter a place that no pass has seen was never shipped to: lines need not tell of it.
#[test]
fn model_either_way_of_recording_places_in_time_is_enough() {
    for (name, world) in [("moves_twice", moves_twice()), ("moves_in_shares", moves_in_shares()), ("visits", visits())]
    {
        still_keeps(name, world.clone(), |with| with.recorded_places_only = false);
        still_keeps(name, world, |with| (with.places_recorded_first, with.places_in_lines) = (false, false));
    }
}

#[test]
fn model_without_rows_before_the_cursor_finds_rows_that_are_missing() {
    finds(CUR_1, two_workers(), |with| with.rows_before_cursor = false);
    finds(EQUAL, two_workers(), |with| with.rows_before_cursor = false);
}

#[test]
fn model_without_the_head_of_the_snapshot_finds_rows_that_are_missing() {
    finds(CUR_1, two_workers(), |with| with.head_of_snapshot = false);
    finds(EQUAL, two_workers(), |with| with.head_of_snapshot = false);
}

#[test]
fn model_without_the_highest_cursor_winning_finds_one_that_moves_back() {
    finds(CUR_1, two_workers(), |with| with.highest_cursor = false);
}

#[test]
fn model_without_stopping_where_a_page_was_cut_finds_rows_that_are_missing() {
    finds(CUR_1, small_pages(), |with| with.cut_page_stops = false);
    finds(EQUAL, small_pages(), |with| with.cut_page_stops = false);
}

#[test]
fn model_without_the_highest_version_winning_finds_stale_rows() {
    finds(IDEM_1, two_workers(), |with| with.highest_version = false);
    finds(EQUAL, two_workers(), |with| with.highest_version = false);
    finds(EQUAL, filled(), |with| with.highest_version = false);
}

/// A destination that forgets deleted rows has no version to compare with.
#[test]
fn model_without_comparing_cursors_finds_old_rows_in_own_databases() {
    finds(IDEM_1, own_two_workers(), |with| with.cursor_compared = false);
    finds(EQUAL, own_two_workers(), |with| with.cursor_compared = false);
    finds(CUR_1, own_two_workers(), |with| with.cursor_compared = false);
    finds(EQUAL, own_filled(), |with| with.cursor_compared = false);
}

#[test]
fn model_without_the_floor_drawn_first_finds_rows_that_a_fill_sets_back() {
    finds(EQUAL, filled(), |with| with.floor_drawn_first = false);
    finds(ISO_1, filled_while_moving(), |with| with.floor_drawn_first = false);
}

#[test]
fn model_without_the_catch_up_finds_rows_that_a_fill_missed() {
    finds(EQUAL, filled(), |with| with.catch_up = false);
}

#[test]
fn model_without_the_catch_up_of_running_transactions_finds_rows_that_a_fill_missed() {
    let mut world = filled();
    world.one_by_one.transactions = true;
    finds(EQUAL, world.clone(), |with| with.catch_up_of_running = false);
    keeps_its_promises("filled, with transactions that last", world);
}

#[test]
fn model_without_order_in_the_removal_of_stale_rows_finds_rows_that_are_hidden() {
    let without = |with: &mut Protections| (with.stale_judged_in_source, with.stale_after_catch_up) = (false, false);
    finds(DEL_1, filled_again(), without);
}

/// What the source has is not stale, whenever one looks: the order matters only where versions alone tell what is
/// stale.
#[test]
fn model_judging_in_the_source_is_enough_to_remove_stale_rows() {
    still_keeps("filled_again", filled_again(), |with| with.stale_after_catch_up = false);
    still_keeps("filled_while_moving", filled_while_moving(), |with| with.stale_after_catch_up = false);
}
