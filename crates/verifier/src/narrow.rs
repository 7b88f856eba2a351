//! From groups that are unlike to the keys that differ: small places are compared row by row, of large ones first the buckets of keys.

use lockstep_core::Location;
use lockstep_destinations::Destination;
use lockstep_destinations::compare::Compare;
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::Measure;
use lockstep_mappings::postgres::compare::{Grouping, Scope};

use crate::error::VerifyError;
use crate::first_pass::{self, FirstPass};
use crate::look::Sides;
use crate::progress::Progress;
use crate::service::MAX_LOCATIONS;
use crate::storage;
use crate::totals::{self, BothTotals, Unlike};

/// Rows that are compared one by one at a time: a snapshot of about a second.
const ROWS_AT_A_TIME: u64 = 50_000;

/// Compares one mapping where it is unlike.
pub(crate) struct Narrowing<'a, D> {
    pub(crate) sides: &'a Sides<'a, D>,
    pub(crate) mapping: &'a Mapping,
    pub(crate) measure: Measure,
    /// Differing keys that are kept.
    pub(crate) limit: usize,
    pub(crate) progress: &'a Progress,
}

/// Part of what is unlike, small enough to be compared row by row, or one place with more.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Places(Vec<Location>),
    Large(Location),
}

/// Cuts what is unlike into pieces.
fn pieces(unlike: &[Unlike]) -> Vec<Piece> {
    let (mut pieces, mut places, mut rows) = (Vec::new(), Vec::new(), 0);
    for one in unlike {
        if one.rows() > ROWS_AT_A_TIME {
            pieces.push(Piece::Large(one.group.location.clone()));
            continue;
        }
        if rows + one.rows() > ROWS_AT_A_TIME || places.len() == MAX_LOCATIONS {
            pieces.push(Piece::Places(std::mem::take(&mut places)));
            rows = 0;
        }
        rows += one.rows();
        places.push(one.group.location.clone());
    }
    if !places.is_empty() {
        pieces.push(Piece::Places(places));
    }
    pieces
}

/// Cuts the buckets of one place into lists.
fn bucket_lists(unlike: &[Unlike]) -> Vec<Vec<u8>> {
    let (mut lists, mut list, mut rows) = (Vec::new(), Vec::new(), 0);
    for one in unlike {
        if rows + one.rows() > ROWS_AT_A_TIME && !list.is_empty() {
            lists.push(std::mem::take(&mut list));
            rows = 0;
        }
        rows += one.rows();
        list.push(one.group.bucket);
    }
    if !list.is_empty() {
        lists.push(list);
    }
    lists
}

impl<D: Destination + Compare> Narrowing<'_, D> {
    /// Adds to `pass` what is found where the totals are unlike.
    pub(crate) async fn all(&self, unlike: &[Unlike], pass: &mut FirstPass) -> Result<(), VerifyError> {
        let (possible, impossible): (Vec<_>, Vec<_>) = unlike.iter().cloned().partition(Unlike::is_possible);
        pass.impossible += impossible.iter().map(|one| one.destination.rows).sum::<u64>();
        pass.unjudged_anywhere |= !impossible.is_empty();
        for piece in pieces(&possible) {
            match piece {
                Piece::Places(places) => self.rows(Scope::Locations(&places), pass).await?,
                Piece::Large(place) => self.large(&place, pass).await?,
            }
        }
        Ok(())
    }

    async fn large(&self, place: &Location, pass: &mut FirstPass) -> Result<(), VerifyError> {
        let places = std::slice::from_ref(place);
        let measure = match self.measure {
            // Where numbers or counts are unlike, content tells in which bucket.
            Measure::Versions { .. } => totals::of_content(),
            content @ Measure::Content(_) => content,
        };
        storage::begin_snapshot(self.sides.source).await?;
        let totals =
            totals::both(self.sides, self.mapping, Scope::Locations(places), measure, Grouping::Bucket, self.progress);
        let totals = match totals.await {
            Err(error) if error.may_be_of_row() => {
                storage::give_up_look(self.sides.source).await?;
                return self.rows(Scope::Locations(places), pass).await;
            }
            totals => totals?,
        };
        storage::end_snapshot(self.sides.source).await?;
        let (alike, unlike) = BothTotals::compare(&totals);
        pass.equal_rows += alike;
        for buckets in bucket_lists(&unlike) {
            self.rows(Scope::Buckets(place, &buckets), pass).await?;
        }
        Ok(())
    }

    async fn rows(&self, scope: Scope<'_>, pass: &mut FirstPass) -> Result<(), VerifyError> {
        let left = self.limit.saturating_sub(pass.differing.len());
        storage::begin_snapshot(self.sides.source).await?;
        let found = first_pass::compare_all(self.sides, self.mapping, scope, left, self.progress).await?;
        storage::end_snapshot(self.sides.source).await?;
        pass.add_where_unlike(found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lockstep_destinations::compare::{Group, Totals};

    use super::*;

    fn unlike(project: &str, bucket: u8, rows: u64) -> Unlike {
        let location = Location { project_id: project.to_owned(), branch_id: String::new() };
        let totals = |rows| Totals { rows, sum: 1 };
        Unlike { group: Group { location, bucket }, source: totals(rows), destination: totals(rows / 2) }
    }

    #[test]
    fn small_places_are_compared_together_and_a_large_one_by_its_buckets() {
        let place = |project: &str| unlike(project, 0, 0).group.location;
        let all = [unlike("a", 0, 30_000), unlike("b", 0, 50_001), unlike("c", 0, 20_000), unlike("d", 0, 1)];
        assert_eq!(
            pieces(&all),
            [Piece::Large(place("b")), Piece::Places(vec![place("a"), place("c")]), Piece::Places(vec![place("d")])]
        );
        let buckets = [unlike("b", 1, 60_000), unlike("b", 2, 10), unlike("b", 9, 49_990), unlike("b", 255, 1)];
        assert_eq!(bucket_lists(&buckets), [vec![1], vec![2, 9], vec![255]]);
    }
}
