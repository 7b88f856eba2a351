//! What a comparison found, for people. Keys and column names only, never values.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};

/// How many findings of each kind are shown; all are counted.
const SHOWN: usize = 5;

/// The comparison of all mappings.
pub struct Report {
    /// One for each mapping, in the order of the contract.
    pub mappings: Vec<MappingReport>,
}

/// The comparison of one mapping.
pub struct MappingReport {
    /// The mapping's name.
    pub mapping: &'static str,
    /// Rows that the source says it must hold.
    pub source_rows: usize,
    /// Rows that it holds.
    pub destination_rows: usize,
    /// Keys that it lacks.
    pub missing: Vec<String>,
    /// Keys that it should not hold, or holds twice.
    pub unexpected: Vec<String>,
    /// Keys on both sides whose values differ.
    pub different: Vec<Difference>,
    /// Columns that the view or table lacks, has too many, or has with another type, in words.
    pub wrong_columns: Vec<String>,
    /// What else is wrong with the table, in words: its key, its rights, or that it is there at all.
    pub wrong_table: Vec<String>,
}

/// One row that differs.
pub struct Difference {
    /// Its key.
    pub key: String,
    /// The columns that differ.
    pub columns: Vec<&'static str>,
}

impl Report {
    /// Nothing is missing, unexpected or different, and every view or table is of the shape that it should have.
    pub fn equal(&self) -> bool {
        self.mappings.iter().all(MappingReport::equal)
    }
}

impl MappingReport {
    pub(super) fn new(mapping: &'static str, source_rows: usize) -> Self {
        Self {
            mapping,
            source_rows,
            destination_rows: 0,
            missing: Vec::new(),
            unexpected: Vec::new(),
            different: Vec::new(),
            wrong_columns: Vec::new(),
            wrong_table: Vec::new(),
        }
    }

    /// As [`Report::equal`], for this mapping.
    pub fn equal(&self) -> bool {
        self.missing.is_empty()
            && self.unexpected.is_empty()
            && self.different.is_empty()
            && self.wrong_columns.is_empty()
            && self.wrong_table.is_empty()
    }

    fn findings(&self) -> impl Iterator<Item = String> {
        let lacks = self.missing.iter().take(SHOWN).map(|key| format!("missing {key}"));
        let extra = self.unexpected.iter().take(SHOWN).map(|key| format!("unexpected {key}"));
        let differs = self.different.iter().take(SHOWN);
        let differs = differs.map(|row| format!("different {} in {}", row.key, row.columns.join(", ")));
        let columns = self.wrong_columns.iter().map(|wrong| format!("column {wrong}"));
        let table = self.wrong_table.iter().map(|wrong| format!("the table {wrong}"));
        lacks
            .chain(extra)
            .chain(differs)
            .chain(columns)
            .chain(table)
            .map(|finding| format!("{}: {finding}", self.mapping))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["mapping", "source", "destination", "missing", "unexpected", "different", ""]);
        for mapping in &self.mappings {
            let numbers = [
                mapping.source_rows,
                mapping.destination_rows,
                mapping.missing.len(),
                mapping.unexpected.len(),
                mapping.different.len(),
            ];
            let mut cells = vec![mapping.mapping.to_owned()];
            cells.extend(numbers.map(|number| number.to_string()));
            cells.push(if mapping.equal() { "equal" } else { "DIFFERENT" }.to_owned());
            table.add_row(cells);
        }
        for column in table.column_iter_mut().skip(1).take(5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        write!(f, "{}", table.trim_fmt())?;
        self.mappings.iter().flat_map(MappingReport::findings).try_for_each(|finding| write!(f, "\n{finding}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_keys_and_columns_under_an_aligned_table() {
        let mut users = MappingReport::new("users", 1200);
        users.destination_rows = 1199;
        users.missing = vec![r#"["p","main","1"]"#.to_owned()];
        users.different = vec![Difference { key: r#"["p","main","2"]"#.to_owned(), columns: vec!["display_name"] }];
        let teams = MappingReport::new("teams", 0);
        assert!(teams.equal() && !users.equal());
        let report = Report { mappings: vec![users, teams] };
        assert!(!report.equal());
        let text = report.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].ends_with("DIFFERENT") && lines[2].ends_with("equal"), "{text}");
        assert_eq!(lines[1].find("1200").map(|at| at + 4), lines[2].find('0').map(|at| at + 1), "{text}");
        assert_eq!(lines[3], r#"users: missing ["p","main","1"]"#);
        assert_eq!(lines[4], r#"users: different ["p","main","2"] in display_name"#);
    }
}
