//! The story in sentences, for people. Pure.

use super::judge::name;
use super::report::{
    DestinationFacts, Difference, ExplainReport, FillState, HeldRow, Holds, Place, SourceState, TenancyFacts,
};
use crate::shown::counted;

/// All of it, a line each.
pub(super) fn of(report: &ExplainReport) -> Vec<String> {
    let mut lines = vec![format!("{} {}", report.mapping, report.key)];
    let mut destinations = report.tenancies.iter().flat_map(|tenancy| &tenancy.destinations);
    // What the only destination comes to is what all comes to, and stands in the last line.
    let is_told_last = matches!(
        (destinations.next(), destinations.next()),
        (Some(only), None) if only.judgement == report.judgement
    );
    for tenancy in &report.tenancies {
        lines.push(String::new());
        lines.push(format!("Tenancy {}{}", tenancy.facts.tenancy, whose(&tenancy.facts)));
        lines.extend(of_tenancy(&tenancy.facts).into_iter().map(|line| format!("  {line}")));
        for to in &tenancy.destinations {
            lines.extend(of_destination(&to.facts).into_iter().map(|line| format!("  {line}")));
            if !is_told_last {
                lines.push(format!("  {}.", to.judgement.sentence));
            }
        }
    }
    lines.push(String::new());
    if report.cut {
        lines.push("More tenancies have or had this key than are told of; name one with --tenant.".to_owned());
    }
    let untold = report.not_searched.iter().filter(|why| !report.judgement.sentence.ends_with(why.as_str()));
    lines.extend(untold.map(|why| format!("Not everywhere was looked for tenancies: {why}.")));
    lines.push(format!("{}.", report.judgement.sentence));
    lines.extend(report.judgement.next.iter().map(|next| format!("Next: {next}")));
    lines
}

fn whose(of: &TenancyFacts) -> String {
    match (&of.place, &of.gone_since) {
        (Some(place), _) => format!(" lives at {}.", at(place)),
        (None, Some(since)) => format!(" is gone since {since}."),
        (None, None) => " is gone.".to_owned(),
    }
}

fn at(place: &Place) -> String {
    format!("{}/{}", place.project_id, place.branch_id)
}

fn of_tenancy(of: &TenancyFacts) -> Vec<String> {
    let mut lines = Vec::new();
    if !of.former_places.is_empty() {
        let places: Vec<_> = of.former_places.iter().map(at).collect();
        lines.push(format!("It was at {} before.", places.join(", ")));
    }
    lines.push(match of.source.state {
        SourceState::Exported => "The source has the row, and exports it.".to_owned(),
        SourceState::FilteredOut => "The source has the row; the mapping's filter leaves it out.".to_owned(),
        SourceState::Ownerless => "The source has the row; it belongs to nobody, as its tenancy is gone.".to_owned(),
        SourceState::Absent => "The source has no such row.".to_owned(),
        SourceState::Unreadable => format!(
            "The source has the row, and cannot give it (SQLSTATE {}).",
            of.source.sql_state.as_deref().unwrap_or("unknown")
        ),
    });
    let waiting = &of.waiting;
    if waiting.lines > 0 {
        lines.push(format!(
            "{} in the inbox, without a number yet.",
            counted(waiting.lines, "line that names it waits", "lines that name it wait")
        ));
    }
    if waiting.searches > 0 {
        let since = waiting.since.as_ref().map_or_else(String::new, |since| format!(", since {since}"));
        lines.push(format!(
            "{} to be searched{since}.",
            counted(waiting.searches, "line that may concern it waits", "lines that may concern it wait")
        ));
    }
    if waiting.erasure {
        lines.push("The tenancy's rows are being erased.".to_owned());
    }
    lines.push(changes(of));
    if of.changes.unannounced {
        lines.push("The last one was not announced to the workers yet.".to_owned());
    }
    lines
}

fn changes(of: &TenancyFacts) -> String {
    let changes = &of.changes;
    if changes.last.is_empty() {
        let where_looked = if changes.cut { " among the tenancy's last ones" } else { "" };
        return format!("No change of it is kept{where_looked}.");
    }
    let last = changes.last.iter().map(|change| match &change.passed_at {
        Some(at) => format!("{} at {at}", change.sequence),
        None => change.sequence.to_string(),
    });
    let at_least = if changes.cut { "at least " } else { "" };
    format!(
        "{at_least}{} kept: {}.",
        counted(changes.count, "change of it is", "changes of it are"),
        last.collect::<Vec<_>>().join(", ")
    )
}

fn of_destination(to: &DestinationFacts) -> Vec<String> {
    let mut lines = Vec::new();
    let cursor = match (to.cursor, &to.unreachable) {
        (Some(cursor), _) => format!("cursor {cursor}"),
        (None, None) => "no cursor".to_owned(),
        (None, Some(_)) => "cursor unknown".to_owned(),
    };
    let fill = match to.fill.state {
        FillState::Filled => "filled".to_owned(),
        FillState::Filling => "being filled".to_owned(),
        FillState::WaitsForFill => "waiting for a fill".to_owned(),
        FillState::Stopped => format!("stopped: {}", to.fill.error.as_deref().unwrap_or("its table does not fit")),
        FillState::Unknown => "fill unknown".to_owned(),
    };
    lines.push(format!("{}: {cursor}, {fill}.", name(to)));
    lines.extend(to.paused.iter().map(|part| format!("  {part}.")));
    if let Some(breaker) = &to.breaker {
        let [since, retry_at, error] =
            [&breaker.since, &breaker.retry_at, &breaker.error].map(|text| text.as_deref().unwrap_or("unknown"));
        lines.push(format!(
            "  It has failed {} times since {since}, and is tried again at {retry_at}: {error}",
            breaker.failures
        ));
    }
    lines.extend(to.rows.iter().map(|row| format!("  {}", held(row))));
    lines.extend(to.quarantine.iter().map(|refused| {
        format!(
            "  Change {} is in quarantine with {} since {}, after {}, the last at {}.",
            refused.sequence,
            refused.code,
            refused.first_refused_at,
            counted(refused.attempts, "attempt", "attempts"),
            refused.last_refused_at
        )
    }));
    lines
}

fn held(row: &HeldRow) -> String {
    let place = match &row.place {
        Some(place) if row.former => format!("At {}, where it was before, it", at(place)),
        Some(place) => format!("At {} it", at(place)),
        None => "It".to_owned(),
    };
    let what = match row.holds {
        Holds::Live => "holds the row",
        Holds::Tombstone => "holds a tombstone",
        Holds::Nothing => "holds nothing",
    };
    let version = row.version.map_or_else(String::new, |version| format!(" as version {version}"));
    let copies = match (row.copies, row.version) {
        (0 | 1, _) => String::new(),
        (copies, Some(_)) => format!(", the highest of {copies} that are stored of it"),
        (copies, None) => format!(" {copies} times"),
    };
    let differs = match row.differs {
        None => String::new(),
        Some(Difference::Missing) => "; the source has one".to_owned(),
        Some(Difference::Unexpected) => "; the source has none there".to_owned(),
        Some(Difference::Different) => format!("; these columns differ: {}", row.columns.join(", ")),
        Some(Difference::Unreadable) => "; what it should hold is not known".to_owned(),
    };
    format!("{place} {what}{version}{copies}{differs}.")
}
