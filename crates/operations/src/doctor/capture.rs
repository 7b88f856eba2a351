//! Whether everything that capture needs is in the source, and as it was installed.

use std::time::Duration;

use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::facts::misfits_of_tenancies;
use lockstep_schema::SqlStateKind;
use lockstep_schema::attach::{self, Flaw, FlawKind, Live, Part, Wishes};
use tokio_postgres::Client;

use super::{Check, or_ok};
use crate::shown::counted;

const FIT: &str = "definitions";
const TRIGGERS: &str = "triggers";
const RELAXED: &str = "relaxed capture";
const TENANCIES: &str = "tenancies";

/// Eight million tenancies and their places are read in this time; less than a lock is waited for.
const TENANCIES_LIMIT: Duration = Duration::from_secs(8);

/// Steps of `lockstep migrate` by what they are about; triggers are told one by one instead.
const PARTS: [(Part, &str, &str); 4] = [
    (Part::Control, "control tables", "all there"),
    (
        Part::EventTriggers,
        "migrations",
        "noticed as soon as they are committed, where the role may create event triggers",
    ),
    (Part::Indexes, "indexes", "all there and valid"),
    (Part::Fills, "fills", "begun for every mapping, and nothing is to be filled again"),
];

pub(super) fn look(mappings: &MappingSet, live: &Live) -> Vec<Check> {
    let steps = match attach::plan(mappings, live, &Wishes::relaxed(live.relaxed())) {
        Ok(steps) => steps,
        Err(misfits) => {
            return misfits
                .into_iter()
                .map(|misfit| Check::finding(FIT, format!("{}: {}", misfit.subject, misfit.problem), misfit.remedy))
                .collect();
        }
    };
    let mut checks = vec![Check::ok(FIT, counted(mappings.iter().count(), "mapping fits", "mappings fit"))];
    for (part, check, fine) in PARTS {
        let missing = steps.iter().filter(|step| step.part == part);
        let findings = missing.map(|step| Check::finding(check, format!("to do: {}", step.what), "`lockstep migrate`"));
        checks.extend(or_ok(check, fine, findings.collect()));
    }
    let relaxed = live.relaxed();
    let loose = relaxed.iter().map(|table| {
        let detail = format!("{}: every update is written down, whatever it changed", table.name);
        Check::finding(RELAXED, detail, "after the platform's migration: `lockstep migrate`")
    });
    checks.extend(or_ok(RELAXED, "triggers fire for changes of exported columns only", loose.collect()));
    let flaws = attach::flaws(mappings, live).iter().map(of_flaw).collect();
    checks.extend(or_ok(TRIGGERS, "all there, firing always, as they were installed", flaws));
    checks
}

/// Whether it is written down where every tenancy is. Nothing is told where the table of tenancies does not fit: that is told already.
pub(super) async fn tenancies(client: &Client, (settings, live): (&Settings, &Live)) -> Option<Check> {
    if !misfits_of_tenancies(&live.facts).is_empty() {
        return None;
    }
    Some(match attach::tenancies_known(client, TENANCIES_LIMIT).await {
        Ok(true) => Check::ok(TENANCIES, "it is written down where every one is"),
        Ok(false) => Check::finding(TENANCIES, "to do: write down where every one is", "`lockstep migrate`"),
        Err(error) if error.kind() == Some(SqlStateKind::Cancelled) => {
            let what = format!(
                "whether it is written down where every one is could not be looked at within {} s",
                TENANCIES_LIMIT.as_secs()
            );
            Check::unknown(TENANCIES, what, "`lockstep migrate --check` takes the time that it takes")
        }
        Err(error) => Check::failed(TENANCIES, &error, settings),
    })
}

fn of_flaw(flaw: &Flaw) -> Check {
    let what = match &flaw.table {
        Some(table) => format!("{} on {}", flaw.name, table.name),
        None => format!("function {}", flaw.name),
    };
    let (how, unnoticed) = match flaw.kind {
        FlawKind::Missing => ("is missing", true),
        FlawKind::Disabled => ("is disabled", true),
        FlawKind::NotAlways => ("does not fire for every session_replication_role", true),
        FlawKind::Altered => ("was altered after it was installed, or switched off for a while", true),
        FlawKind::Outflanked => ("does not see what another trigger, which came later, changes on the way", true),
        FlawKind::Outdated => ("is of another version or other definitions", false),
    };
    let remedy = if unnoticed {
        "`lockstep migrate` puts it back, and has filled again what it concerns".to_owned()
    } else {
        "`lockstep migrate`".to_owned()
    };
    Check::finding(TRIGGERS, format!("{what} {how}"), remedy)
}
