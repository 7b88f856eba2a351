//! Every way in which a story can end, in one sentence each.

use lockstep_core::TenancyId;
use uuid::Uuid;

use super::*;
use crate::explain::report::{
    BreakerState, Changes, DestinationStory, ExplainReport, Fill, Holds, Place, Refused, SourceRow, SourceState,
    Waiting,
};
use crate::pause::PausedPart;

const AT: &str = "2026-11-26T01:02:03Z";

fn tenancy() -> Uuid {
    Uuid::from_u128(7)
}

fn own() -> String {
    Uuid::from_u128(8).to_string()
}

fn place() -> Place {
    Place { project_id: "internal".to_owned(), branch_id: "main".to_owned() }
}

fn of() -> TenancyFacts {
    TenancyFacts {
        tenancy: tenancy(),
        gone: false,
        gone_since: None,
        place: Some(place()),
        former_places: Vec::new(),
        source: SourceRow { state: SourceState::Exported, sql_state: None },
        waiting: Waiting::default(),
        changes: Changes::default(),
        sequencer_paused: None,
    }
}

fn row(differs: Option<Difference>) -> HeldRow {
    HeldRow {
        place: Some(place()),
        former: false,
        holds: Holds::Live,
        version: Some(41),
        copies: 2,
        differs,
        columns: vec!["display_name".to_owned(), "is_anonymous".to_owned()],
    }
}

fn to(destination: &str, differs: Option<Difference>) -> DestinationFacts {
    DestinationFacts {
        destination: destination.to_owned(),
        unreachable: None,
        cursor: Some(41),
        fill: Fill { state: FillState::Filled, error: None },
        paused: Vec::new(),
        breaker: None,
        rows: vec![row(differs)],
        quarantine: Vec::new(),
    }
}

fn different() -> DestinationFacts {
    to(DESTINATION, Some(Difference::Different))
}

fn claim() -> Claim {
    Claim {
        tenancy: TenancyId::new(tenancy()),
        gone: false,
        sequence: Some(SequenceId::new(41)),
        waiting: false,
        cursor: SequenceId::new(41),
    }
}

fn seen(claim: Claim) -> Seen {
    Seen { claims: vec![claim], unreadable: None, is_confirmed: false }
}

fn paused(kind: &str, name: &str) -> PausedPart {
    PausedPart { kind: kind.to_owned(), name: name.to_owned(), since: AT.to_owned(), reason: "away".to_owned() }
}

fn refused() -> Refused {
    let at = || AT.to_owned();
    Refused { sequence: 41, code: "LS-0203".to_owned(), first_refused_at: at(), last_refused_at: at(), attempts: 1 }
}

#[track_caller]
fn ends(of: &TenancyFacts, to: &DestinationFacts, seen: &Seen, verdict: Verdict, sentence: &str, next: &str) {
    let judged = judge("users", of, to, seen);
    let next = (!next.is_empty()).then(|| next.to_owned());
    assert_eq!(judged, Judgement { verdict, sentence: sentence.to_owned(), next });
}

#[test]
fn alike_is_in_step_whatever_is_on_its_way() {
    let waiting = Claim { waiting: true, ..claim() };
    let alike = to(DESTINATION, None);
    for claim in [claim(), waiting] {
        ends(&of(), &alike, &seen(claim), Verdict::InStep, "ClickHouse is in step through number 41", "");
    }
    let base = DestinationFacts { cursor: None, ..alike };
    ends(&of(), &base, &seen(claim()), Verdict::InStep, "ClickHouse holds what the source has", "");
}

#[test]
fn what_waits_is_named_with_what_keeps_it() {
    let number = seen(Claim { waiting: true, ..claim() });
    let next = "`lockstep doctor`, should that last: it says whether a sequencer leads, and what waits";
    let sentence = "ClickHouse is behind: a change waits for its number";
    ends(&of(), &different(), &number, Verdict::OnItsWay, sentence, next);
    let stopped = TenancyFacts { sequencer_paused: Some(paused("sequencer", "")), ..of() };
    let sentence =
        "ClickHouse is behind: a change waits for its number, and sequencer paused since 2026-11-26T01:02:03Z: away";
    ends(&stopped, &different(), &number, Verdict::OnItsWay, sentence, "lockstep resume sequencer");

    let above = seen(Claim { sequence: Some(SequenceId::new(44)), ..claim() });
    let sentence = "ClickHouse is behind: change 44 has not arrived, it is at 41";
    let next = format!("lockstep wait --tenant {}", tenancy());
    ends(&of(), &different(), &above, Verdict::OnItsWay, sentence, &next);
    let silent = TenancyFacts { changes: Changes { unannounced: true, ..Changes::default() }, ..of() };
    let next = "`lockstep doctor`, should that last: it says whether RabbitMQ answers, and a sequencer leads";
    let sentence = "ClickHouse is behind: change 44 waits to be announced";
    ends(&silent, &different(), &above, Verdict::OnItsWay, sentence, next);
    let still = DestinationFacts { paused: vec![paused("mapping", "users")], ..different() };
    let sentence = "ClickHouse is behind: change 44 has not arrived, it is at 41, and mapping users paused since 2026-11-26T01:02:03Z: away";
    ends(&of(), &still, &above, Verdict::OnItsWay, sentence, "lockstep resume mapping users");
    let misfit = PausedPart { reason: "LS-0508: no column".to_owned(), ..paused("mapping", "users") };
    let still = DestinationFacts { paused: vec![misfit], ..different() };
    let sentence = "ClickHouse is behind: change 44 has not arrived, it is at 41, and mapping users paused since 2026-11-26T01:02:03Z: LS-0508: no column";
    ends(&of(), &still, &above, Verdict::OnItsWay, sentence, &pauses::after_misfit());

    let breaker = BreakerState {
        failures: 3,
        since: Some(AT.to_owned()),
        retry_at: Some(AT.to_owned()),
        error_code: Some("LS-0201".to_owned()),
        error: Some("LS-0201: it is away".to_owned()),
    };
    let failing = DestinationFacts { breaker: Some(breaker), ..to(&own(), Some(Difference::Missing)) };
    let sentence = format!(
        "Destination {} is behind: change 44 has not arrived, it is at 41, and it fails since {AT}, and is tried again at {AT}: LS-0201: it is away",
        own()
    );
    let next = format!("lockstep destination show {}", own());
    ends(&of(), &failing, &above, Verdict::OnItsWay, &sentence, &next);
}

#[test]
fn fills_and_erasures_are_waited_for() {
    for (state, sentence) in [
        (FillState::Filling, "ClickHouse is behind: it is being filled"),
        (FillState::WaitsForFill, "ClickHouse is behind: it waits for a fill"),
    ] {
        let filling = DestinationFacts { fill: Fill { state, error: None }, ..different() };
        ends(&of(), &filling, &seen(claim()), Verdict::OnItsWay, sentence, "lockstep status");
    }
    let fill = Fill { state: FillState::Stopped, error: Some("LS-0213: its key is another".to_owned()) };
    let stopped = DestinationFacts { fill, ..to(&own(), Some(Difference::Missing)) };
    let sentence = format!(
        "Destination {} is behind: it is being filled, and the mapping is stopped there: LS-0213: its key is another",
        own()
    );
    let next = format!("lockstep destination show {}", own());
    ends(&of(), &stopped, &seen(claim()), Verdict::OnItsWay, &sentence, &next);
    let gone = seen(Claim { gone: true, waiting: true, ..claim() });
    let sentence = "ClickHouse is behind: the tenancy is gone, and its rows are erased when late writes are over";
    let next = format!("lockstep erase --tenant {}", tenancy());
    ends(&of(), &different(), &gone, Verdict::OnItsWay, sentence, &next);
}

#[test]
fn what_is_owed_is_wrong_when_it_was_seen_twice() {
    let (once, twice) = (seen(claim()), Seen { is_confirmed: true, ..seen(claim()) });
    assert!(is_owed(&different(), &once));
    let sentence = "ClickHouse may be behind: the row changed again and again while it was looked at";
    ends(&of(), &different(), &once, Verdict::OnItsWay, sentence, "run this again");
    let resync = format!("lockstep resync --tenant {} --mapping users", tenancy());
    for (difference, sentence) in [
        (
            Difference::Different,
            "ClickHouse is wrong: it has other values in display_name, is_anonymous, and nothing is on its way",
        ),
        (Difference::Missing, "ClickHouse is wrong: it lacks the row, and nothing is on its way"),
        (
            Difference::Unexpected,
            "ClickHouse is wrong: it holds a row that the source has not, and nothing is on its way",
        ),
    ] {
        ends(&of(), &to(DESTINATION, Some(difference)), &twice, Verdict::Wrong, sentence, &resync);
    }
    let (gone, left) = (TenancyFacts { gone: true, ..of() }, to(DESTINATION, Some(Difference::Unexpected)));
    assert_eq!(judge("users", &gone, &left, &twice).next, Some(format!("lockstep erase --tenant {}", tenancy())));
    let lost = to(&own(), Some(Difference::Missing));
    let sentence = format!("Destination {} is wrong: it lacks the row, and nothing is on its way", own());
    let resync = format!("lockstep resync --destination {} --mapping users", own());
    ends(&of(), &lost, &twice, Verdict::Wrong, &sentence, &resync);
}

#[test]
fn a_refused_row_is_wrong_until_something_newer_is_on_its_way() {
    let refused = DestinationFacts { quarantine: vec![refused()], ..different() };
    let next = format!(
        "mend the row, which ships it; or mend the destination, and run `lockstep quarantine retry --mapping users --tenant {} --destination clickhouse`",
        tenancy()
    );
    let sentence = "ClickHouse is wrong: the row is in quarantine with LS-0203";
    ends(&of(), &refused, &seen(claim()), Verdict::Wrong, sentence, &next);
    let mended = seen(Claim { waiting: true, ..claim() });
    assert_eq!(judge("users", &of(), &refused, &mended).verdict, Verdict::OnItsWay);
}

#[test]
fn what_nobody_can_say_is_not_in_step() {
    let away = DestinationFacts { unreachable: Some("LS-0201: it is away".to_owned()), ..to(&own(), None) };
    let sentence = format!("Destination {} could not be looked at: LS-0201: it is away", own());
    let next = format!("lockstep destination test {}", own());
    ends(&of(), &away, &seen(claim()), Verdict::NotLookedAt, &sentence, &next);
    let unread = Seen { unreadable: Some("22003".to_owned()), ..seen(claim()) };
    let unreadable = to(DESTINATION, Some(Difference::Unreadable));
    let judged = judge("users", &of(), &unreadable, &unread);
    assert_eq!(judged.verdict, Verdict::NotLookedAt);
    assert!(judged.sentence.contains("SQLSTATE 22003"), "{judged:?}");
    assert!(!is_owed(&unreadable, &unread));
}

fn story(parts: &[(DestinationFacts, Seen)]) -> Vec<TenancyStory> {
    let destinations = parts.iter().map(|(facts, seen)| {
        let judgement = judge("users", &of(), facts, seen);
        DestinationStory { facts: facts.clone(), judgement }
    });
    vec![TenancyStory { facts: of(), destinations: destinations.collect() }]
}

#[test]
fn the_gravest_is_that_of_all() {
    let alike = (to(DESTINATION, None), seen(claim()));
    let wrong = (different(), Seen { is_confirmed: true, ..seen(claim()) });
    let away = (DestinationFacts { unreachable: Some("it is away".to_owned()), ..to(&own(), None) }, seen(claim()));
    let behind = (different(), seen(Claim { waiting: true, ..claim() }));
    for (parts, verdict) in [
        (&[alike.clone(), behind.clone()][..], Verdict::OnItsWay),
        (&[behind, away.clone()], Verdict::NotLookedAt),
        (&[away, wrong], Verdict::Wrong),
        (&[], Verdict::InStep),
    ] {
        assert_eq!(of_all(&story(parts), None).verdict, verdict);
    }
    let both = [alike.clone(), (to(&own(), None), seen(claim()))];
    assert_eq!(of_all(&story(&both), None).sentence, "In step in all 2 destinations");
    let not_searched = of_all(&story(&[alike]), Some("ClickHouse: it is away"));
    assert_eq!(not_searched.verdict, Verdict::NotLookedAt);
}

#[test]
fn a_key_of_which_nothing_is_known_is_not_in_step() {
    let nothing = || DestinationFacts {
        rows: vec![HeldRow { holds: Holds::Nothing, version: None, ..row(None) }],
        ..to(DESTINATION, None)
    };
    let strangers = |to: DestinationFacts| {
        let mut tenancies = story(&[(to, seen(claim()))]);
        tenancies[0].facts.source.state = SourceState::Absent;
        tenancies
    };
    assert_eq!(of_all(&[], None).verdict, Verdict::NeverSeen);
    let said = of_all(&strangers(nothing()), None);
    assert_eq!(said.verdict, Verdict::NeverSeen);
    assert!(said.sentence.starts_with("Never seen: "), "{}", said.sentence);
    let tombstone = HeldRow { holds: Holds::Tombstone, ..row(None) };
    let was_there = strangers(DestinationFacts { rows: vec![tombstone], ..nothing() });
    assert_eq!(of_all(&was_there, None).verdict, Verdict::InStep);
    let mut changed = strangers(nothing());
    changed[0].facts.changes.count = 1;
    assert_eq!(of_all(&changed, None).verdict, Verdict::InStep);
    changed[0].facts.changes = Changes { cut: true, ..Changes::default() };
    assert_eq!(of_all(&changed, None).verdict, Verdict::InStep, "not all changes were looked through");
    let filtered = story(&[(nothing(), seen(claim()))]);
    assert_eq!(of_all(&filtered, None).verdict, Verdict::InStep);
}

#[test]
fn the_story_is_told_in_sentences() {
    let changed = |sequence| crate::explain::report::Change { sequence, passed_at: Some(AT.to_owned()) };
    let mut tenancies = story(&[(
        DestinationFacts { quarantine: vec![refused()], ..different() },
        seen(Claim { waiting: true, ..claim() }),
    )]);
    tenancies[0].facts.former_places = vec![place()];
    tenancies[0].facts.waiting = Waiting { lines: 1, searches: 2, since: Some(AT.to_owned()), erasure: false };
    tenancies[0].facts.changes =
        Changes { count: 2, cut: false, last: vec![changed(41), changed(40)], unannounced: true };
    let report = ExplainReport {
        mapping: "users".to_owned(),
        key: [("id".to_owned(), tenancy().to_string())].into_iter().collect(),
        judgement: of_all(&tenancies, None),
        cut: true,
        not_searched: None,
        tenancies,
    };
    insta::assert_snapshot!(report.sentences().join("\n"));
}
