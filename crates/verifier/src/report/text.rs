//! The report for people: a table, then what differs.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use lockstep_core::destination_id::CLICKHOUSE;
use lockstep_core::output::{Tone, toned};

use super::{DestinationReport, MappingReport, Report, Verdict};
use crate::class::Class;
use crate::finding::Finding;
use crate::judge::{Kind, Why};
use crate::repair::RepairReport;

const HEADER: [&str; 7] =
    ["mapping", "rows in Postgres", "rows in ClickHouse", "", "missing", "unexpected", "different"];
const OWN_HEADER: [&str; 7] =
    ["destination: mapping", "rows in Postgres", "rows there", "", "missing", "unexpected", "different"];
/// Tenants' destinations of which there is something to tell, each in full; more are counted.
const MAX_TOLD: usize = 100;

impl Report {
    /// A table of all mappings of ClickHouse, one of those of tenants' destinations that are not equal, the first findings of
    /// each, and the verdict.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if !self.mappings.is_empty() {
            let _ = writeln!(text, "{}", table(HEADER, self.mappings.iter().map(|of| cells(of, of.name.clone()))));
        }
        for mapping in &self.mappings {
            if let Some(why) = &mapping.unfinished {
                let _ = writeln!(text, "{}: {why}", mapping.name);
            }
            findings(&mut text, mapping, &mapping.name);
        }
        self.destinations(&mut text);
        if let Some(repair) = &self.repair {
            let _ = writeln!(text, "\n{}", mended(repair));
        }
        let _ = writeln!(text, "{} ({:.1} s)", self.verdict.toned(&self.verdict()), self.elapsed.as_secs_f64());
        for failure in &self.failures {
            let _ = writeln!(text, "{failure}");
        }
        if self.is_not_recorded {
            let _ = writeln!(
                text,
                "Nothing was written down: the role may not write to lockstep.verification (--no-record)."
            );
        }
        text
    }

    /// Those that are equal are only counted: there may be thousands.
    fn destinations(&self, text: &mut String) {
        if self.destinations.is_empty() {
            return;
        }
        let is_told = |one: &&DestinationReport| one.verdict != Verdict::Equal;
        let all = self.destinations.iter().filter(is_told).count();
        let told: Vec<_> = self.destinations.iter().filter(is_told).take(MAX_TOLD).collect();
        let equal = self.destinations.len() - all;
        let _ = writeln!(text, "\n{equal} of {} destinations of tenants are equal.", self.destinations.len());
        let rows = told.iter().flat_map(|one| {
            let of_interest = one.mappings.iter().filter(|mapping| !mapping.equal);
            of_interest.map(|mapping| cells(mapping, format!("{}: {}", one.id, mapping.name)))
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            let _ = writeln!(text, "{}", table(OWN_HEADER, rows));
        }
        for one in told {
            for reason in one.reasons() {
                let _ = writeln!(text, "{} (tenancy {}): {reason}", one.id, one.tenancy_id);
            }
            for mapping in &one.mappings {
                findings(text, mapping, &format!("{}: {}", one.id, mapping.name));
            }
        }
        if all > MAX_TOLD {
            let _ = writeln!(text, "… and {} more (--output json tells all, --destination one)", all - MAX_TOLD);
        }
    }

    fn verdict(&self) -> String {
        let sum = |of: fn(&MappingReport) -> u64| self.all_mappings().map(of).sum::<u64>();
        let in_flight = sum(|mapping| mapping.in_flight);
        match self.verdict {
            Verdict::Equal => {
                let left_out = match sum(|mapping| mapping.left_out) {
                    0 => String::new(),
                    ranges => {
                        format!(" {ranges} ranges were left out (--budget); all were proven lately (--cover-within).")
                    }
                };
                format!("{}{left_out}", self.level.equal(sum(|mapping| mapping.equal_rows)))
            }
            Verdict::Different => {
                let quarantined = match sum(|mapping| mapping.quarantined) {
                    0 => String::new(),
                    rows => format!(" ({rows} of them in quarantine)"),
                };
                format!("Different: {} rows{quarantined}, and {in_flight} in flight.", sum(MappingReport::differences))
            }
            Verdict::InFlight => format!("In flight: {in_flight} rows are still on their way, nothing else differs."),
            Verdict::Unfinished => match (sum(|mapping| mapping.unjudged), sum(|mapping| mapping.unreadable)) {
                (0, 0) => {
                    let unfinished = |one: &&DestinationReport| one.verdict == Verdict::Unfinished;
                    let unfinished = self.destinations.iter().filter(unfinished).count();
                    format!(
                        "LS-0311: {unfinished} destinations of tenants were not compared, or not wholly; {in_flight} rows are in \
                         flight. Nothing else differs. What is said of each tells why."
                    )
                }
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

impl Verdict {
    /// A sentence whose first word, or code, has the verdict's colour.
    pub(crate) fn toned(self, sentence: &str) -> String {
        let tone = match self {
            Self::Equal => Tone::Good,
            Self::Different => Tone::Wrong,
            Self::InFlight | Self::Unfinished => Tone::Attention,
        };
        let (word, rest) = sentence.split_at(sentence.find(':').unwrap_or(sentence.len()));
        format!("{}{rest}", toned(word, tone))
    }
}

fn mended(repair: &RepairReport) -> String {
    let rows: Vec<_> = repair.rows.iter().map(|(mapping, rows)| format!("{rows} of {mapping}")).collect();
    let rows = if rows.is_empty() { "no rows".to_owned() } else { rows.join(", ") };
    let left = match repair.unmendable {
        0 => String::new(),
        rows => format!(
            " {rows} that differ are mended by no change: `lockstep rewind` is for numbers that are ahead, `lockstep erase` for rows of nobody."
        ),
    };
    match (repair.is_done, repair.has_arrived) {
        (false, _) => format!("To be numbered and shipped anew: {rows}.{left}"),
        (true, true) => format!("Numbered and shipped anew: {rows}. What follows was looked at afterwards.{left}"),
        (true, false) => format!("Numbered anew: {rows}. Not all had arrived when the time was up.{left}"),
    }
}

fn table(header: [&str; 7], rows: impl IntoIterator<Item = [String; 7]>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for column in [1, 2, 4, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.add_rows(rows);
    table
}

fn cells(mapping: &MappingReport, name: String) -> [String; 7] {
    [
        name,
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
    let mut add = |tone, part: String| parts.push(toned(&part, tone));
    if mapping.equal {
        add(Tone::Good, "equal".to_owned());
    }
    if mapping.differences() > 0 {
        add(Tone::Wrong, "different".to_owned());
    }
    for (rows, what) in [
        (mapping.in_flight, "in flight"),
        (mapping.unjudged, "not judged"),
        (mapping.unreadable, "not readable"),
        (mapping.left_out, "ranges left out"),
    ] {
        if rows > 0 {
            add(Tone::Attention, format!("{rows} {what}"));
        }
    }
    if mapping.unfinished.is_some() {
        add(Tone::Attention, "not compared".to_owned());
    }
    parts.join(", ")
}

fn findings(text: &mut String, mapping: &MappingReport, name: &str) {
    if mapping.findings.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{name}");
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
    let is_own = finding.destination != CLICKHOUSE;
    let what = match finding.kind {
        Kind::Missing if is_own => "missing there",
        Kind::Missing => "missing in ClickHouse",
        Kind::Unexpected if is_own => "only there",
        Kind::Unexpected => "only in ClickHouse",
        Kind::Different => "different",
        Kind::Unreadable => "not readable in Postgres",
    };
    let columns =
        if finding.columns.is_empty() { String::new() } else { format!(" in {}", finding.columns.join(", ")) };
    let why = match finding.in_flight {
        None if finding.quarantined => format!(" ({}, in quarantine)", finding.class.name()),
        None if finding.class == Class::Unreadable => String::new(),
        None => format!(" ({})", finding.class.name()),
        Some(why) => format!(" (in flight: {})", waiting(why, finding.since.as_deref())),
    };
    let key = &finding.key;
    if is_own {
        return format!("{what}{columns}{why}: {key}");
    }
    let tenancy = finding.tenancy_id.map_or_else(String::new, |tenancy| format!("tenancy {tenancy}, "));
    let Finding { project_id, branch_id, .. } = finding;
    format!("{what}{columns}{why}: {key} ({tenancy}project {project_id}, branch {branch_id})")
}

fn waiting(why: Why, since: Option<&str>) -> String {
    let since = since.map_or_else(String::new, |since| format!(" since {since}"));
    match why {
        Why::Unnumbered => "it has no number yet".to_owned(),
        Why::AboveCursor => format!("numbered{since}, not shipped yet"),
        Why::Filling => "the mapping is being filled".to_owned(),
        Why::TenantGone => "its tenancy is gone, not erased yet".to_owned(),
        Why::StillChanging => "it changed again and again".to_owned(),
    }
}
