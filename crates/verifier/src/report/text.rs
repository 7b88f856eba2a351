//! The report for people: a table, then what differs.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::{MappingReport, Report, Verdict};
use crate::finding::Finding;
use crate::judge::{Kind, Why};

const HEADER: [&str; 7] =
    ["mapping", "rows in Postgres", "rows in ClickHouse", "", "missing", "unexpected", "different"];

impl Report {
    /// A table of all mappings, the first findings of each, and the verdict.
    pub fn to_text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(HEADER);
        for column in [1, 2, 4, 5, 6] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for mapping in &self.mappings {
            table.add_row(cells(mapping));
        }
        let mut text = format!("{table}\n");
        for mapping in &self.mappings {
            findings(&mut text, mapping);
        }
        let _ = writeln!(text, "{} ({:.1} s)", self.verdict(), self.elapsed.as_secs_f64());
        text
    }

    fn verdict(&self) -> String {
        let sum = |of: fn(&MappingReport) -> u64| self.mappings.iter().map(of).sum::<u64>();
        let in_flight = sum(|mapping| mapping.in_flight);
        match self.verdict {
            Verdict::Equal => {
                format!("Equal: all {} rows are the same on both sides.", sum(|mapping| mapping.equal_rows))
            }
            Verdict::Different => {
                format!("Different: {} rows, and {in_flight} in flight.", sum(MappingReport::differences))
            }
            Verdict::InFlight => format!("In flight: {in_flight} rows are still on their way, nothing else differs."),
            Verdict::Unfinished => match (sum(|mapping| mapping.unjudged), sum(|mapping| mapping.unreadable)) {
                (0, unreadable) => format!(
                    "LS-0310: Postgres could not give {unreadable} rows, so nothing is known of them; {in_flight} are in flight. \
                     Nothing else differs. `lockstep quarantine list` says why."
                ),
                (unjudged, _) => format!(
                    "LS-0308: {unjudged} rows differed and were too many to be looked at twice, {in_flight} are in flight. Run \
                     it again when the sync has caught up, or narrow it with --mapping and --tenant."
                ),
            },
        }
    }
}

fn cells(mapping: &MappingReport) -> [String; 7] {
    [
        mapping.name.clone(),
        mapping.source_rows.to_string(),
        mapping.destination_rows.to_string(),
        state(mapping),
        mapping.missing.to_string(),
        mapping.unexpected.to_string(),
        mapping.different.to_string(),
    ]
}

fn state(mapping: &MappingReport) -> String {
    let mut parts = Vec::new();
    if mapping.equal {
        parts.push("equal".to_owned());
    }
    if mapping.differences() > 0 {
        parts.push("different".to_owned());
    }
    if mapping.in_flight > 0 {
        parts.push(format!("{} in flight", mapping.in_flight));
    }
    if mapping.unjudged > 0 {
        parts.push(format!("{} not judged", mapping.unjudged));
    }
    if mapping.unreadable > 0 {
        parts.push(format!("{} not readable", mapping.unreadable));
    }
    parts.join(", ")
}

fn findings(text: &mut String, mapping: &MappingReport) {
    if mapping.findings.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", mapping.name);
    for finding in &mapping.findings {
        let _ = writeln!(text, "  {}", line(finding));
    }
    let all = mapping.differences() + mapping.unreadable + mapping.in_flight;
    let more = all.saturating_sub(mapping.findings.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "  … and {more} more (--show)");
    }
}

fn line(finding: &Finding) -> String {
    let key: Vec<_> = finding.key.iter().map(|(column, value)| format!("{column}={value}")).collect();
    let what = match finding.kind {
        Kind::Missing => "missing in ClickHouse",
        Kind::Unexpected => "only in ClickHouse",
        Kind::Different => "different",
        Kind::Unreadable => "not readable in Postgres",
    };
    let columns =
        if finding.columns.is_empty() { String::new() } else { format!(" in {}", finding.columns.join(", ")) };
    let why = match finding.in_flight {
        None => "",
        Some(Why::Unnumbered) => " (in flight: it has no number yet)",
        Some(Why::AboveCursor) => " (in flight: numbered, not shipped yet)",
        Some(Why::Filling) => " (in flight: the mapping is being filled)",
        Some(Why::TenantGone) => " (in flight: its tenancy is gone, not erased yet)",
        Some(Why::StillChanging) => " (in flight: it changed again and again)",
    };
    let tenancy = finding.tenancy_id.map_or_else(String::new, |tenancy| format!("tenancy {tenancy}, "));
    let Finding { project_id, branch_id, .. } = finding;
    format!("{what}{columns}{why}: {} ({tenancy}project {project_id}, branch {branch_id})", key.join(" "))
}
