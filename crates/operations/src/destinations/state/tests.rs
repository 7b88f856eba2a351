//! What is said of a destination follows from what workers have written down.

use lockstep_core::TenancyId;
use lockstep_core::secret_keys::Sealed;
use lockstep_schema::tenant_destinations::{Address, Breaker, Progress, Setup};

use super::*;

fn destination(progress: Progress, breaker: Breaker) -> TenantDestination {
    let address = Address { host: "db".into(), port: 5432, database: "app".into(), user: "lockstep".into() };
    let sealed = Sealed { key_id: "2026".into(), bytes: vec![7; 60] };
    let (id, tenancy) = (Uuid::from_u128(1), TenancyId::new(Uuid::from_u128(2)));
    TenantDestination {
        setup: Setup { id, tenancy, mappings: None, sealed, address },
        added_at: "2026-11-26T01:02:03Z".into(),
        revision: 1,
        progress,
        breaker,
    }
}

fn mapping(name: &str, state: MappingState, filled: bool, refill: bool) -> TenantMapping {
    let at = |given: bool| given.then(|| "2026-11-26T01:02:03Z".to_owned());
    TenantMapping {
        destination: Uuid::from_u128(1),
        mapping: name.into(),
        state,
        fill_reason: None,
        filled_rows: 40,
        total_rows: Some(100),
        filled_at: at(filled),
        error_code: None,
        error: None,
        refill_requested_at: at(refill),
    }
}

fn paused(kind: &str, name: &str) -> PausedPart {
    PausedPart { kind: kind.into(), name: name.into(), since: String::new(), reason: String::new() }
}

fn at(known: i64, passed: i64, unfinished: bool) -> Progress {
    Progress { known, passed, unfinished, last_success_at: None }
}

fn failing() -> Breaker {
    Breaker { failures: 3, failing_since: Some("2026-11-26T01:02:03Z".into()), ..Breaker::default() }
}

#[test]
fn what_matters_most_is_said_first() {
    use DestinationState::{BackingOff, Behind, Filling, InStep, NeedsRefill, Paused};
    let streaming = mapping("users", MappingState::Streaming, true, false);
    let first = mapping("teams", MappingState::Filling, false, true);
    let again = mapping("teams", MappingState::Streaming, true, true);
    let state = |progress, breaker, mappings: &[&TenantMapping], pauses: &[PausedPart]| {
        let mappings: Vec<_> = mappings.iter().map(|mapping| (*mapping).clone()).collect();
        DestinationEntry::of(destination(progress, breaker), &mappings, pauses).state
    };
    assert_eq!(state(at(9, 9, false), Breaker::default(), &[&streaming], &[]), InStep);
    assert_eq!(state(at(9, 7, false), Breaker::default(), &[&streaming], &[]), Behind);
    assert_eq!(state(at(0, 0, true), Breaker::default(), &[], &[]), Filling);
    assert_eq!(state(at(9, 7, true), Breaker::default(), &[&streaming, &first], &[]), Filling);
    assert_eq!(state(at(9, 7, true), Breaker::default(), &[&streaming, &again], &[]), NeedsRefill);
    assert_eq!(state(at(9, 7, true), failing(), &[&first], &[]), BackingOff);
    let (id, tenancy) = (Uuid::from_u128(1).to_string(), Uuid::from_u128(2).to_string());
    for part in [paused("destination", &id), paused("tenancy", &tenancy), paused("workers", "")] {
        assert_eq!(state(at(9, 7, true), failing(), &[&first], std::slice::from_ref(&part)), Paused);
    }
    let others = [paused("destination", &tenancy), paused("mapping", "users"), paused("sequencer", "")];
    assert_eq!(state(at(9, 9, false), Breaker::default(), &[&streaming], &others), InStep);
}

#[test]
fn rows_are_counted_over_the_fills_that_are_under_way() {
    let mut unknown = mapping("teams", MappingState::Filling, false, false);
    let mappings = [
        mapping("users", MappingState::Filling, false, false),
        unknown.clone(),
        mapping("refresh_tokens", MappingState::Streaming, true, false),
        mapping("email_outboxes", MappingState::Stopped, true, false),
    ];
    let entry = DestinationEntry::of(destination(at(9, 4, true), Breaker::default()), &mappings, &[]);
    assert_eq!((entry.filled_rows, entry.total_rows, entry.behind_by), (Some(80), Some(200), 5));
    assert_eq!(entry.stopped, ["email_outboxes"]);
    unknown.total_rows = None;
    let entry = DestinationEntry::of(destination(at(0, 4, true), Breaker::default()), &[unknown], &[]);
    assert_eq!((entry.filled_rows, entry.total_rows, entry.behind_by), (Some(40), None, 0));
}
