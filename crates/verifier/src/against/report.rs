//! What was found when a side was compared with a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use lockstep_core::destination_id::CLICKHOUSE;
use lockstep_core::exit;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::Key;
use lockstep_operations::shown::ShownKey;
use serde::Serialize;
use uuid::Uuid;

use super::FileOptions;
use crate::file::Contents;
use crate::judge::Kind;
use crate::report::{Verdict, milliseconds};
use crate::side::SideOptions;

/// A side beside a file.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// Equal, different, or unfinished: nothing differs, but some lines lack columns that others have.
    pub verdict: Verdict,
    /// The mapping.
    pub mapping: String,
    /// Whose rows.
    pub tenancy_id: Uuid,
    /// What was compared with the file: `source`, `clickhouse`, or the id of a tenant's own destination.
    pub side: String,
    /// Rows of the file.
    pub file_rows: u64,
    /// Rows of the side.
    pub side_rows: u64,
    /// Rows that both have, alike in every column that the file has.
    pub equal_rows: u64,
    /// Rows of the file that the side lacks.
    pub missing: u64,
    /// Rows of the side that the file lacks.
    pub unexpected: u64,
    /// Rows that both have, with different values.
    pub different: u64,
    /// By column, in how many rows it differs.
    pub columns: BTreeMap<String, u64>,
    /// By column that was not, or not always, compared: how many lines lack it.
    pub not_compared: BTreeMap<String, u64>,
    /// Values of the file whose fields the mapping has not.
    pub ignored_values: u64,
    /// Names of such fields, twenty at most.
    pub ignored_fields: BTreeSet<String>,
    /// Other tenancies that live at the same place of `ClickHouse`: their rows are compared too.
    pub neighbours: u64,
    /// The first findings, in the order of their keys.
    pub findings: Vec<FileFinding>,
    /// How long it took.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
    #[serde(skip)]
    is_ragged: bool,
}

/// A row that differs between the two.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FileFinding {
    /// Missing in the side, unexpected there, or different.
    pub kind: Kind,
    /// Its key, by column: ids, numbers and days as they are, of a text `sha256:` and the first 12 digits of its hash.
    pub key: ShownKey,
    /// Of a row that both have: the columns that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

impl FileReport {
    pub(super) fn new(of: &SideOptions, options: &FileOptions, contents: Contents, neighbours: u64) -> Self {
        let is_ragged = contents.is_ragged();
        Self {
            verdict: Verdict::Unfinished,
            mapping: of.mapping.clone(),
            tenancy_id: of.tenant.as_uuid(),
            side: of.side.name(),
            file_rows: contents.rows,
            side_rows: 0,
            equal_rows: 0,
            missing: 0,
            unexpected: 0,
            different: 0,
            columns: BTreeMap::new(),
            not_compared: contents.absent,
            ignored_values: contents.ignored,
            ignored_fields: contents.ignored_names,
            neighbours,
            findings: Vec::with_capacity(options.show.min(100)),
            elapsed: Duration::ZERO,
            is_ragged,
        }
    }

    /// Counts a row that differs, and lists it where there is room. A key that is no text is not shown.
    pub(super) fn differs(
        &mut self,
        mapping: &Mapping,
        key: Option<Key>,
        kind: Kind,
        columns: Vec<String>,
        options: &FileOptions,
    ) {
        *(match kind {
            Kind::Missing => &mut self.missing,
            Kind::Unexpected => &mut self.unexpected,
            Kind::Different | Kind::Unreadable => &mut self.different,
        }) += 1;
        for column in &columns {
            *self.columns.entry(column.clone()).or_default() += 1;
        }
        if self.findings.len() < options.show {
            let values = key.map(|key| key.values).unwrap_or_default();
            let shown = mapping
                .key_columns()
                .zip(&values)
                .map(|(column, value)| (column.name.clone(), options.shown.key(column.column_type.base, value)));
            self.findings.push(FileFinding { kind, key: shown.collect(), columns });
        }
    }

    pub(super) fn end(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
        self.verdict = match self.differences() {
            1.. => Verdict::Different,
            0 if self.is_ragged => Verdict::Unfinished,
            0 => Verdict::Equal,
        };
    }

    /// Rows that differ.
    pub const fn differences(&self) -> u64 {
        self.missing + self.unexpected + self.different
    }

    /// What a program ends with: 0 equal, 1 different, 3 not everything could be compared.
    pub const fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Equal => exit::OK,
            Verdict::Different => exit::DIFFERENT,
            Verdict::InFlight | Verdict::Unfinished => exit::UNFINISHED,
        }
    }

    /// One JSON object on one line, which [`FileReport`] itself describes.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a report holds nothing that JSON cannot")
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let side = match self.side.as_str() {
            "source" => "Postgres",
            CLICKHOUSE => "ClickHouse",
            id => id,
        };
        let Self { mapping, tenancy_id, file_rows, side_rows, equal_rows, .. } = self;
        let mut text = format!(
            "{mapping} of tenancy {tenancy_id}: {file_rows} rows in the file, {side_rows} in {side}, {equal_rows} alike\n"
        );
        for finding in &self.findings {
            let _ = writeln!(text, "  {}", finding.line(side));
        }
        let more = self.differences().saturating_sub(self.findings.len() as u64);
        if more > 0 {
            let _ = writeln!(text, "  … and {more} more (--show)");
        }
        if !self.columns.is_empty() {
            let columns: Vec<_> = self.columns.iter().map(|(name, rows)| format!("{name} ({rows} rows)")).collect();
            let _ = writeln!(text, "Different in: {}", columns.join(", "));
        }
        self.notes(&mut text);
        let seconds = self.elapsed.as_secs_f64();
        let verdict = match self.verdict {
            Verdict::Equal => format!("Equal: {equal_rows} rows are the same on both sides."),
            Verdict::Different => {
                let rows = self.differences();
                format!("Different: {rows} rows. A row that changed since the file was made is among them.")
            }
            Verdict::InFlight | Verdict::Unfinished => {
                "Unfinished: nothing differs, but some lines lack columns that others have; write null where a value is none."
                    .to_owned()
            }
        };
        let _ = writeln!(text, "{} ({seconds:.1} s)", self.verdict.toned(&verdict));
        text
    }

    /// What was not compared, and what was compared besides.
    fn notes(&self, text: &mut String) {
        if !self.not_compared.is_empty() {
            let columns = self.not_compared.iter();
            let columns: Vec<_> =
                columns.map(|(name, lines)| format!("{name} ({lines} of {})", self.file_rows)).collect();
            let _ = writeln!(text, "Not compared where lines lack it: {}", columns.join(", "));
        }
        if self.ignored_values > 0 {
            let names: Vec<_> = self.ignored_fields.iter().map(String::as_str).collect();
            let of = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
            let _ = writeln!(text, "Ignored: {} values of fields that the mapping has not{of}", self.ignored_values);
        }
        if self.neighbours > 0 {
            let _ = writeln!(
                text,
                "{} other tenancies live at the same place of ClickHouse: their rows are compared too (--side source has none of them)",
                self.neighbours
            );
        }
    }
}

impl FileFinding {
    fn line(&self, side: &str) -> String {
        let what = match self.kind {
            Kind::Missing => format!("missing in {side}"),
            Kind::Unexpected => format!("only in {side}"),
            Kind::Different | Kind::Unreadable => format!("different in {}", self.columns.join(", ")),
        };
        format!("{what}: {}", self.key)
    }
}
