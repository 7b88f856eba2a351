//! The sentence, from samples that are made up.

use std::time::SystemTime;

use lockstep_operations::{Freshness, MappingStatus};

use super::*;
use crate::history::History;

fn seen() -> Seen {
    Seen {
        status: lockstep_operations::Status {
            last_sequence: 20,
            passed: 20,
            inbox_lines: 0,
            expansions: 0,
            unannounced: 0,
            queue: Queue::Known { ready: 0, retrying: 0, dead: 0 },
            quarantine: 0,
            erasures: 0,
            mappings: vec![MappingStatus {
                name: "users".to_owned(),
                tenancies_behind: 0,
                fill_ranges_done: 1,
                fill_ranges: 1,
                filled_rows: 7,
                filled: true,
            }],
            behind_cut: false,
            paused: Vec::new(),
            event_sinks: Vec::new(),
            instances: Vec::new(),
            needs_refill: false,
            tenants: TenantsStatus {
                total: 0,
                paused: 0,
                backing_off: 0,
                unfinished: 0,
                behind: 0,
                in_step: 0,
                stopped_mappings: 0,
                refills: 0,
                noted: 20,
                worst: Vec::new(),
            },
            tasks: Vec::new(),
            programs: Vec::new(),
            count_limit: 10_000,
        },
        freshness: Freshness {
            tenancies: 998_430,
            is_estimate: false,
            behind: 18,
            behind_cut: false,
            oldest_news_s: Some(1.3),
            leads: true,
            clickhouse: Ok("26.7.2.1".to_owned()),
            clickhouse_remedy: None,
        },
        runs: Vec::new(),
        sessions: Vec::new(),
        quarantine: lockstep_operations::QuarantineGroups::default(),
        events: lockstep_operations::LatestEvents::default(),
        deliveries: Vec::new(),
    }
}

fn judged(seen: Result<Seen, String>) -> Verdict {
    let taken_at = SystemTime::UNIX_EPOCH;
    of(&Sample { taken_at, took_ms: 3, seen, recent: Err(""), history: History::default(), checks: None })
}

#[test]
fn where_nothing_is_wrong_it_says_how_far_all_are() {
    let verdict = judged(Ok(seen()));
    assert_eq!(verdict.level, Level::Well);
    assert_eq!(verdict.sentence, "998,412 of 998,430 tenants; oldest news 1.3 s");
    assert!(verdict.troubles.is_empty());
}

#[test]
fn what_was_looked_through_up_to_a_limit_only_is_told_so() {
    let mut seen = seen();
    (seen.freshness.behind, seen.freshness.behind_cut, seen.freshness.is_estimate) = (10_000, true, true);
    assert_eq!(judged(Ok(seen)).sentence, "at most 988,430 of about 998,430 tenants; oldest news 1.3 s");
}

#[test]
fn the_worst_comes_first_with_what_mends_it() {
    let mut seen = seen();
    seen.status.quarantine = 12;
    seen.freshness.leads = false;
    seen.status.paused.push(PausedPart {
        kind: "mapping".to_owned(),
        name: "users".to_owned(),
        since: "2026-11-27T00:00:00Z".to_owned(),
        reason: "LS-0508: it does not fit".to_owned(),
    });
    let verdict = judged(Ok(seen));
    assert_eq!(verdict.level, Level::Wrong);
    assert_eq!(verdict.sentence, "no sequencer leads, so changes get no numbers; and 2 more");
    let remedies: Vec<_> = verdict.troubles.iter().map(|trouble| trouble.remedy.as_str()).collect();
    assert_eq!(remedies, ["lockstep-sequencer", "lockstep quarantine list", "lockstep resume mapping users"]);
    assert_eq!(verdict.troubles[2].code(), Some("LS-0508"));
    assert!(!verdict.troubles[2].words().contains("LS-0508") && verdict.troubles[2].what.contains("LS-0508"));
}

#[test]
fn a_sequencer_that_is_paused_is_told_as_paused_and_not_as_missing() {
    let mut seen = seen();
    seen.freshness.leads = false;
    seen.status.paused.push(PausedPart {
        kind: "sequencer".to_owned(),
        name: String::new(),
        since: "2026-11-27T00:00:00Z".to_owned(),
        reason: "a migration".to_owned(),
    });
    let verdict = judged(Ok(seen));
    assert_eq!(verdict.troubles.len(), 1);
    assert_eq!(verdict.troubles[0].remedy, "lockstep resume sequencer");
}

#[test]
fn while_the_source_is_behind_clickhouse_nothing_but_rewind_is_named_for_what_follows_from_it() {
    let run = |verdict: &str| VerificationRun {
        id: 1,
        started_at: String::new(),
        finished_at: "2026-11-27T00:00:00Z".to_owned(),
        seconds: 1.0,
        verdict: verdict.to_owned(),
        level: "content".to_owned(),
        scope: serde_json::Value::Null,
        counts: serde_json::Value::Null,
    };
    let different = || Seen { runs: vec![run("different")], ..seen() };
    let remedies = |seen| judged(Ok(seen)).troubles.into_iter().map(|trouble| trouble.remedy).collect::<Vec<_>>();
    assert_eq!(remedies(different()), ["lockstep-verifier --repair apply"]);
    let mut behind = different();
    behind.status.programs.push(ProgramTrouble {
        kind: TroubleKind::HeldUp,
        role: "sequencer",
        is_wrong: true,
        what: "LS-0510: ahead".to_owned(),
        remedy: REWIND.to_owned(),
    });
    assert_eq!(remedies(behind), [REWIND, REWIND]);
}

#[test]
fn what_cannot_be_asked_is_unknown_and_never_zero() {
    let verdict = judged(Err("LS-0012: connection refused".to_owned()));
    assert_eq!(verdict.level, Level::Unknown);
    assert_eq!(verdict.sentence, "LS-0012: connection refused");
    assert_eq!(verdict.troubles[0].code(), Some("LS-0012"));
}

#[test]
fn news_that_waits_for_long_and_services_that_do_not_answer_are_wrong() {
    let mut seen = seen();
    seen.freshness.oldest_news_s = Some(3600.0);
    seen.freshness.clickhouse = Err("LS-0201: connection refused".to_owned());
    seen.freshness.clickhouse_remedy = Some("start ClickHouse at http://away:8123".to_owned());
    seen.status.queue = Queue::Unknown { error: "LS-0301: connection refused".to_owned() };
    let verdict = judged(Ok(seen));
    assert!(verdict.troubles.iter().all(|trouble| trouble.level == Level::Wrong));
    assert_eq!(verdict.troubles.len(), 3);
    assert!(verdict.troubles.iter().any(|trouble| trouble.remedy == "start ClickHouse at http://away:8123"));
    assert_eq!(code_in("none here: LS-12, LS-"), None);
}
