//! A defect: which, of which row, where, and what has to be said of it.

use lockstep_verifier::Class;
use rand::Rng;
use rand::rngs::StdRng;
use uuid::Uuid;

/// A tenancy and where it lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) tenancy: Uuid,
    pub(super) project: String,
    pub(super) branch: String,
}

/// A mapping whose rows are planted with defects; their text is `displayName`, exported as `display_name`.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) mapping: &'static str,
    pub(super) table: &'static str,
    pub(super) key: &'static str,
}

pub(super) static TARGETS: [Target; 2] = [
    Target { mapping: "teams", table: "Team", key: "teamId" },
    Target { mapping: "users", table: "ProjectUser", key: "projectUserId" },
];

/// What is done to a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum What {
    /// It is removed from the destination.
    Lost,
    /// The destination has an older one.
    Stale,
    /// The destination has the same number, and another text.
    Corrupt,
    /// The destination has a number that was never given out.
    Ahead,
    /// It is gone from the source, and the destination has it still.
    LostTombstone,
    /// The destination has it under another tenant as well.
    Foreign,
    /// The destination has one that never was.
    Orphan,
    /// The source changes it past capture.
    Changed,
    /// The source removes it past capture.
    Removed,
    /// The source adds it past capture.
    Added,
}

/// Where it is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Side {
    Source,
    ClickHouse,
    /// The tenant's own database.
    Own,
}

const OF_CLICKHOUSE: [What; 7] =
    [What::Lost, What::Stale, What::Corrupt, What::Ahead, What::LostTombstone, What::Foreign, What::Orphan];
/// No rows have numbers there.
const OF_OWN: [What; 5] = [What::Lost, What::Corrupt, What::LostTombstone, What::Foreign, What::Orphan];
const OF_SOURCE: [What; 3] = [What::Changed, What::Removed, What::Added];

#[derive(Debug)]
pub(super) struct Defect {
    pub(super) what: What,
    pub(super) side: Side,
    pub(super) target: &'static Target,
    /// The key of the row that is, or is to be, wrong.
    pub(super) id: Uuid,
    /// Where the row of the source is; of an orphan, where its template is.
    pub(super) place: Place,
    /// Where the row that is made up is shown, where that is another place.
    pub(super) elsewhere: Place,
    /// The transaction that wrote the row of the source.
    pub(super) written: Option<String>,
}

impl Defect {
    /// A defect at one of these places; `own` says whether the first of them has a database of its own.
    pub(super) fn draw(rng: &mut StdRng, places: &[Place], own: bool) -> Self {
        let pick = |rng: &mut StdRng, all: &[What]| all[rng.random_range(0..all.len())];
        let (side, what) = match rng.random_range(0..10) {
            0..3 => (Side::Source, pick(rng, &OF_SOURCE)),
            3..6 if own => (Side::Own, pick(rng, &OF_OWN)),
            _ => (Side::ClickHouse, pick(rng, &OF_CLICKHOUSE)),
        };
        // What is another tenant's in a database of the first one's is of any but the first.
        let first = usize::from(side == Side::Own && what == What::Foreign);
        let place = match side {
            Side::Own if what != What::Foreign => places[0].clone(),
            _ => places[rng.random_range(first..places.len())].clone(),
        };
        let is_other = |other: &&Place| (&other.project, &other.branch) != (&place.project, &place.branch);
        let others: Vec<_> = places.iter().filter(is_other).collect();
        let elsewhere = others[rng.random_range(0..others.len())].clone();
        let target = &TARGETS[rng.random_range(0..TARGETS.len())];
        Self { what, side, target, id: Uuid::from_u128(rng.random()), place, elsewhere, written: None }
    }

    /// Whether the source has the row before anything is done to it.
    pub(super) fn has_row(&self) -> bool {
        !matches!(self.what, What::Orphan | What::Added)
    }

    /// Changes of it that are numbered, where nobody else has written it.
    pub(super) fn changes(&self) -> i64 {
        match self.what {
            What::Orphan | What::Added => 0,
            What::LostTombstone => 2,
            _ => 1,
        }
    }

    /// Whether an update that exports nothing makes something else of it: a row that was written after its number.
    pub(super) fn depends_on_writer(&self) -> bool {
        matches!(self.what, What::Lost | What::Stale | What::Corrupt | What::Ahead)
    }

    /// What has to be said of it in ClickHouse (`None` where it does not show there).
    pub(super) fn class_in_clickhouse(&self) -> Option<Class> {
        if self.side == Side::Own {
            return None;
        }
        Some(match self.what {
            What::Lost => Class::Lost,
            What::Stale => Class::Stale,
            What::Corrupt => Class::Corrupt,
            What::Ahead => Class::Ahead,
            What::LostTombstone => Class::LostTombstone,
            What::Foreign => Class::Foreign,
            What::Orphan => Class::Orphan,
            What::Changed | What::Removed | What::Added => Class::UnmarkedChange,
        })
    }

    /// What has to be said of it in the database of the tenancy `owner`, which has no numbers.
    pub(super) fn class_in_own(&self, owner: Uuid) -> Option<Class> {
        match (self.side, self.what) {
            (Side::ClickHouse, _) => None,
            (Side::Source, _) if self.place.tenancy != owner => None,
            (_, What::Lost) => Some(Class::Lost),
            (_, What::Corrupt) => Some(Class::Corrupt),
            (_, What::Foreign) => Some(Class::Foreign),
            (_, What::Orphan) => Some(Class::Orphan),
            (_, What::Changed | What::Added) => Some(Class::UnmarkedChange),
            // That the last change was not a removal is nothing that such a database can tell.
            (_, What::LostTombstone | What::Removed) => Some(Class::LostTombstone),
            (_, What::Stale | What::Ahead) => None,
        }
    }
}
