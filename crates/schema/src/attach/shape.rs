//! What of a table changes when its rows may have changed without a row trigger (CAP-1): the file that holds them, the
//! columns that are read, the labels of their enums. Pure.

use std::collections::BTreeSet;

use lockstep_mappings::postgres::facts::TableFacts;
use lockstep_mappings::postgres::{capture, literal};
use lockstep_mappings::{Mapping, MappingSet, SourceTable};

/// The shape of a table, as `lockstep.captured_table` keeps it: one line for each thing that must stay.
pub fn shape(set: &MappingSet, table: &SourceTable, live: &TableFacts) -> String {
    let read = capture::watched(set, table);
    let mut lines = BTreeSet::from([format!("file {}", live.filenode)]);
    for (name, column) in live.columns.iter().filter(|(name, _)| read.contains(*name)) {
        lines.insert(format!("column {} {name} {}", column.number, column.type_name()));
        lines.extend(column.labels.iter().map(|label| format!("label {label}")));
    }
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

/// Whether rows may have changed unnoticed since a table had the shape `before`. What was added (a column that nobody read
/// then, a label) changed no row.
pub fn may_have_changed(before: &str, now: &str) -> bool {
    let now: BTreeSet<_> = now.lines().collect();
    before.lines().any(|line| !now.contains(line))
}

/// The statement that writes down the shape of a captured table.
pub fn note_shape(table: &SourceTable, shape: &str, relaxed: bool) -> String {
    format!(
        "INSERT INTO lockstep.captured_table AS c (schema_name, table_name, shape, relaxed) VALUES ({}, {}, {}, {relaxed})
ON CONFLICT (schema_name, table_name) DO UPDATE SET shape = EXCLUDED.shape, relaxed = EXCLUDED.relaxed, looked_at = clock_timestamp()",
        literal(&table.schema),
        literal(&table.name),
        literal(shape),
    )
}

/// The mappings that read a table.
pub fn mappings_of<'a>(set: &'a MappingSet, table: &'a SourceTable) -> impl Iterator<Item = &'a Mapping> {
    set.iter().filter(move |mapping| mapping.source == *table || mapping.joins.iter().any(|join| join.table == *table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_changes_no_row_and_what_is_replaced_may() {
        let before = "column 1 id uuid\nfile 7\nlabel 16400=EMAIL";
        for now in [before, "column 1 id uuid\ncolumn 9 new text\nfile 7\nlabel 16400=EMAIL\nlabel 16401=PHONE"] {
            assert!(!may_have_changed(before, now), "{now}");
        }
        for now in [
            "column 1 id uuid\nfile 8\nlabel 16400=EMAIL",
            "column 2 id uuid\nfile 7\nlabel 16400=EMAIL",
            "column 1 id uuid\nfile 7\nlabel 16400=MAIL",
        ] {
            assert!(may_have_changed(before, now), "{now}");
        }
    }
}
