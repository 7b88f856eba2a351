//! Deciding about one key that differed: has it settled, is it on its way, or is it wrong? Pure.
//!
//! # The argument (VER-1)
//!
//! A *key* is a place (project and branch) and the values of the key columns. A *look* reads, in this order: `C`, the cursors
//! of the destination; `S`, one snapshot of the source; `D`, the rows of the destination. The *claims* on a key are, in `S`,
//! the tenancies that are or were at its place, each with its last change of the key. A difference is *owed* when no claim
//! waits, no change of a claim lies above its tenancy's cursor in `C`, and the fill of the mapping has ended.
//!
//! **What is owed has arrived.** What a place should show of a key is a function of the rows of the tenancies that live
//! there, of what they are joined with, and of who lives there. Every write to any of these leaves a line in the inbox, in
//! its own transaction, that names a tenancy which is or was at the place (CAP-1, CAP-2, CAP-3). Until the line, and the lines
//! that are searched because of it, have become changes of the key, `S` shows it in the inbox or among the expansions, and
//! the claim waits. So let `n` be the highest number of all claims. Every write that `S` sees was committed before the pass
//! that gave out `n`, and whoever moved the cursor of that tenancy to `n` or beyond read a snapshot that saw this pass
//! (SEQ-1), hence what `S` shows. It wrote that, as version `n`, before it moved the cursor (CUR-1). Anything older has a
//! lower version. Or the destination refused the row: then it is missing there for as long as nobody acts, and is told as
//! different, and in quarantine.
//! - A fill writes what it read as version `F`, which was drawn before: all changes below `F` were committed by then, and
//!   whatever was written later has a number above it. So it does not put older content above newer.
//! - A key without any change was there before capture, or never: the end of the fill stands for the cursor. By then its
//!   row was written, or what the source no longer has was removed.
//! - Where another tenancy of the place has the key, both are claims: the change of the one that left it shows the row of
//!   the other. A tenancy that moved has a claim at each place where it was, and its cursor speaks for all of them.
//! - A tenancy that is gone is shipped until its erasure begins, and then erased (ERASE-1); no cursor tells when. So its
//!   claim waits until the erasure is overdue, and its number is not compared with a cursor.
//!
//! **A tenant's own database** holds the rows of one tenancy, and no versions. What it should show of a key is a function of that
//! tenancy's row, of what it is joined with, and of whether the tenancy exists: so its claim is the only one. Its pages are
//! written in the order in which they were read, each with its cursor in one transaction (CUR-1), and it has a cursor only
//! where its fill has ended, whose rows are no older than the number that it ends with. So what is owed has arrived.
//!
//! **One look is not enough.** The source goes on between `S` and `D`, and `D` may hold what was written after `S`, even under
//! a number that `S` knows, because a worker reads the row as it is. So a difference in one look proves nothing.
//!
//! **Two looks are.** Let both looks `1` and `2` find the difference owed, with the same [`Version`]. A write between `S1` and
//! `S2` would by `S2` either wait or have a number that is higher than any before, and change the version: claims tell every
//! change above the cursors of the first look. So nothing was written between them, what `D1` had to hold was exactly what
//! `S1` shows, and it held something else: the difference is real, and [`Judgement::Real`] is never wrong.
//!
//! **Nothing that differs is called equal.** [`Judgement::Settled`] needs all columns of both sides alike, in one look.

use lockstep_core::{SequenceId, TenancyId};
use lockstep_operations::claims::{self, Claim, Pending, Version};
use serde::Serialize;

/// How the two sides differ at a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The source has a row that the destination has not.
    Missing,
    /// The destination has a row that the source has not.
    Unexpected,
    /// Both have it, with different values.
    Different,
    /// The source has it and cannot give it: nothing else is known.
    Unreadable,
}

/// Why a difference may still go away by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The change waits for its number.
    Unnumbered,
    /// The change has its number; the cursor has not reached it.
    AboveCursor,
    /// The fill of the mapping has not ended.
    Filling,
    /// The tenancy is gone, and its rows are still to be erased.
    TenantGone,
    /// The row changed again and again while it was looked at.
    StillChanging,
}

impl From<Pending> for Why {
    fn from(pending: Pending) -> Self {
        match pending {
            Pending::Number => Self::Unnumbered,
            Pending::Change(_) => Self::AboveCursor,
            Pending::Fill => Self::Filling,
            Pending::Erasure => Self::TenantGone,
        }
    }
}

/// What one look found at one key.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// None when both sides are alike.
    pub(crate) kind: Option<Kind>,
    pub(crate) claims: Vec<Claim>,
    /// Whether the fill of the mapping had ended.
    pub(crate) filled: bool,
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
    /// The sides differ, and not because of timing.
    Real,
    /// The source cannot give the row. No look says so: there is none.
    Unreadable,
}

/// Judges a look; `before` is the judgement about the look before it at the same key.
pub(crate) fn judge(look: &Look, before: Option<&Judgement>) -> Judgement {
    if look.kind.is_none() {
        return Judgement::Settled;
    }
    if let Some(pending) = claims::pending(&look.claims, look.filled) {
        return Judgement::InFlight(pending.into());
    }
    let version = claims::version(&look.claims);
    match before {
        Some(Judgement::Owed(same)) if *same == version => Judgement::Real,
        _ => Judgement::Owed(version),
    }
}

impl Look {
    /// Who is or was at the place of the key; of those that are gone nothing may be shipped any more, so they come last.
    pub(crate) fn claimants(&self) -> Vec<TenancyId> {
        let mut claims: Vec<_> = self.claims.iter().collect();
        claims.sort_by_key(|claim| claim.gone);
        claims.into_iter().map(|claim| claim.tenancy).collect()
    }

    /// The first change that has not arrived.
    pub(crate) fn waits_for(&self) -> Option<SequenceId> {
        self.claims.iter().filter_map(Claim::above_cursor).min()
    }
}

#[cfg(test)]
mod tests;
