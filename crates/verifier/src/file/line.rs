//! One line of a file as a row of a mapping.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use lockstep_destinations::compare::Row;
use lockstep_mappings::Mapping;
use serde_json::value::RawValue;

use super::error::LineProblem;
use super::value;

/// Stands for a column that a line has not: no text is like it, since it is not UTF-8.
const ABSENT: &[u8] = &[0xff];
/// Fields in front of the columns: project and branch, which files do not have.
pub(crate) const LOCATION_FIELDS: usize = 2;

/// What a line holds.
pub(super) struct Line {
    pub(super) row: Row,
    /// Names of fields that the mapping has not.
    pub(super) unknown: Vec<String>,
}

/// Reads lines of one mapping.
pub(super) struct LineReader<'m> {
    mapping: &'m Mapping,
    /// By name and by second name.
    columns: HashMap<&'m str, usize>,
}

impl<'m> LineReader<'m> {
    pub(super) fn new(mapping: &'m Mapping) -> Self {
        let names = mapping.columns.iter().enumerate();
        let aliases = names.clone().filter_map(|(index, column)| Some((column.alias.as_deref()?, index)));
        // A name goes before a second name of another column.
        let columns = aliases.chain(names.map(|(index, column)| (column.name.as_str(), index))).collect();
        Self { mapping, columns }
    }

    pub(super) fn read(&self, line: &[u8]) -> Result<Line, LineProblem> {
        let fields: Option<BTreeMap<Cow<'_, str>, &RawValue>> =
            std::str::from_utf8(line).ok().and_then(|text| serde_json::from_str(text).ok());
        let mut unknown = Vec::new();
        let mut values: Vec<Option<&RawValue>> = vec![None; self.mapping.columns.len()];
        for (name, field) in fields.ok_or(LineProblem::NoObject)? {
            match self.columns.get(name.as_ref()) {
                // Where a line has both names of a column, the first counts.
                Some(&column) if values[column].is_none() || self.mapping.columns[column].name == name => {
                    values[column] = Some(field);
                }
                Some(_) => {}
                None => unknown.push(name.into_owned()),
            }
        }
        Ok(Line { row: self.row(&values, line.len())?, unknown })
    }

    fn row(&self, values: &[Option<&RawValue>], bytes: usize) -> Result<Row, LineProblem> {
        let mut row = Row::with_capacity(LOCATION_FIELDS + values.len(), bytes);
        push_no_location(&mut row);
        for (index, (column, value)) in self.mapping.columns.iter().zip(values).enumerate() {
            let of_column = |expected| LineProblem::Value { column: column.name.clone(), expected };
            let found = match value {
                Some(value) => Some(value::canonical(column.column_type, value).map_err(of_column)?),
                None => None,
            };
            let is_key = self.mapping.key.contains(&index);
            match found {
                None | Some(None) if is_key => return Err(LineProblem::NoKey(column.name.clone())),
                Some(Some(text)) if is_key && text.contains('\0') => return Err(of_column("a text without NUL")),
                None => row.push(Some(ABSENT)),
                Some(text) => row.push(text.as_deref().map(str::as_bytes)),
            }
        }
        Ok(row)
    }
}

/// Whether a row of a file has this field.
pub(crate) fn is_absent(row: &Row, field: usize) -> bool {
    row.field(field) == Some(ABSENT)
}

/// A row of a side as it is compared with one of a file: without its place, and by value.
pub(crate) fn comparable(mapping: &Mapping, of: &Row) -> Row {
    let mut row = Row::with_capacity(LOCATION_FIELDS + mapping.columns.len(), 512);
    push_no_location(&mut row);
    for (column, field) in mapping.columns.iter().zip(LOCATION_FIELDS..) {
        let value = of.field(field);
        match value.map(std::str::from_utf8) {
            Some(Ok(text)) => row.push(value::by_value(column.column_type, text).as_deref().map(str::as_bytes)),
            _ => row.push(value),
        }
    }
    row.tenancy = of.tenancy;
    row
}

fn push_no_location(row: &mut Row) {
    for _ in 0..LOCATION_FIELDS {
        row.push(Some(b""));
    }
}

#[cfg(test)]
mod tests;
