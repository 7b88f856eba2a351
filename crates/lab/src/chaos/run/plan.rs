//! What will happen, and when: a function of the seed alone.

use lockstep_mappings::postgres::stable_hash;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::fault::{Fault, PROGRAMS, SERVICES, Service, TENANTS, Trouble};
use super::operation::{Large, Operation};
use lockstep_testkit::edits::EditKind;

/// Tasks that edit at the same time; operations go round.
pub(super) const LANES: usize = 3;

/// Between two operations, on average 25 ms.
const OPERATION_EVERY_MS: std::ops::Range<u64> = 1..50;
/// One operation of so many is a transaction of thousands of rows.
const LARGE_ONE_IN: u32 = 150;
/// One operation of so many writes values that hurt.
const HOSTILE_ONE_IN: u32 = 400;
/// One operation of so many moves a tenancy.
const MOVE_ONE_IN: u32 = 200;
/// One operation of so many has a mapping filled again.
const REFILL_ONE_IN: u32 = 300;
/// Between the beginnings of two faults.
const FAULT_EVERY_MS: std::ops::Range<u64> = 300..2_500;
/// Between two restarts of services: each takes up to half a minute.
const RESTART_EVERY_MS: u64 = 20_000;
/// Draws for a fault whose target is in no trouble, before none happens.
const DRAWS: u32 = 10;

/// One thing that happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Planned<T> {
    /// After the beginning.
    pub(super) at_ms: u64,
    pub(super) what: T,
}

/// An operation, and what it draws its rows from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seeded {
    pub(super) operation: Operation,
    pub(super) seed: u64,
}

/// A fault, and how long it lasts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lasting {
    pub(super) fault: Fault,
    pub(super) for_ms: u64,
}

/// Everything that will happen, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    pub(super) operations: Vec<Planned<Seeded>>,
    pub(super) faults: Vec<Planned<Lasting>>,
}

impl Plan {
    pub(super) fn draw(seed: u64, seconds: u32) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let end_ms = u64::from(seconds) * 1_000;
        let mut operations = Vec::new();
        let mut at_ms = 0;
        while at_ms < end_ms {
            operations.push(Planned { at_ms, what: Seeded { operation: operation(&mut rng), seed: rng.random() } });
            at_ms += rng.random_range(OPERATION_EVERY_MS);
        }
        Self { operations, faults: faults(&mut rng, end_ms) }
    }

    /// Tells two plans apart.
    pub(super) fn fingerprint(&self) -> u64 {
        stable_hash(&format!("{self:?}"))
    }
}

fn operation(rng: &mut StdRng) -> Operation {
    if rng.random_ratio(1, LARGE_ONE_IN) {
        Operation::Large(Large::ALL[rng.random_range(0..Large::ALL.len())])
    } else if rng.random_ratio(1, HOSTILE_ONE_IN) {
        Operation::Hostile
    } else if rng.random_ratio(1, MOVE_ONE_IN) {
        Operation::Move
    } else if rng.random_ratio(1, REFILL_ONE_IN) {
        Operation::Refill
    } else {
        Operation::Edit(EditKind::draw(rng))
    }
}

fn faults(rng: &mut StdRng, end_ms: u64) -> Vec<Planned<Lasting>> {
    let mut faults: Vec<Planned<Lasting>> = Vec::new();
    let mut at_ms = rng.random_range(FAULT_EVERY_MS);
    while at_ms < end_ms {
        for _ in 0..DRAWS {
            let what = lasting(rng);
            let free = faults.iter().all(|before| {
                let until = before.at_ms + before.what.for_ms;
                until < at_ms || !before.what.fault.meets(&what.fault)
            });
            if free {
                faults.push(Planned { at_ms, what });
                break;
            }
        }
        at_ms += rng.random_range(FAULT_EVERY_MS);
    }
    faults
}

fn lasting(rng: &mut StdRng) -> Lasting {
    let program = rng.random_range(0..PROGRAMS.len());
    let service = SERVICES[rng.random_range(0..SERVICES.len())];
    let whose = rng.random_bool(0.5).then_some(program);
    let tenant = rng.random_range(0..TENANTS);
    let (fault, for_ms) = match rng.random_range(0..36) {
        0..6 => (Fault::Kill(program), rng.random_range(0..2_000)),
        6..10 => (Fault::Stop(program), rng.random_range(200..8_000)),
        10..13 => (network(service, whose, Trouble::Cut), 0),
        13..16 => (network(service, whose, Trouble::Refuse), rng.random_range(200..4_000)),
        16..19 => (network(service, whose, Trouble::HalfOpen), rng.random_range(500..8_000)),
        19..22 => (network(service, whose, Trouble::Delay(rng.random_range(5..200))), rng.random_range(500..5_000)),
        22..26 => (network(service, whose, Trouble::DropResponse), rng.random_range(100..3_000)),
        26..28 => (of_tenant(tenant, Trouble::Cut), 0),
        28..30 => (of_tenant(tenant, Trouble::Refuse), rng.random_range(200..6_000)),
        30..32 => (of_tenant(tenant, Trouble::HalfOpen), rng.random_range(500..10_000)),
        32 => (of_tenant(tenant, Trouble::Delay(rng.random_range(5..200))), rng.random_range(500..5_000)),
        33 => (of_tenant(tenant, Trouble::DropResponse), rng.random_range(100..3_000)),
        _ => (Fault::Restart(service), RESTART_EVERY_MS),
    };
    Lasting { fault, for_ms }
}

const fn network(service: Service, whose: Option<usize>, trouble: Trouble) -> Fault {
    Fault::Network { service, whose, trouble }
}

const fn of_tenant(which: usize, trouble: Trouble) -> Fault {
    Fault::Tenant { which, trouble }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_gives_another() {
        let [one, again, other] = [7, 7, 8].map(|seed| Plan::draw(seed, 60));
        assert_eq!(one, again);
        assert_eq!(one.fingerprint(), again.fingerprint());
        assert_ne!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn everything_that_can_happen_happens_within_a_few_seeds() {
        let (mut operations, mut faults) = (BTreeSet::new(), BTreeSet::new());
        for seed in 0..20 {
            let plan = Plan::draw(seed, 60);
            assert!(plan.operations.len() > 1_500 && plan.faults.len() > 20, "{}", plan.faults.len());
            operations.extend(plan.operations.iter().map(|planned| planned.what.operation.name()));
            faults.extend(plan.faults.iter().map(|planned| planned.what.fault.kind()));
        }
        assert_eq!(operations.len(), EditKind::ALL.len() + Large::ALL.len() + 3);
        assert_eq!(faults.len(), 13 + SERVICES.len() - 1, "{faults:?}");
    }

    #[test]
    fn nothing_is_in_two_kinds_of_trouble_at_once() {
        for seed in 0..20 {
            let plan = Plan::draw(seed, 120);
            for (index, fault) in plan.faults.iter().enumerate() {
                for later in &plan.faults[index + 1..] {
                    let over = fault.at_ms + fault.what.for_ms < later.at_ms;
                    assert!(over || !fault.what.fault.meets(&later.what.fault), "seed {seed}: {fault:?}, {later:?}");
                }
            }
        }
    }
}
