//! What follows from what was seen of a key at a destination. Pure.
//!
//! A difference in one look proves nothing, since the source goes on between the reads. It is called wrong where nothing is on
//! its way that could mend it, in two looks in a row with the same changes of the same tenancies: the module `judge` of the
//! verifier has the argument.

use lockstep_core::SequenceId;
use lockstep_schema::pauses;

use super::report::{
    DestinationFacts, Difference, FillState, HeldRow, Holds, Judgement, SourceState, TenancyFacts, TenancyStory,
    Verdict,
};
use crate::DESTINATION;
use crate::claims::{self, Claim, Pending};

/// What was seen of the claims on the key, beside the facts that are told.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Seen {
    pub(super) claims: Vec<Claim>,
    /// The SQLSTATE with which the source could not say what should be there.
    pub(super) unreadable: Option<String>,
    /// The look before saw the same changes, and nothing on its way.
    pub(super) is_confirmed: bool,
}

impl Seen {
    pub(super) fn pending(&self, fill: FillState) -> Option<Pending> {
        claims::pending(&self.claims, fill == FillState::Filled)
    }
}

/// Whether a difference has to be looked at once more before it is called wrong.
pub(super) fn is_owed(facts: &DestinationFacts, seen: &Seen) -> bool {
    facts.unreachable.is_none()
        && seen.unreadable.is_none()
        && facts.rows.iter().any(|row| row.differs.is_some())
        && seen.pending(facts.fill.state).is_none()
}

/// What a destination's part of the story comes to.
pub(super) fn judge(mapping: &str, of: &TenancyFacts, to: &DestinationFacts, seen: &Seen) -> Judgement {
    let judge = Judge { mapping, of, to, name: name(to) };
    let differing = to.rows.iter().find(|row| row.differs.is_some());
    if let Some(why) = &to.unreachable {
        judge.unreachable(why)
    } else if let Some(state) = &seen.unreadable {
        judge.unreadable(state)
    } else if let Some(row) = differing {
        match seen.pending(to.fill.state) {
            Some(pending) => judge.on_its_way(pending),
            None if !to.quarantine.is_empty() => judge.refused(),
            None if seen.is_confirmed => judge.wrong(row),
            None => judge.still_changing(),
        }
    } else {
        judge.in_step()
    }
}

/// A destination as sentences call it.
pub(super) fn name(to: &DestinationFacts) -> String {
    if to.destination == DESTINATION { "ClickHouse".to_owned() } else { format!("Destination {}", to.destination) }
}

struct Judge<'a> {
    mapping: &'a str,
    of: &'a TenancyFacts,
    to: &'a DestinationFacts,
    name: String,
}

fn judgement(verdict: Verdict, sentence: String, next: impl Into<Option<String>>) -> Judgement {
    Judgement { verdict, sentence, next: next.into() }
}

impl Judge<'_> {
    fn is_clickhouse(&self) -> bool {
        self.to.destination == DESTINATION
    }

    fn unreachable(&self, why: &str) -> Judgement {
        let next = if self.is_clickhouse() {
            "lockstep doctor".to_owned()
        } else {
            format!("lockstep destination test {}", self.to.destination)
        };
        judgement(Verdict::NotLookedAt, format!("{} could not be looked at: {why}", self.name), next)
    }

    fn unreadable(&self, state: &str) -> Judgement {
        let sentence = format!(
            "{}: what it should hold is not known, as Postgres cannot give the row (SQLSTATE {state})",
            self.name
        );
        let next = format!(
            "mend the row in the source, which ships it; `lockstep quarantine list --mapping {} --tenant {}` says more",
            self.mapping, self.of.tenancy
        );
        judgement(Verdict::NotLookedAt, sentence, next)
    }

    fn in_step(&self) -> Judgement {
        let through = match self.to.cursor {
            Some(cursor) if cursor > 0 => format!("is in step through number {cursor}"),
            _ => "holds what the source has".to_owned(),
        };
        judgement(Verdict::InStep, format!("{} {through}", self.name), None)
    }

    fn on_its_way(&self, pending: Pending) -> Judgement {
        let (what, next) = match pending {
            Pending::Number => self.waits_for_number(),
            Pending::Erasure => (
                "the tenancy is gone, and its rows are erased when late writes are over".to_owned(),
                format!("lockstep erase --tenant {}", self.of.tenancy),
            ),
            Pending::Change(sequence) => self.waits_for_change(sequence),
            Pending::Fill => self.waits_for_fill(),
        };
        judgement(Verdict::OnItsWay, format!("{} is behind: {what}", self.name), next)
    }

    fn waits_for_number(&self) -> (String, String) {
        match &self.of.sequencer_paused {
            Some(paused) => {
                (format!("a change waits for its number, and {paused}"), "lockstep resume sequencer".to_owned())
            }
            None => (
                "a change waits for its number".to_owned(),
                "`lockstep doctor`, should that last: it says whether a sequencer leads, and what waits".to_owned(),
            ),
        }
    }

    fn waits_for_change(&self, sequence: SequenceId) -> (String, String) {
        let cursor = self.to.cursor.unwrap_or_default();
        let what = format!("change {sequence} has not arrived, it is at {cursor}");
        self.stands_still(&what).unwrap_or_else(|| {
            if self.of.changes.unannounced {
                let next =
                    "`lockstep doctor`, should that last: it says whether RabbitMQ answers, and a sequencer leads";
                return (format!("change {sequence} waits to be announced"), next.to_owned());
            }
            (what, format!("lockstep wait --tenant {}", self.of.tenancy))
        })
    }

    fn waits_for_fill(&self) -> (String, String) {
        let what = match self.to.fill.state {
            FillState::WaitsForFill => "it waits for a fill",
            _ => "it is being filled",
        };
        self.stands_still(what).unwrap_or_else(|| (what.to_owned(), "lockstep status".to_owned()))
    }

    /// Why nothing gets there, and what to do about that, where something stands still.
    fn stands_still(&self, what: &str) -> Option<(String, String)> {
        if let Some(paused) = self.to.paused.first() {
            let command = if paused.is_of_misfit() {
                pauses::after_misfit()
            } else {
                format!("lockstep resume {} {}", paused.kind, paused.name)
            };
            return Some((format!("{what}, and {paused}"), command.trim_end().to_owned()));
        }
        let show = || format!("lockstep destination show {}", self.to.destination);
        if self.to.fill.state == FillState::Stopped {
            let why = self.to.fill.error.as_deref().unwrap_or("its table does not fit");
            return Some((format!("{what}, and the mapping is stopped there: {why}"), show()));
        }
        let breaker = self.to.breaker.as_ref()?;
        let [since, retry_at, error] =
            [&breaker.since, &breaker.retry_at, &breaker.error].map(|text| text.as_deref().unwrap_or("unknown"));
        Some((format!("{what}, and it fails since {since}, and is tried again at {retry_at}: {error}"), show()))
    }

    fn refused(&self) -> Judgement {
        let codes = self.to.quarantine.last().map_or("", |refused| refused.code.as_str());
        let next = format!(
            "mend the row, which ships it; or mend the destination, and run `lockstep quarantine retry --mapping {} --tenant {} --destination {}`",
            self.mapping, self.of.tenancy, self.to.destination
        );
        judgement(Verdict::Wrong, format!("{} is wrong: the row is in quarantine with {codes}", self.name), next)
    }

    fn wrong(&self, row: &HeldRow) -> Judgement {
        let way = match row.differs {
            Some(Difference::Missing) => "it lacks the row".to_owned(),
            Some(Difference::Unexpected) => "it holds a row that the source has not".to_owned(),
            _ => format!("it has other values in {}", row.columns.join(", ")),
        };
        let next = match (self.is_clickhouse(), self.of.gone) {
            (true, false) => format!("lockstep resync --tenant {} --mapping {}", self.of.tenancy, self.mapping),
            (true, true) => format!("lockstep erase --tenant {}", self.of.tenancy),
            (false, _) => format!("lockstep resync --destination {} --mapping {}", self.to.destination, self.mapping),
        };
        judgement(Verdict::Wrong, format!("{} is wrong: {way}, and nothing is on its way", self.name), next)
    }

    fn still_changing(&self) -> Judgement {
        let sentence = format!("{} may be behind: the row changed again and again while it was looked at", self.name);
        judgement(Verdict::OnItsWay, sentence, "run this again".to_owned())
    }
}

/// What all of it comes to.
pub(super) fn of_all(tenancies: &[TenancyStory], not_searched: Option<&str>) -> Judgement {
    let all = || tenancies.iter().flat_map(|tenancy| &tenancy.destinations).map(|to| &to.judgement);
    // The first of the worst.
    let worst = all().rev().max_by_key(|judgement| judgement.verdict);
    let verdict = worst.map_or(Verdict::InStep, |worst| worst.verdict);
    match (worst, not_searched) {
        (_, Some(why)) if verdict < Verdict::NotLookedAt => {
            let next = "name the tenancy with --tenant".to_owned();
            judgement(Verdict::NotLookedAt, format!("Not everywhere was looked: {why}"), next)
        }
        _ if verdict == Verdict::InStep && tenancies.iter().all(is_never_seen) => {
            let sentence = "Never seen: the source has no row of this key, no change of it is kept, and no destination holds anything of it";
            judgement(Verdict::NeverSeen, sentence.to_owned(), "look whether the key is right".to_owned())
        }
        (None, _) => judgement(verdict, "Nobody is told of this row".to_owned(), None),
        (Some(_), _) if verdict == Verdict::InStep && all().count() > 1 => {
            judgement(verdict, format!("In step in all {} destinations", all().count()), None)
        }
        (Some(worst), _) => worst.clone(),
    }
}

/// Whether nothing says that a tenancy ever had the key.
pub(super) fn is_strangers(story: &TenancyStory) -> bool {
    let TenancyFacts { source, waiting, changes, .. } = &story.facts;
    source.state == SourceState::Absent
        && waiting.lines == 0
        && changes.count == 0
        && story.destinations.iter().all(|to| to.facts.quarantine.is_empty())
}

/// The same where all of its changes were looked through, and nobody holds anything of it either.
fn is_never_seen(story: &TenancyStory) -> bool {
    let mut rows = story.destinations.iter().flat_map(|to| &to.facts.rows);
    is_strangers(story) && !story.facts.changes.cut && rows.all(|row| row.holds == Holds::Nothing)
}

#[cfg(test)]
mod tests;
