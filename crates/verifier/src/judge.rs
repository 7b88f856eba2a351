//! Deciding about one key that differed: has it settled, is it on its way, or is it wrong? Pure.
//!
//! # The argument (VER-1)
//!
//! A *look* reads, in this order: `C`, the cursors of the destination; `S`, one snapshot of the source; `D`, the rows of
//! the destination. Call what should be in `D` for a key *owed* when `S` says that its last change was stamped with a
//! number that `C` has reached, or, for a row of the base, that the base snapshot has ended.
//!
//! **What is owed has arrived.** Let the row be stamped with `s`, be neither flagged nor touched in `S`, and `s ≤ C`. Every
//! write that changes what is exported of a row flags it, or (through a join, CAP-3) records a touch, in the same
//! transaction; flag and touch are cleared only by a stamp, which is a new number. So what the row exports has not changed
//! between its stamp and `S`. The worker that moved the cursor to `s` or beyond read a snapshot that saw the stamp (SEQ-1),
//! hence this row with this content, and wrote it before it moved the cursor (CUR-1), or put it into quarantine because the
//! destination refused it: then it is missing there for good as long as nobody acts, and is told as different. For a row of the base the end of the
//! base snapshot stands for the cursor: any write to such a row flags it. For a key that has no row in `S` its tombstones
//! stand for the row: each deletion leaves one (CAP-2), and it ships unless the key lives (DEL-1).
//!
//! **One look is not enough.** The source goes on between `S` and `D`. `D` may hold what was written after `S`: a later
//! version, or even a later content under the same number, because a worker may read a flagged row that has its old number
//! still. So a difference in one look proves nothing.
//!
//! **Two looks are.** Let both looks `1` and `2` find the difference owed, with the same [`Version`] in `S1` and `S2`. Numbers
//! only grow, and a flag or touch that came after `S1` has by `S2` either been cleared by a new number or is still there;
//! neither was seen, so nothing that is exported of the row changed between `S1` and `S2`. `D1` was read in between. What
//! `D1` had to hold was exactly what `S1` shows, and it held something else: the difference is real, and [`Judgement::Real`]
//! is never wrong. Where the key has no row the version lists every tombstone since the first look, so a row that came and
//! went between the looks changes it.
//!
//! **Nothing that differs is called equal.** [`Judgement::Settled`] needs all columns of both sides alike, in one look.
//!
//! What cannot be decided this way is that a tenancy is gone (ERASE-1): no cursor tells that it was erased. While a touch or an
//! outbox row of it is pending, and until its erasure is overdue, it is on its way; after that it is looked at until the
//! time is up, and then called real.

use std::collections::BTreeSet;

use lockstep_core::{SequenceId, TenancyId};
use serde::Serialize;

/// How the two sides differ at a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The source has a row that ClickHouse has not.
    Missing,
    /// ClickHouse has a row that the source has not.
    Unexpected,
    /// Both have it, with different values.
    Different,
}

/// Why a difference may still go away by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The change waits for its number.
    Unstamped,
    /// The change has its number; the cursor has not reached it.
    AboveCursor,
    /// The base snapshot of the mapping has not ended.
    BaseSnapshot,
    /// The tenancy is gone, and its rows are still to be erased.
    TenantGone,
    /// The row kept changing while it was looked at.
    KeptChanging,
}

/// The source row of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Living {
    pub(crate) tenancy: TenancyId,
    pub(crate) sequence: Option<SequenceId>,
    /// Flagged, or touched.
    pub(crate) waiting: bool,
    /// Where the cursor of its tenancy was before the row was read.
    pub(crate) cursor: SequenceId,
}

/// Something in the source that can still remove a key that has no row: see
/// [`lockstep_mappings::postgres::compare::claims`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Claim {
    pub(crate) tenancy: TenancyId,
    pub(crate) gone: bool,
    pub(crate) sequence: Option<SequenceId>,
    pub(crate) waiting: bool,
    pub(crate) cursor: SequenceId,
}

/// What one look found at one key.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// None when both sides are alike.
    pub(crate) kind: Option<Kind>,
    /// All source rows of the key: more than one where tenancies that share a location have the same key.
    pub(crate) living: Vec<Living>,
    /// Asked for only where nothing is living.
    pub(crate) claims: Vec<Claim>,
    /// Whether the base snapshot of the mapping had ended.
    pub(crate) base_shipped: bool,
}

/// What must stay the same from one look to the next for a difference to be real: who has, or had, the key, and under
/// which number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    living: BTreeSet<(TenancyId, Option<SequenceId>)>,
    claims: BTreeSet<(TenancyId, Option<SequenceId>)>,
}

/// What follows from a look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Judgement {
    /// Both sides are alike.
    Settled,
    /// It may still arrive.
    InFlight(Why),
    /// It should have arrived: look once more.
    Owed(Version),
    /// It should have gone with its tenancy: look until the time is up, then it is real.
    Orphan,
    /// The sides differ, and not because of timing.
    Real,
}

/// Judges a look; `before` is the judgement about the look before it at the same key.
pub(crate) fn judge(look: &Look, before: Option<&Judgement>) -> Judgement {
    if look.kind.is_none() {
        return Judgement::Settled;
    }
    let on_its_way = look
        .living
        .iter()
        .find_map(|living| why_living(living, look.base_shipped))
        .or_else(|| look.claims.iter().find_map(why_claimed));
    if let Some(why) = on_its_way {
        return Judgement::InFlight(why);
    }
    if look.living.is_empty() && look.claims.iter().any(|claim| claim.gone) {
        return Judgement::Orphan;
    }
    let version = Version {
        living: look.living.iter().map(|living| (living.tenancy, living.sequence)).collect(),
        claims: look.claims.iter().map(|claim| (claim.tenancy, claim.sequence)).collect(),
    };
    match before {
        Some(Judgement::Owed(same)) if *same == version => Judgement::Real,
        _ => Judgement::Owed(version),
    }
}

/// Why a source row may not have arrived yet.
pub(crate) fn why_living(living: &Living, base_shipped: bool) -> Option<Why> {
    match living.sequence {
        _ if living.waiting => Some(Why::Unstamped),
        Some(sequence) => (sequence > living.cursor).then_some(Why::AboveCursor),
        None => (!base_shipped).then_some(Why::BaseSnapshot),
    }
}

/// A tombstone that was never stamped and does not wait for it was there before capture, as was the deletion: nothing is
/// owed for it. No tombstone of a tenancy that is gone ships.
fn why_claimed(claim: &Claim) -> Option<Why> {
    match claim.sequence {
        _ if claim.gone => claim.waiting.then_some(Why::TenantGone),
        _ if claim.waiting => Some(Why::Unstamped),
        Some(sequence) => (sequence > claim.cursor).then_some(Why::AboveCursor),
        None => None,
    }
}

#[cfg(test)]
mod tests;
