//! What was found, for programs; [`crate::report::Report::to_text`] is for people.

mod text;

use std::time::Duration;

use lockstep_core::exit;
use lockstep_mappings::Mapping;
use serde::{Serialize, Serializer};

use crate::finding::Finding;
use crate::first_pass::FirstPass;
use crate::judge::Kind;
use crate::recheck::{Doubt, Outcome};

/// All mappings together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every row of both sides is the same.
    Equal,
    /// At least one row differs, and not because it is on its way.
    Different,
    /// What differs is on its way.
    InFlight,
    /// More differs than could be looked at, or rows could not be read; nothing else differs.
    Unfinished,
}

/// The comparison of all mappings that were asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// All mappings together.
    pub verdict: Verdict,
    /// Each mapping, in the order of their definitions.
    pub mappings: Vec<MappingReport>,
    /// How long it took.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

/// The comparison of one mapping.
#[derive(Clone, Debug, Serialize)]
pub struct MappingReport {
    /// The mapping.
    pub name: String,
    /// Rows of the source, as the first pass read them.
    pub source_rows: u64,
    /// Rows of ClickHouse, as the first pass read them, a little later: while changes arrive the two counts need not be
    /// the same for all rows to be found equal.
    pub destination_rows: u64,
    /// Whether nothing differs, nothing is in flight, and everything was looked at.
    pub equal: bool,
    /// Rows that are alike, at the first pass or after settling.
    pub equal_rows: u64,
    /// Rows that ClickHouse lacks.
    pub missing: u64,
    /// Rows that ClickHouse should not have.
    pub unexpected: u64,
    /// Rows that both have, with different values.
    pub different: u64,
    /// Rows that differ because a change is on its way.
    pub in_flight: u64,
    /// Rows that differed in the first pass and were too many to be looked at again.
    pub unjudged: u64,
    /// Rows that Postgres could not give: nothing is known about them. Where it is 1,000, the mapping was not compared.
    pub unreadable: u64,
    /// The first findings: real differences, rows that could not be read, then what is in flight.
    pub findings: Vec<Finding>,
}

impl MappingReport {
    pub(crate) fn new(mapping: &Mapping, pass: &FirstPass, doubts: &[Doubt], show: usize) -> Self {
        let count = |wanted: &dyn Fn(&Doubt) -> bool| doubts.iter().filter(|doubt| wanted(doubt)).count() as u64;
        let real = |kind| count(&|doubt| doubt.outcome() == Outcome::Real && doubt.kind == kind);
        let in_flight = count(&|doubt| matches!(doubt.outcome(), Outcome::InFlight(_))) + pass.in_flight;
        let unreadable = count(&|doubt| doubt.outcome() == Outcome::Unreadable);
        let settled = count(&|doubt| doubt.outcome() == Outcome::Settled);
        let (missing, different) = (real(Kind::Missing), real(Kind::Different));
        let unexpected = real(Kind::Unexpected) + pass.impossible;
        let findings = |wanted: fn(Outcome) -> bool| doubts.iter().filter(move |doubt| wanted(doubt.outcome()));
        let first = findings(|outcome| outcome == Outcome::Real);
        let then = findings(|outcome| outcome == Outcome::Unreadable);
        let last = findings(|outcome| matches!(outcome, Outcome::InFlight(_)));
        let shown = first.chain(then).chain(last).take(show).map(|doubt| match doubt.outcome() {
            Outcome::InFlight(why) => Finding::new(mapping, doubt, Some(why)),
            Outcome::Real | Outcome::Unreadable | Outcome::Settled => Finding::new(mapping, doubt, None),
        });
        Self {
            name: mapping.name.to_string(),
            source_rows: pass.source_rows,
            destination_rows: pass.destination_rows,
            equal: missing + unexpected + different + in_flight + pass.unjudged + unreadable == 0,
            equal_rows: pass.equal_rows + settled,
            missing,
            unexpected,
            different,
            in_flight,
            unjudged: pass.unjudged,
            unreadable,
            findings: shown.collect(),
        }
    }

    /// Rows that differ, and not because they are on their way.
    pub const fn differences(&self) -> u64 {
        self.missing + self.unexpected + self.different
    }
}

impl Report {
    pub(crate) fn new(mappings: Vec<MappingReport>, elapsed: Duration) -> Self {
        let any = |of: fn(&MappingReport) -> u64| mappings.iter().any(|mapping| of(mapping) > 0);
        let verdict = if any(MappingReport::differences) {
            Verdict::Different
        } else if any(|mapping| mapping.unjudged + mapping.unreadable) {
            Verdict::Unfinished
        } else if any(|mapping| mapping.in_flight) {
            Verdict::InFlight
        } else {
            Verdict::Equal
        };
        Self { verdict, mappings, elapsed }
    }

    /// What a program ends with: 0 equal, 1 different, 2 only in flight, 3 not everything could be judged.
    pub const fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Equal => exit::OK,
            Verdict::Different => exit::DIFFERENT,
            Verdict::InFlight => exit::IN_FLIGHT,
            Verdict::Unfinished => exit::UNFINISHED,
        }
    }

    /// One JSON object on one line, which [`Report`] itself describes.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a report holds nothing that JSON cannot")
    }
}

fn milliseconds<S: Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
