//! Few numbers about many rows: what both sides come to by groups, and which groups are unlike.
//!
//! Postgres hashes and adds up by itself, in a snapshot of the source and in a tenancy's own database, which may be far away: it has a
//! hash that takes it less time than sending the row would. ClickHouse has no such hash and sends its rows, at the same time,
//! which its client hashes (`cargo xtask bench verify` has the figures).

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_core::Location;
use lockstep_destinations::Destination;
use lockstep_destinations::compare::{Compare, Group, GroupTotals, Totals};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::Measure;
use lockstep_mappings::codec::CodecError;
use lockstep_mappings::postgres::compare::{self, Grouping, Part, Scope};
use lockstep_mappings::row_hash::HashSeed;
use lockstep_schema::SourceError;
use tokio_postgres::Client;

use crate::error::VerifyError;
use crate::look::Sides;
use crate::progress::Progress;
use crate::whose::Whose;

/// Adding up a range takes less.
const STATEMENT: Duration = Duration::from_mins(15);

/// What both sides come to.
#[derive(Default, Debug)]
pub(crate) struct BothTotals {
    pub(crate) source: GroupTotals,
    pub(crate) destination: GroupTotals,
}

/// A group that is not the same on both sides, and how many rows the side with more of them has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unlike {
    pub(crate) group: Group,
    pub(crate) source: Totals,
    pub(crate) destination: Totals,
}

impl Unlike {
    /// Whether Postgres can hold the texts of the place: it holds no NUL.
    pub(crate) fn is_possible(&self) -> bool {
        let Location { project_id, branch_id } = &self.group.location;
        !project_id.contains('\0') && !branch_id.contains('\0')
    }

    pub(crate) fn rows(&self) -> u64 {
        self.source.rows.max(self.destination.rows)
    }
}

impl BothTotals {
    /// Rows of all groups: of the source, of the destination.
    pub(crate) fn rows(&self) -> (u64, u64) {
        let sum = |totals: &GroupTotals| totals.values().map(|totals| totals.rows).sum();
        (sum(&self.source), sum(&self.destination))
    }

    /// Rows of the groups that are alike, and the other groups, in their order.
    pub(crate) fn compare(&self) -> (u64, Vec<Unlike>) {
        let mut groups: BTreeMap<&Group, (Totals, Totals)> = BTreeMap::new();
        for (group, totals) in &self.source {
            groups.entry(group).or_default().0 = *totals;
        }
        for (group, totals) in &self.destination {
            groups.entry(group).or_default().1 = *totals;
        }
        let (mut alike, mut unlike) = (0, Vec::new());
        for (group, (source, destination)) in groups {
            if source == destination {
                alike += source.rows;
            } else {
                unlike.push(Unlike { group: group.clone(), source, destination });
            }
        }
        (alike, unlike)
    }
}

/// Content, by a seed that nobody knows.
pub(crate) fn of_content() -> Measure {
    Measure::Content(HashSeed(rand::random()))
}

/// Adds up both sides at the same time. `sides.source` is in a snapshot, which is older than what the destination is asked for.
pub(crate) async fn both<D: Destination + Compare>(
    sides: &Sides<'_, D>,
    mapping: &Mapping,
    scope: Scope<'_>,
    measure: Measure,
    grouping: Grouping,
    progress: &Progress,
) -> Result<BothTotals, VerifyError> {
    let source = async {
        match (sides.whose, measure) {
            (Whose::Everybodys, Measure::Versions { above, through }) => {
                versions(sides.source, mapping, scope, [above.get(), through.get()]).await
            }
            (Whose::Everybodys, Measure::Content(seed)) => {
                content(sides.source, &compare::content(mapping, scope, Part::Without(&[]), seed, grouping)).await
            }
            (Whose::Own(owner), _) => {
                let sql = match measure {
                    Measure::Versions { .. } => compare::own_count(mapping, owner),
                    Measure::Content(seed) => {
                        compare::own_totals(mapping, owner, scope, Part::Without(&[]), seed, grouping)
                    }
                };
                own(sides.source, &sql).await
            }
        }
    };
    let destination = async { Ok(sides.destination.totals(mapping, scope, measure, grouping).await?) };
    let (source, destination) = tokio::try_join!(source, destination)?;
    let both = BothTotals { source, destination };
    let (source_rows, destination_rows) = both.rows();
    progress.rows(source_rows, destination_rows);
    Ok(both)
}

async fn versions(
    source: &Client,
    mapping: &Mapping,
    scope: Scope<'_>,
    [above, through]: [i64; 2],
) -> Result<GroupTotals, VerifyError> {
    let mut found = GroupTotals::new();
    let group = |row: &tokio_postgres::Row| {
        let location = Location { project_id: row.get(0), branch_id: row.get(1) };
        Group { location, bucket: 0 }
    };
    for row in source.query(&compare::counts(mapping, scope), &[]).await? {
        found.entry(group(&row)).or_default().rows = u64::try_from(row.get::<_, i64>(2)).unwrap_or(0);
    }
    for row in source.query(&compare::numbers(mapping, scope), &[&above, &through]).await? {
        found.entry(group(&row)).or_default().sum = sum(row.get(2))?;
    }
    Ok(found)
}

async fn content(source: &Client, sql: &str) -> Result<GroupTotals, VerifyError> {
    let mut found = GroupTotals::new();
    let rows = tokio::time::timeout(STATEMENT, source.query(sql, &[])).await;
    for row in rows.map_err(|_| SourceError::Timeout(STATEMENT))?? {
        let location = Location { project_id: row.get(0), branch_id: row.get(1) };
        let bucket = u8::try_from(row.get::<_, i32>(2)).unwrap_or(0);
        let rows = u64::try_from(row.get::<_, i64>(3)).unwrap_or(0);
        found.insert(Group { location, bucket }, Totals { rows, sum: sum(row.get(4))? });
    }
    Ok(found)
}

async fn own(source: &Client, sql: &str) -> Result<GroupTotals, VerifyError> {
    let mut found = GroupTotals::new();
    let location = Location { project_id: String::new(), branch_id: String::new() };
    for row in source.query(sql, &[]).await? {
        let bucket = u8::try_from(row.get::<_, i32>(0)).unwrap_or(0);
        let rows = u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
        found.insert(Group { location: location.clone(), bucket }, Totals { rows, sum: sum(row.get(2))? });
    }
    Ok(found)
}

fn sum(text: &str) -> Result<i128, VerifyError> {
    text.parse().map_err(|_| CodecError::Stream("a sum is no number").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(project: &str) -> Group {
        Group { location: Location { project_id: project.to_owned(), branch_id: "main".to_owned() }, bucket: 0 }
    }

    #[test]
    fn a_group_that_one_side_lacks_or_that_comes_to_something_else_is_unlike() {
        let totals = |rows, sum| Totals { rows, sum };
        let source = [("a", totals(2, -7)), ("b", totals(1, 5)), ("c", totals(1, 1)), ("e", totals(0, 0))];
        let destination = [("a", totals(2, -7)), ("b", totals(1, 6)), ("d", totals(3, 0))];
        let of = |all: &[(&str, Totals)]| all.iter().map(|(project, totals)| (group(project), *totals)).collect();
        let both = BothTotals { source: of(&source), destination: of(&destination) };
        let (alike, unlike) = both.compare();
        assert_eq!(alike, 2);
        let unlike: Vec<_> = unlike.iter().map(|one| (one.group.location.project_id.as_str(), one.rows())).collect();
        assert_eq!(unlike, [("b", 1), ("c", 1), ("d", 3)]);
    }
}
