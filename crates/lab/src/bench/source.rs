//! `source`: what an application pays for capture, beside the same without it and the same with a log-based tool.
//!
//! Three databases of one server are copies of each other: untouched, captured (sequencer running, no worker), and one whose
//! logical replication slot is read. Short rounds on them take turns, and only rounds that follow each other are compared,
//! so that whatever else the machine does meets all three.

mod case;
mod load;
mod server;
mod slot;

use serde_json::{Value, json};

use super::figures::{Scenario, median, rounded};
use case::Case;
use load::Keys;
use server::{Server, Variant};

/// Rounds of a case for each run that was asked for: a ratio of rounds this short needs many.
const SHORT_ROUNDS: u32 = 5;
/// Of a case whose round is one statement over many rows.
const LONG_ROUNDS: u32 = 2;

/// What a round on one database came to.
#[derive(Clone, Copy, Default, Debug)]
struct Round {
    changes: f64,
    seconds: f64,
    /// Of the application's transactions, and of whatever follows from them on the server.
    wal_bytes: f64,
    /// From the last commit until the sequencer, or the slot's reader, had all of it.
    behind_seconds: f64,
}

impl Round {
    fn rate(&self) -> f64 {
        self.changes / self.seconds
    }

    /// As if the application had waited for whoever follows it.
    fn rate_to_the_end(&self) -> f64 {
        self.changes / (self.seconds + self.behind_seconds)
    }
}

/// Tells each case as soon as it is measured.
pub(super) async fn measure(runs: u32, tell: impl Fn(&Scenario) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let keys = Keys::read(server.control(Variant::Untouched)).await?;
    for case in Case::ALL {
        eprintln!("  {} …", case.name());
        server.flush_dirty_pages().await?;
        let count = runs * if case.is_one_statement() { LONG_ROUNDS } else { SHORT_ROUNDS } + 1;
        let mut rounds = Vec::new();
        for number in 0..count {
            let round = all_variants(&server, &keys, case, number).await?;
            // The first fills caches and plans.
            if number > 0 {
                rounds.push(round);
            }
        }
        tell(&scenario(case, &rounds, server.has_slots()))?;
    }
    server.remove().await
}

/// One round on each, in an order that turns round, so that none is always the first.
async fn all_variants(server: &Server, keys: &Keys, case: Case, number: u32) -> anyhow::Result<[Round; 3]> {
    let mut order = Variant::ALL;
    if number % 2 == 1 {
        order.reverse();
    }
    let mut rounds = [Round::default(); 3];
    for variant in order.into_iter().filter(|variant| *variant != Variant::Slot || server.has_slots()) {
        rounds[variant as usize] = server.round(variant, keys, case, number).await?;
    }
    Ok(rounds)
}

fn scenario(case: Case, rounds: &[[Round; 3]], has_slots: bool) -> Scenario {
    let of = |figure: fn(&[Round; 3]) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
    let whole = |value: f64| json!(value.round());
    let slot = |value: Value| if has_slots { value } else { json!("pg_recvlogical is not installed") };
    let mut figures = vec![
        ("captured_per_second", whole(of(|[_, captured, _]| captured.rate()))),
        ("untouched_per_second", whole(of(|[untouched, ..]| untouched.rate()))),
        ("slot_per_second", slot(whole(of(|[.., slot]| slot.rate())))),
        ("slot_ratio", slot(json!(rounded(of(|[untouched, _, slot]| slot.rate() / untouched.rate()))))),
        ("captured_to_slot_ratio", slot(json!(rounded(of(|[_, captured, slot]| captured.rate() / slot.rate()))))),
        ("wal_bytes_per_change_captured", whole(of(|[_, captured, _]| captured.wal_bytes / captured.changes))),
        ("wal_bytes_per_change_untouched", whole(of(|[untouched, ..]| untouched.wal_bytes / untouched.changes))),
        (
            "wal_bytes_per_change_added",
            whole(of(|[untouched, captured, _]| {
                captured.wal_bytes / captured.changes - untouched.wal_bytes / untouched.changes
            })),
        ),
        ("wal_bytes_per_change_slot", slot(whole(of(|[.., slot]| slot.wal_bytes / slot.changes)))),
        ("ceiling_of_wal_bytes_added", json!(700)),
        (
            "ratio_until_numbered",
            json!(rounded(of(|[untouched, captured, _]| captured.rate_to_the_end() / untouched.rate()))),
        ),
        ("sequencer_behind_ms", whole(of(|[_, captured, _]| captured.behind_seconds * 1000.0))),
        ("slot_behind_ms", slot(whole(of(|[.., slot]| slot.behind_seconds * 1000.0)))),
    ];
    figures.extend(case.floor().map(|floor| ("floor_of_the_ratio", json!(floor))));
    figures.extend([
        ("rounds", json!(rounds.len())),
        ("changes_are", json!(case.counted())),
        ("postgres", json!(server::DESCRIPTION)),
    ]);
    Scenario {
        name: format!("source: {}", case.name()),
        ratio: of(|[untouched, captured, _]| captured.rate() / untouched.rate()),
        baseline: "the same table without capture",
        figures,
    }
}
