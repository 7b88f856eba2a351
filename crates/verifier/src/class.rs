//! How a row that differs came to, as far as numbers tell. Pure.

use lockstep_core::SequenceId;
use lockstep_destinations::compare::Held;
use serde::{Deserialize, Serialize};

use crate::judge::Kind;

/// What is wrong with a row of a destination.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The source has it, and everything that it was told was acknowledged; it is not there.
    Lost,
    /// It was deleted in the source, or left its mapping, and is still shown.
    LostTombstone,
    /// It is shown as it was before a later change.
    Stale,
    /// It is there with the number of its last change, and other values.
    Corrupt,
    /// The source was written past capture: no change tells of it.
    UnmarkedChange,
    /// It has a number that the source has not given out: the source was set back, or it was written by another.
    Ahead,
    /// The source never had it there, as far as is known.
    Orphan,
    /// It is shown more than once.
    Duplicate,
    /// It is another tenant's.
    Foreign,
    /// The source has it and cannot give it.
    Unreadable,
    /// It is on its way.
    Pending,
}

impl Class {
    /// As it is shown and written down.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::LostTombstone => "lost tombstone",
            Self::Stale => "stale",
            Self::Corrupt => "corrupt",
            Self::UnmarkedChange => "unmarked change",
            Self::Ahead => "ahead",
            Self::Orphan => "orphan",
            Self::Duplicate => "duplicate",
            Self::Foreign => "foreign",
            Self::Unreadable => "unreadable",
            Self::Pending => "pending",
        }
    }

    /// Whether a change with a new number mends it: a destination takes the row with the highest one.
    pub const fn is_mended_by_change(self) -> bool {
        !matches!(self, Self::Ahead | Self::Duplicate | Self::Unreadable | Self::Pending)
    }
}

/// What is known of a key that differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Evidence {
    pub(crate) kind: Kind,
    /// What the destination holds; none where it has no versions, or nothing of it.
    pub(crate) held: Option<Held>,
    /// The last change of the key at its place that is not forgotten.
    pub(crate) last_change: Option<SequenceId>,
    /// The number with which the rows that were there before capture were shipped.
    pub(crate) fill: SequenceId,
    /// The last number that was drawn, read after what the destination holds.
    pub(crate) last_drawn: SequenceId,
    /// Whether the row of the source was written by a transaction that came after the number that the destination should hold.
    pub(crate) is_written_later: bool,
    /// Whether the source has a row with this key elsewhere.
    pub(crate) is_elsewhere: bool,
}

impl Evidence {
    /// The number that the destination should hold of it, as far as is known.
    pub(crate) fn expected(&self) -> SequenceId {
        self.last_change.unwrap_or(self.fill).max(self.fill)
    }

    /// Whether the destination holds an older number than that of the last change.
    fn is_behind(&self) -> bool {
        match (self.last_change, self.held) {
            (Some(change), Some(held)) => change > held.version,
            _ => false,
        }
    }

    pub(crate) fn class(&self) -> Class {
        if self.held.is_some_and(|held| held.version > self.last_drawn) {
            return Class::Ahead;
        }
        match self.kind {
            Kind::Unreadable => Class::Unreadable,
            Kind::Missing if self.is_written_later && !self.is_behind() => Class::UnmarkedChange,
            Kind::Missing => Class::Lost,
            Kind::Unexpected => self.class_of_unexpected(),
            Kind::Different if self.is_behind() => Class::Stale,
            Kind::Different if self.is_written_later => Class::UnmarkedChange,
            Kind::Different => Class::Corrupt,
        }
    }

    fn class_of_unexpected(&self) -> Class {
        match (self.last_change, self.held) {
            (_, Some(held)) if held.copies > 1 => Class::Duplicate,
            (Some(_), None) => Class::LostTombstone,
            (Some(change), Some(held)) if change > held.version => Class::LostTombstone,
            _ if self.is_elsewhere => Class::Foreign,
            // It was shipped with this number as a row that is there.
            (Some(change), Some(held)) if change == held.version => Class::UnmarkedChange,
            (None, Some(held)) if held.version == self.fill => Class::UnmarkedChange,
            _ => Class::Orphan,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILL: i64 = 10;

    fn evidence(kind: Kind, held: Option<i64>, last_change: Option<i64>) -> Evidence {
        let held = held.map(|version| Held {
            version: SequenceId::new(version),
            is_deleted: kind == Kind::Missing,
            copies: 1,
        });
        Evidence {
            kind,
            held,
            last_change: last_change.map(SequenceId::new),
            fill: SequenceId::new(FILL),
            last_drawn: SequenceId::new(100),
            is_written_later: false,
            is_elsewhere: false,
        }
    }

    #[test]
    fn numbers_tell_how_a_row_came_to_differ() {
        use Kind::{Different, Missing, Unexpected};
        for (kind, held, change, class) in [
            (Missing, None, Some(50), Class::Lost),
            (Missing, None, None, Class::Lost),
            (Missing, Some(50), Some(50), Class::Lost),
            (Unexpected, Some(20), Some(50), Class::LostTombstone),
            (Unexpected, None, Some(50), Class::LostTombstone),
            (Unexpected, Some(50), Some(50), Class::UnmarkedChange),
            (Unexpected, Some(FILL), None, Class::UnmarkedChange),
            (Unexpected, Some(3), None, Class::Orphan),
            (Unexpected, None, None, Class::Orphan),
            (Different, Some(20), Some(50), Class::Stale),
            (Different, Some(50), Some(50), Class::Corrupt),
            (Different, Some(FILL), None, Class::Corrupt),
            (Different, None, Some(50), Class::Corrupt),
            (Different, Some(101), Some(50), Class::Ahead),
            (Unexpected, Some(101), None, Class::Ahead),
        ] {
            assert_eq!(evidence(kind, held, change).class(), class, "{kind:?} {held:?} {change:?}");
        }
    }

    #[test]
    fn a_row_that_was_written_after_its_last_change_went_past_capture() {
        let later = |kind, held, change| Evidence { is_written_later: true, ..evidence(kind, held, change) }.class();
        assert_eq!(later(Kind::Different, Some(50), Some(50)), Class::UnmarkedChange);
        assert_eq!(
            later(Kind::Different, Some(20), Some(50)),
            Class::Stale,
            "the change that did come is missing as well"
        );
        assert_eq!(later(Kind::Missing, Some(50), Some(50)), Class::UnmarkedChange);
        assert_eq!(later(Kind::Missing, Some(20), Some(50)), Class::Lost);
    }

    #[test]
    fn a_row_of_another_place_is_foreign_and_two_of_a_key_are_duplicates() {
        let foreign = Evidence { is_elsewhere: true, ..evidence(Kind::Unexpected, Some(3), None) };
        assert_eq!(foreign.class(), Class::Foreign);
        let twice = Held { version: SequenceId::new(20), is_deleted: false, copies: 2 };
        let duplicate = Evidence { held: Some(twice), ..evidence(Kind::Unexpected, None, Some(20)) };
        assert_eq!(duplicate.class(), Class::Duplicate);
    }

    #[test]
    fn what_a_destination_should_hold_is_the_later_of_fill_and_change() {
        assert_eq!(evidence(Kind::Different, None, Some(50)).expected(), SequenceId::new(50));
        assert_eq!(evidence(Kind::Different, None, Some(5)).expected(), SequenceId::new(FILL));
        assert_eq!(evidence(Kind::Different, None, None).expected(), SequenceId::new(FILL));
    }
}
