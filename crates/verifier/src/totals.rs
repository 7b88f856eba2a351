//! Few numbers about many rows: what both sides come to by groups, and which groups are unlike.
//!
//! The source is read in a snapshot and added up here: Postgres would take longer over a hash than over sending the row
//! (`cargo xtask bench verify` has the figures). ClickHouse adds up by itself, at the same time. A database of one tenancy's own
//! may be far away, and so both sides of it add up.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::time::Duration;

use futures_util::TryStreamExt;
use lockstep_core::{Location, TenancyId};
use lockstep_destinations::Destination;
use lockstep_destinations::compare::{Compare, Group, GroupTotals, Totals};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::{HashKey, Measure};
use lockstep_mappings::codec::{CodecError, CopyReader, Row, append_columns};
use lockstep_mappings::postgres::compare::{self, Grouping, Part, Scope};
use lockstep_schema::SourceError;
use siphasher::sip::SipHasher24;
use tokio_postgres::Client;

use crate::error::VerifyError;
use crate::look::Sides;
use crate::progress::Progress;
use crate::whose::Whose;

/// A stream without a row for so long is given up.
const STREAM_IDLE: Duration = Duration::from_mins(15);
/// Progress is told once in so many rows.
const ROWS_PER_STEP: u64 = 8192;

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

/// Content, by a key that nobody knows.
pub(crate) fn of_content() -> Measure {
    Measure::Content(HashKey(rand::random(), rand::random()))
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
            (Whose::Everybodys, Measure::Content(key)) => {
                Hashing::new(mapping, key, progress).all(sides.source, scope, grouping).await
            }
            (Whose::Own(owner), _) => {
                let sql = match measure {
                    Measure::Versions { .. } => compare::own_count(mapping, owner),
                    Measure::Content(_) => compare::own_totals(mapping, owner, scope, Part::Without(&[]), grouping),
                };
                own(sides.source, &sql).await
            }
        }
    };
    let destination = async { Ok(sides.destination.totals(mapping, scope, measure, grouping).await?) };
    let (source, destination) = tokio::try_join!(source, destination)?;
    Ok(BothTotals { source, destination })
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

/// Adds up hashes of rows of the source, as they come.
struct Hashing<'a> {
    mapping: &'a Mapping,
    key: HashKey,
    progress: &'a Progress,
    rows: u64,
    buffer: Vec<u8>,
    /// A tenancy is in one place within a snapshot, and a shorter key than that.
    found: HashMap<(TenancyId, u8), (Location, Totals)>,
}

impl<'a> Hashing<'a> {
    fn new(mapping: &'a Mapping, key: HashKey, progress: &'a Progress) -> Self {
        Self { mapping, key, progress, rows: 0, buffer: Vec::new(), found: HashMap::new() }
    }

    async fn all(mut self, source: &Client, scope: Scope<'_>, grouping: Grouping) -> Result<GroupTotals, VerifyError> {
        let sql = compare::typed(self.mapping, scope, Part::Without(&[]), grouping);
        let late = |_| SourceError::Timeout(STREAM_IDLE);
        let opened = tokio::time::timeout(STREAM_IDLE, source.copy_out(&sql)).await;
        let mut stream = std::pin::pin!(opened.map_err(late)??);
        let mut reader = CopyReader::default();
        while let Some(message) = tokio::time::timeout(STREAM_IDLE, stream.try_next()).await.map_err(late)?? {
            reader.rows(&message, |fields| self.add(&Row::read(fields, self.mapping)?))?;
        }
        if !reader.is_complete() {
            return Err(CodecError::Stream("it is cut").into());
        }
        let mut totals = GroupTotals::new();
        for ((_, bucket), (location, one)) in self.found {
            let all = totals.entry(Group { location, bucket }).or_default();
            *all = Totals { rows: all.rows + one.rows, sum: all.sum + one.sum };
        }
        Ok(totals)
    }

    fn add(&mut self, row: &Row<'_>) -> Result<(), CodecError> {
        self.buffer.clear();
        let hash = match append_columns(self.mapping, row, &mut self.buffer) {
            Ok(()) => hash(self.key, &self.buffer),
            // No destination holds such a row: its group is unlike, and it is found there.
            Err(CodecError::Value { .. }) => 0,
            Err(error) => return Err(error),
        };
        let bucket = u8::try_from(row.head.sequence.get()).unwrap_or(0);
        let (_, totals) = self.found.entry((row.head.tenancy, bucket)).or_insert_with(|| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            (Location { project_id: text(row.head.project_id), branch_id: text(row.head.branch_id) }, Totals::default())
        });
        *totals = Totals { rows: totals.rows + 1, sum: totals.sum + i128::from(hash) };
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_PER_STEP) {
            self.progress.rows(self.rows, 0);
        }
        Ok(())
    }
}

/// `reinterpretAsInt64(sipHash64Keyed(key, bytes))`.
fn hash(key: HashKey, bytes: &[u8]) -> i64 {
    let mut hasher = SipHasher24::new_with_keys(key.0, key.1);
    hasher.write(bytes);
    i64::from_ne_bytes(hasher.finish().to_ne_bytes())
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

    #[test]
    fn the_hash_is_siphash_2_4_as_its_authors_publish_it() {
        let key =
            HashKey(u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7]), u64::from_le_bytes([8, 9, 10, 11, 12, 13, 14, 15]));
        let bytes: Vec<u8> = (0..15).collect();
        assert_eq!(hash(key, &bytes).to_ne_bytes(), 0xa129_ca61_49be_45e5_u64.to_ne_bytes());
    }
}
