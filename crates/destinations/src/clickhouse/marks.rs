//! How far the destination has come, over all tenants, and with which source (SRC-1).

use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::{MappingName, SequenceId, SourceIdentity};
use lockstep_mappings::clickhouse::{cursor_table_name, source_table_name};

use super::{ClickHouse, storage};
use crate::error::DestinationError;

/// The highest cursor and the highest version of one mapping.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Mark {
    /// Of all tenants' cursors.
    pub cursor: SequenceId,
    /// Of all rows and tombstones.
    pub version: SequenceId,
}

impl Mark {
    /// The higher of both.
    pub fn highest(&self) -> SequenceId {
        self.cursor.max(self.version)
    }
}

/// How far each mapping has come. A mapping without a table has no mark.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Marks(pub BTreeMap<MappingName, Mark>);

impl Marks {
    /// The highest number that the destination holds anywhere.
    pub fn highest(&self) -> SequenceId {
        self.0.values().map(Mark::highest).max().unwrap_or_default()
    }

    /// The mappings that have come further than any number the source gave out. In normal operation there is none.
    pub fn ahead_of(&self, last_sequence: SequenceId) -> BTreeMap<MappingName, Mark> {
        let ahead = self.0.iter().filter(|(_, mark)| mark.highest() > last_sequence);
        ahead.map(|(name, mark)| (name.clone(), *mark)).collect()
    }
}

impl ClickHouse {
    /// How far these mappings have come. Reads one column of each table; what does not exist holds nothing.
    ///
    /// # Errors
    /// What the server says.
    pub async fn marks(&self, mappings: &[MappingName]) -> Result<Marks, DestinationError> {
        let tables = self.raw_tables().await?;
        let there: Vec<_> = mappings.iter().filter(|mapping| tables.contains(mapping.as_str())).collect();
        let mut marks = Marks::default();
        if !there.is_empty() {
            for (name, version) in self.numbers(&storage::highest_versions(&self.raw_database, &there)).await? {
                marks.0.entry(name).or_default().version = version;
            }
        }
        if tables.contains(cursor_table_name()) {
            for (name, cursor) in self.numbers(&storage::highest_cursors(&self.raw_database)).await? {
                if mappings.contains(&name) {
                    marks.0.entry(name).or_default().cursor = cursor;
                }
            }
        }
        Ok(marks)
    }

    /// The source whose changes were last let in; none where that was never written down.
    ///
    /// # Errors
    /// What the server says.
    pub async fn last_source(&self) -> Result<Option<SourceIdentity>, DestinationError> {
        if !self.raw_tables().await?.contains(source_table_name()) {
            return Ok(None);
        }
        let rows: Vec<(String, u32)> = self.fetch_rows(&storage::last_source(&self.raw_database)).await?;
        let identity = |(system_identifier, timeline)| SourceIdentity { system_identifier, timeline };
        Ok(rows.into_iter().next().map(identity))
    }

    /// Writes down whose changes are let in from now on, if there is a table for that (`lockstep migrate` makes it).
    ///
    /// # Errors
    /// What the server says.
    pub async fn write_source(&self, source: &SourceIdentity) -> Result<(), DestinationError> {
        if self.raw_tables().await?.contains(source_table_name()) {
            self.execute(&storage::write_source(&self.raw_database, source)).await?;
        }
        Ok(())
    }

    async fn raw_tables(&self) -> Result<BTreeSet<String>, DestinationError> {
        let names: Vec<(String,)> = self.fetch_rows(&storage::table_names(&self.raw_database)).await?;
        Ok(names.into_iter().map(|(name,)| name).collect())
    }

    async fn numbers(&self, sql: &str) -> Result<Vec<(MappingName, SequenceId)>, DestinationError> {
        let rows: Vec<(String, i64)> = self.fetch_rows(sql).await?;
        // A name that is none of ours was left by another system in the same table.
        let known = rows.into_iter().filter_map(|(name, number)| Some((name.parse().ok()?, SequenceId::new(number))));
        Ok(known.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_ahead_by_its_cursor_or_by_its_rows() {
        let mark = |cursor, version| Mark { cursor: SequenceId::new(cursor), version: SequenceId::new(version) };
        let names = ["users", "teams", "contact_channels"].map(|name| name.parse::<MappingName>().unwrap());
        let marks = Marks(names.iter().cloned().zip([mark(9, 3), mark(10, 10), mark(10, 11)]).collect());
        assert_eq!(marks.highest(), SequenceId::new(11));
        assert!(marks.ahead_of(SequenceId::new(11)).is_empty());
        assert_eq!(marks.ahead_of(SequenceId::new(10)).into_keys().collect::<Vec<_>>(), names[2..]);
        assert_eq!(marks.ahead_of(SequenceId::new(8)).len(), 3);
    }
}
