//! Whether everything that capture needs is in the source, and as it was installed.

use lockstep_mappings::MappingSet;
use lockstep_schema::attach::{self, Flaw, FlawKind, Live, Part};

use super::{Check, or_ok};

const FIT: &str = "definitions";
const TRIGGERS: &str = "triggers";

/// Steps of `lockstep migrate` by what they are about; triggers are told one by one instead.
const PARTS: [(Part, &str, &str); 4] = [
    (Part::Control, "control tables", "all there"),
    (Part::Columns, "capture columns", "on every table"),
    (Part::Indexes, "indexes", "all there and valid"),
    (Part::Snapshots, "base snapshots", "planned for every mapping"),
];

pub(super) fn look(mappings: &MappingSet, live: &Live) -> Vec<Check> {
    let steps = match attach::plan(mappings, live) {
        Ok(steps) => steps,
        Err(misfits) => {
            return misfits
                .into_iter()
                .map(|misfit| Check::finding(FIT, format!("{}: {}", misfit.subject, misfit.problem), misfit.remedy))
                .collect();
        }
    };
    let mut checks = vec![Check::ok(FIT, format!("{} mappings fit", mappings.iter().count()))];
    for (part, check, fine) in PARTS {
        let missing = steps.iter().filter(|step| step.part == part);
        let findings = missing.map(|step| Check::finding(check, format!("to do: {}", step.what), "`lockstep migrate`"));
        checks.extend(or_ok(check, fine, findings.collect()));
    }
    let flaws = attach::flaws(mappings, live).iter().map(|flaw| of_flaw(mappings, flaw)).collect();
    checks.extend(or_ok(TRIGGERS, "all there, firing always, as they were installed", flaws));
    checks
}

fn of_flaw(mappings: &MappingSet, flaw: &Flaw) -> Check {
    let what = match &flaw.table {
        Some(table) => format!("{} on {}", flaw.name, table.name),
        None => format!("function {}", flaw.name),
    };
    let (how, unnoticed) = match flaw.kind {
        FlawKind::Missing => ("is missing", true),
        FlawKind::Disabled => ("is disabled", true),
        FlawKind::NotAlways => ("does not fire for every session_replication_role", true),
        FlawKind::Altered => ("was altered after it was installed, or switched off for a while", true),
        FlawKind::Outdated => ("is of another version or other definitions", false),
    };
    let remedy = if unnoticed {
        format!("`lockstep migrate` puts it back; then for what was written meanwhile {}", resync(mappings, flaw))
    } else {
        "`lockstep migrate`".to_owned()
    };
    Check::finding(TRIGGERS, format!("{what} {how}"), remedy)
}

/// The mappings that may have missed something.
fn resync(mappings: &MappingSet, flaw: &Flaw) -> String {
    let reads = |mapping: &&lockstep_mappings::Mapping| {
        let Some(table) = &flaw.table else { return false };
        mapping.source == *table || mapping.joins.iter().any(|join| join.table == *table)
    };
    let names: Vec<_> = mappings.iter().filter(reads).map(|mapping| mapping.name.to_string()).collect();
    resync_of(&names)
}

/// How to export these mappings again; none: whichever `lockstep-verifier` finds to differ.
pub(super) fn resync_of(names: &[String]) -> String {
    if names.is_empty() {
        return "`lockstep-verifier`, and `lockstep resync` of what it finds".to_owned();
    }
    let commands: Vec<_> = names.iter().map(|name| format!("`lockstep resync --mapping {name}`")).collect();
    commands.join(", ")
}
