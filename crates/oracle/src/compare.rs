//! Both sides, row by row.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::clickhouse_http::Endpoint;
use crate::destination;
use crate::report::{Difference, MappingReport, Report};
use crate::rows::{Rows, key_of};
use crate::source;
use crate::view::{ColumnType, VIEWS, View};

/// Compares all twelve views with the source, which is read in one snapshot. For a system that rests: what is in flight
/// counts as different.
///
/// # Errors
/// When either side cannot be read, or has a key twice. That a view is missing is an error too.
pub async fn compare(client: &Client, clickhouse: &Endpoint) -> anyhow::Result<Report> {
    source::prepare(client).await?;
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let report = compare_in_snapshot(client, clickhouse).await;
    client.batch_execute("ROLLBACK").await?;
    report
}

async fn compare_in_snapshot(client: &Client, clickhouse: &Endpoint) -> anyhow::Result<Report> {
    let mut mappings = Vec::new();
    for view in &VIEWS {
        let expected = source::read(client, view).await?;
        mappings.push(compare_view(view, &expected, clickhouse).await?);
    }
    Ok(Report { mappings })
}

async fn compare_view(view: &View, expected: &Rows, clickhouse: &Endpoint) -> anyhow::Result<MappingReport> {
    let mut report = MappingReport::new(view.name, expected.len());
    report.wrong_columns = destination::wrong_columns(clickhouse, view).await?;
    if report.wrong_columns.iter().any(|wrong| wrong.ends_with("is missing")) {
        report.missing = expected.keys().cloned().collect();
        return Ok(report);
    }
    let mut comparison = Comparison::new(view.columns, view.key, expected);
    destination::read(clickhouse, view, |values| comparison.take(&values)).await?;
    comparison.end(&mut report);
    Ok(report)
}

/// Takes a destination's rows one by one, and knows what was expected.
pub(super) struct Comparison<'a> {
    columns: &'a [(&'static str, ColumnType)],
    /// How many of them are the key.
    key: usize,
    expected: &'a Rows,
    seen: BTreeSet<String>,
    rows: usize,
    unexpected: Vec<String>,
    different: Vec<Difference>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(columns: &'a [(&'static str, ColumnType)], key: usize, expected: &'a Rows) -> Self {
        let (seen, unexpected, different) = (BTreeSet::new(), Vec::new(), Vec::new());
        Self { columns, key, expected, seen, rows: 0, unexpected, different }
    }

    pub(super) fn take(&mut self, values: &[Option<String>]) -> anyhow::Result<()> {
        self.rows += 1;
        let key = key_of(values, self.key)?;
        match self.expected.get(&key) {
            // A key that is shown twice is one row too many, whatever it says.
            Some(wanted) if self.seen.insert(key.clone()) => {
                let columns = self.differing(wanted, values);
                if !columns.is_empty() {
                    self.different.push(Difference { key, columns });
                }
            }
            _ => self.unexpected.push(key),
        }
        Ok(())
    }

    fn differing(&self, wanted: &[Option<String>], found: &[Option<String>]) -> Vec<&'static str> {
        let columns = self.columns.iter().zip(wanted.iter().zip(found));
        columns.filter(|(_, (wanted, found))| wanted != found).map(|((name, _), _)| *name).collect()
    }

    /// There are no more rows.
    pub(super) fn end(self, report: &mut MappingReport) {
        report.destination_rows = self.rows;
        report.missing = self.expected.keys().filter(|key| !self.seen.contains(*key)).cloned().collect();
        (report.unexpected, report.different) = (self.unexpected, self.different);
    }
}
