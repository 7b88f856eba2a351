//! What is to be erased, and where.

use std::collections::BTreeMap;

use lockstep_core::{Location, SequenceId, TenancyId};

/// Bytes of a statement that removes rows. A replicated table keeps it in ZooKeeper, which takes 1 MB.
const STATEMENT_BYTES: usize = 768 * 1024;

/// Rows of each tenancy.
pub(crate) type RowsOf = BTreeMap<TenancyId, u64>;

/// Cuts what a statement would list into as few statements as are not too long.
pub(super) fn statements<T>(items: &[T], bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut statements, mut first, mut total) = (Vec::new(), 0, 0);
    for (index, item) in items.iter().enumerate() {
        let more = bytes(item);
        if total + more > STATEMENT_BYTES && index > first {
            statements.push(&items[first..index]);
            (first, total) = (index, 0);
        }
        total += more;
    }
    if first < items.len() {
        statements.push(&items[first..]);
    }
    statements
}

/// Bytes of these texts as a tuple of literals, at the most.
pub(super) fn bytes_of<'a>(texts: impl IntoIterator<Item = &'a String>) -> usize {
    let of = |text: &String| 4 + text.len() + text.bytes().filter(|byte| !byte.is_ascii_alphanumeric()).count();
    texts.into_iter().map(of).sum::<usize>() + 4
}

/// An erasure whose wait is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Due {
    /// In `lockstep.erasure`.
    pub(crate) id: i64,
    pub(crate) tenancy: TenancyId,
    /// It exists in the source, and is not shipped.
    pub(crate) paused: bool,
    /// No row of it has a higher number in the destination.
    pub(crate) up_to: SequenceId,
}

/// A place where such a tenancy is or was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) tenancy: TenancyId,
    pub(crate) location: Location,
    /// A tenancy that stays is or was there too: its rows, and its tombstones, stay.
    pub(crate) is_shared: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cut_by_their_bytes_and_nothing_is_left_out() {
        let half = STATEMENT_BYTES / 2;
        let cut = |sizes: &[usize]| statements(sizes, |size| *size).into_iter().map(<[usize]>::len).collect::<Vec<_>>();
        assert_eq!(cut(&[]), [0_usize; 0]);
        assert_eq!(cut(&[half, half, half]), [2, 1]);
        // Never empty, however large one is.
        assert_eq!(cut(&[STATEMENT_BYTES * 3, 1, STATEMENT_BYTES * 3]), [1, 1, 1]);
        let uuids = vec!["00000000-0000-0000-0000-000000000000".to_owned(); 20_000];
        assert!(statements(&uuids, |uuid| bytes_of([uuid])).len() <= 2);
    }
}
