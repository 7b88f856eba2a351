//! How far a destination has come, over all tenants, and with which source (SRC-1).

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use lockstep_core::{MappingName, SequenceId, SourceIdentity};

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

/// A destination holds numbers that the source never gave out (SRC-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "ClickHouse has come to sequence {destination_at}, the source only to {source_at}: the source was restored to an earlier \
     state, was detached and set up anew, or is not the one of this ClickHouse"
)]
pub struct WentBack {
    /// The last number that was given out.
    pub source_at: SequenceId,
    /// The highest that the destination holds.
    pub destination_at: SequenceId,
}

/// How far each mapping has come. A mapping without a table has no mark.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Marks(pub BTreeMap<MappingName, Mark>);

impl Marks {
    /// The highest number that the destination holds anywhere.
    pub fn highest(&self) -> SequenceId {
        self.0.values().map(Mark::highest).max().unwrap_or_default()
    }

    /// Whether that is beyond what the source gave out: then nothing may be numbered, shipped again or removed.
    pub fn beyond(&self, source_at: SequenceId) -> Option<WentBack> {
        let destination_at = self.highest();
        (destination_at > source_at).then_some(WentBack { source_at, destination_at })
    }

    /// The mappings that have come further than any number the source gave out. In normal operation there is none.
    pub fn ahead_of(&self, last_sequence: SequenceId) -> BTreeMap<MappingName, Mark> {
        let ahead = self.0.iter().filter(|(_, mark)| mark.highest() > last_sequence);
        ahead.map(|(name, mark)| (name.clone(), *mark)).collect()
    }
}

/// What the sequencer asks of the platform's own destinations before the first number on a server. A tenant's destination
/// is never asked: its trouble must not stop the numbering.
pub trait HighWater: Send + Sync {
    /// How far these mappings have come. A table that does not exist holds nothing.
    ///
    /// # Errors
    /// When the destination cannot be asked.
    fn marks<'a>(&'a self, mappings: &'a [MappingName]) -> BoxFuture<'a, Result<Marks, DestinationError>>;

    /// The source whose changes were last let in; `None` where that was never written down.
    ///
    /// # Errors
    /// When the destination cannot be asked.
    fn last_source(&self) -> BoxFuture<'_, Result<Option<SourceIdentity>, DestinationError>>;

    /// Writes down whose changes are let in from now on, if there is a table for that (`lockstep migrate` makes it).
    ///
    /// # Errors
    /// When it is not certain that it was written.
    fn write_source<'a>(&'a self, source: &'a SourceIdentity) -> BoxFuture<'a, Result<(), DestinationError>>;
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
        assert_eq!(marks.beyond(SequenceId::new(11)), None);
        let [source_at, destination_at] = [10, 11].map(SequenceId::new);
        assert_eq!(marks.beyond(source_at), Some(WentBack { source_at, destination_at }));
        assert_eq!(marks.ahead_of(SequenceId::new(10)).into_keys().collect::<Vec<_>>(), names[2..]);
        assert_eq!(marks.ahead_of(SequenceId::new(8)).len(), 3);
    }
}
