//! What was found, for programs; [`crate::report::Report::to_text`] is for people.

mod text;

use std::time::Duration;

use lockstep_core::{DestinationId, exit};
use lockstep_mappings::Mapping;
use lockstep_schema::tenant_destinations::Setup;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::finding::Finding;
use crate::first_pass::FirstPass;
use crate::judge::Kind;
use crate::level::Level;
use crate::proof::Proof;
use crate::recheck::{Doubt, Outcome};
use crate::repair::RepairReport;
use crate::service::VerifyOptions;

/// All mappings together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing differs, as closely as was looked.
    Equal,
    /// At least one row differs, and not because it is on its way.
    Different,
    /// What differs is on its way.
    InFlight,
    /// More differs than could be looked at, rows could not be read, or a tenant's destination could not be compared; nothing
    /// else differs.
    Unfinished,
}

/// The comparison of all mappings that were asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// All mappings together.
    pub verdict: Verdict,
    /// How closely both sides were compared.
    pub level: Level,
    /// Each mapping of ClickHouse, in the order in which they were looked at; none where ClickHouse was left out.
    pub mappings: Vec<MappingReport>,
    /// Each of the tenants' own destinations, in the order in which they were added.
    pub destinations: Vec<DestinationReport>,
    /// What was mended, or would be; absent where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<RepairReport>,
    /// Under which number the run is written down; absent where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// What was asked for besides and failed: writing down, mending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// It was to be written down, and the role of the source's connection may not.
    #[serde(skip)]
    pub(crate) is_not_recorded: bool,
    /// How long it took.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

/// The comparison of one tenant's own destination.
#[derive(Clone, Debug, Serialize)]
pub struct DestinationReport {
    /// Which.
    pub id: Uuid,
    /// Whose rows it holds.
    pub tenancy_id: Uuid,
    /// All of its mappings together.
    pub verdict: Verdict,
    /// Why nothing, or not everything, can be said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<String>,
    /// Each mapping that goes there; none where it could not be compared.
    pub mappings: Vec<MappingReport>,
}

/// The comparison of one mapping.
#[derive(Clone, Default, Debug, Serialize)]
pub struct MappingReport {
    /// The mapping.
    pub name: String,
    /// Rows of the source, as the first pass read them.
    pub source_rows: u64,
    /// Rows of the destination, as the first pass read them, a little later: while changes arrive the two counts need not be
    /// the same for all rows to be found equal.
    pub destination_rows: u64,
    /// Whether nothing differs, nothing is in flight, and everything was looked at.
    pub equal: bool,
    /// Rows that are alike, at the first pass or after settling.
    pub equal_rows: u64,
    /// Rows that the destination lacks.
    pub missing: u64,
    /// Rows that the destination should not have.
    pub unexpected: u64,
    /// Rows that both have, with different values.
    pub different: u64,
    /// Of the three before, those that are in quarantine: why they differ is known, and somebody has to act.
    pub quarantined: u64,
    /// Rows that differ because a change is on its way.
    pub in_flight: u64,
    /// Rows that differed in the first pass and were too many to be looked at again.
    pub unjudged: u64,
    /// Rows that Postgres could not give: nothing is known about them. Where it is 1,000, the mapping was not compared.
    pub unreadable: u64,
    /// Ranges that were left out, for the time was up.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Why the mapping was not compared, or not wholly; absent where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<String>,
    /// The first findings: real differences, rows that could not be read, then what is in flight.
    pub findings: Vec<Finding>,
    /// What is proven, and what can be mended.
    #[serde(skip)]
    pub(crate) proof: Proof,
}

impl MappingReport {
    pub(crate) fn new(
        to: &DestinationId,
        mapping: &Mapping,
        pass: &FirstPass,
        doubts: &[Doubt],
        options: &VerifyOptions,
    ) -> Self {
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
        let shown = first.chain(then).chain(last).take(options.show);
        let shown = shown.map(|doubt| Finding::new(to, mapping, doubt, options.shown));
        Self {
            name: mapping.name.to_string(),
            source_rows: pass.source_rows,
            destination_rows: pass.destination_rows,
            equal: missing + unexpected + different + in_flight + pass.unjudged + unreadable == 0,
            equal_rows: pass.equal_rows + settled,
            missing,
            unexpected,
            different,
            quarantined: count(&|doubt| doubt.outcome() == Outcome::Real && doubt.quarantined),
            in_flight,
            unjudged: pass.unjudged,
            unreadable,
            left_out: 0,
            unfinished: None,
            findings: shown.collect(),
            proof: Proof::default(),
        }
    }

    /// The same, where ranges were left out: each with whether it was proven lately.
    #[must_use]
    pub(crate) fn with_left_out(self, left_out: &[bool]) -> Self {
        let old = left_out.iter().filter(|is_covered| !**is_covered).count();
        let unfinished = (old > 0).then(|| {
            format!("{old} of its ranges were left out (--budget) and were not proven lately (--cover-within)")
        });
        Self {
            left_out: left_out.len() as u64,
            equal: self.equal && left_out.is_empty(),
            unfinished: self.unfinished.or(unfinished),
            ..self
        }
    }

    /// The same, with what is proven.
    #[must_use]
    pub(crate) fn with_proof(self, proof: Proof) -> Self {
        Self { proof, ..self }
    }

    /// Of a mapping that was not compared.
    pub(crate) fn not_compared(mapping: &Mapping, why: impl Into<String>) -> Self {
        Self { name: mapping.name.to_string(), unfinished: Some(why.into()), ..Self::default() }
    }

    const fn is_unfinished(&self) -> bool {
        self.unjudged + self.unreadable > 0 || self.unfinished.is_some()
    }

    /// Rows that differ, and not because they are on their way.
    pub const fn differences(&self) -> u64 {
        self.missing + self.unexpected + self.different
    }
}

impl Verdict {
    /// As it is written down.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Different => "different",
            Self::InFlight => "in_flight",
            Self::Unfinished => "unfinished",
        }
    }

    fn of(mapping: &MappingReport) -> Self {
        match mapping {
            _ if mapping.differences() > 0 => Self::Different,
            _ if mapping.is_unfinished() => Self::Unfinished,
            MappingReport { in_flight: 1.., .. } => Self::InFlight,
            _ => Self::Equal,
        }
    }

    /// The first of them that is none of those before it: a difference is told whatever else is, and equal is only what all are.
    fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        let all: Vec<_> = all.into_iter().collect();
        let worst = [Self::Different, Self::Unfinished, Self::InFlight].into_iter().find(|one| all.contains(one));
        worst.unwrap_or(Self::Equal)
    }
}

impl DestinationReport {
    /// `unfinished`: why not everything can be said of it.
    pub(crate) fn new(of: &Setup, mappings: Vec<MappingReport>, unfinished: Option<String>) -> Self {
        let own = unfinished.is_some().then_some(Verdict::Unfinished);
        let verdict = Verdict::of_all(mappings.iter().map(Verdict::of).chain(own));
        Self { id: of.id, tenancy_id: of.tenancy.as_uuid(), verdict, unfinished, mappings }
    }

    /// What is to be said of it besides rows: each mapping that was not compared, and itself.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let of_mapping = |mapping: &MappingReport| Some(format!("{}: {}", mapping.name, mapping.unfinished.as_ref()?));
        self.unfinished.iter().cloned().chain(self.mappings.iter().filter_map(of_mapping)).collect()
    }
}

impl Report {
    pub(crate) fn new(
        level: Level,
        mappings: Vec<MappingReport>,
        destinations: Vec<DestinationReport>,
        elapsed: Duration,
    ) -> Self {
        let own = destinations.iter().map(|destination| destination.verdict);
        let verdict = Verdict::of_all(mappings.iter().map(Verdict::of).chain(own));
        // Nothing is no proof of anything.
        let nothing = mappings.is_empty() && destinations.is_empty();
        Self {
            verdict,
            level,
            mappings,
            destinations,
            repair: None,
            run: None,
            failures: nothing
                .then(|| "nothing was compared: whatever was asked for was left out".to_owned())
                .into_iter()
                .collect(),
            is_not_recorded: false,
            elapsed,
        }
    }

    /// The mappings of all destinations.
    pub(crate) fn all_mappings(&self) -> impl Iterator<Item = &MappingReport> {
        self.mappings.iter().chain(self.destinations.iter().flat_map(|destination| &destination.mappings))
    }

    /// What a program ends with: 0 equal, 1 different, 2 only in flight, 3 not everything could be judged.
    pub const fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Equal | Verdict::InFlight if !self.failures.is_empty() => exit::UNFINISHED,
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

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

pub(crate) fn milliseconds<S: Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
