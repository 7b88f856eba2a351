//! Both sides, row by row.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::clickhouse_http::Endpoint;
use crate::destination;
use crate::report::{Difference, MappingReport, Report};
use crate::rows::{Rows, key_of};
use crate::source;
use crate::view::{VIEWS, View};

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
    let mut seen = BTreeSet::new();
    destination::read(clickhouse, view, |values| {
        report.destination_rows += 1;
        let key = key_of(&values, view.key)?;
        match expected.get_key_value(&key) {
            // A key that is shown twice is one row too many, whatever it says.
            Some((known, wanted)) if seen.insert(known.as_str()) => {
                let columns = differing(view, wanted, &values);
                if !columns.is_empty() {
                    report.different.push(Difference { key, columns });
                }
            }
            _ => report.unexpected.push(key),
        }
        Ok(())
    })
    .await?;
    report.missing = expected.keys().filter(|key| !seen.contains(key.as_str())).cloned().collect();
    Ok(report)
}

fn differing(view: &View, wanted: &[Option<String>], found: &[Option<String>]) -> Vec<&'static str> {
    let columns = view.columns.iter().zip(wanted.iter().zip(found));
    columns.filter(|(_, (wanted, found))| wanted != found).map(|((name, _), _)| *name).collect()
}
