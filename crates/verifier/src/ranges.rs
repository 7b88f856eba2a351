//! A mapping in ranges of projects: each is read in a snapshot of its own, so that none holds back the source's vacuum for long, and few
//! numbers are kept at a time.

use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::Projects;
use lockstep_mappings::postgres::{literal, table, tenancy_table};
use tokio_postgres::Client;

use crate::error::VerifyError;

/// Rows of a range, about: some ten seconds.
const ROWS: u64 = 5_000_000;
/// Places of a range, about: each takes about 200 bytes on both sides.
const PLACES: u64 = 50_000;
/// More ranges than this are not made; each has more rows instead.
const MAX_RANGES: u64 = 10_000;

/// Ranges that hold about as many tenancies each, and all projects together.
pub(crate) async fn of_mapping(source: &Client, mapping: &Mapping) -> Result<Vec<Projects>, VerifyError> {
    let about = |name: String| {
        format!("(SELECT GREATEST(reltuples, 0)::bigint FROM pg_class WHERE oid = {}::regclass)", literal(&name))
    };
    let estimates = format!("SELECT {}, {}", about(table(&mapping.source)), about(table(&tenancy_table())));
    let row = source.query_one(&estimates, &[]).await?;
    let (rows, places): (i64, i64) = (row.get(0), row.get(1));
    let parts = parts(u64::try_from(rows).unwrap_or(0), u64::try_from(places).unwrap_or(0));
    if parts == 1 {
        return Ok(vec![Projects::default()]);
    }
    let starts = format!(
        "SELECT min(p.project) FROM (SELECT t.\"projectId\" COLLATE \"C\" AS project, ntile($1) OVER (ORDER BY t.\"projectId\" COLLATE \"C\") AS part FROM {} t) p GROUP BY p.part ORDER BY p.part",
        table(&tenancy_table())
    );
    let parts = i32::try_from(parts).unwrap_or(i32::MAX);
    let starts = source.query(&starts, &[&parts]).await?;
    Ok(between(starts.iter().skip(1).map(|row| row.get(0)).collect()))
}

fn parts(rows: u64, places: u64) -> u64 {
    rows.div_ceil(ROWS).max(places.div_ceil(PLACES)).clamp(1, MAX_RANGES)
}

/// The ranges that these starts cut all projects into. Starts are in order; a project with many tenancies may be there twice.
fn between(mut starts: Vec<String>) -> Vec<Projects> {
    starts.dedup();
    starts.retain(|start| !start.is_empty());
    let firsts = std::iter::once(String::new()).chain(starts.iter().cloned());
    let ends = starts.iter().cloned().map(Some).chain([None]);
    firsts.zip(ends).map(|(first, end)| Projects { first, end }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_each_other_and_leave_nothing_out() {
        let of = |starts: &[&str]| between(starts.iter().map(ToString::to_string).collect());
        let range =
            |first: &str, end: Option<&str>| Projects { first: first.to_owned(), end: end.map(ToOwned::to_owned) };
        assert_eq!(of(&[]), [range("", None)]);
        assert_eq!(of(&["b", "b", "d"]), [range("", Some("b")), range("b", Some("d")), range("d", None)]);
        assert_eq!(of(&["", "b"]), [range("", Some("b")), range("b", None)]);
    }

    #[test]
    fn there_are_as_many_ranges_as_rows_or_places_ask_for() {
        assert_eq!([parts(0, 0), parts(5_000_000, 50_000), parts(5_000_001, 1), parts(1, 1_000_000)], [1, 1, 2, 20]);
        assert_eq!(parts(u64::MAX, 1), MAX_RANGES);
    }
}
