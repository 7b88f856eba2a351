//! A tenant's own Postgres: what its tables must hold, from the source tables alone, and what they hold.
//!
//! The rows are those of the views, of one tenancy, while it exists, without the columns that say whose they are. They are
//! compared as texts: `jsonb` as Postgres prints it on both sides, times as milliseconds, so that a time which is infinite, or
//! finer than a millisecond, shows.

mod catalog;

use std::pin::pin;

use anyhow::{Context, ensure};
use futures_util::TryStreamExt;
use tokio_postgres::Client;

use crate::compare::Comparison;
use crate::report::{MappingReport, Report};
use crate::rows::{Rows, insert};
use crate::source::{self, read_each, texts};
use crate::view::{ColumnType, LOCATION, VIEWS, View};

/// How every query of a view names the tenancies.
const TENANCIES: &str = r#""Tenancy" AS ten"#;

impl View {
    /// The columns that a tenant's own table has.
    fn own_columns(&self) -> &'static [(&'static str, ColumnType)] {
        &self.columns[LOCATION..]
    }

    /// How many of them are the key.
    fn own_key(&self) -> usize {
        self.key - LOCATION
    }

    /// The same query with one tenancy in the place of all.
    fn query_of(&self, tenancy: &str) -> String {
        let one = format!(r#"(SELECT * FROM "Tenancy" WHERE "id" = '{tenancy}'::uuid) AS ten"#);
        self.query.replace(TENANCIES, &one)
    }
}

/// The rows that the table of one of the twelve mappings must hold in a database of this tenancy, as the source stands now.
///
/// # Errors
/// When no mapping has that name, the source refuses, or two rows would have the same key.
pub async fn expected_of(source: &Client, tenancy: &str, mapping: &str) -> anyhow::Result<Rows> {
    source::prepare(source).await?;
    read_source(source, tenancy, View::named(mapping).with_context(|| format!("no mapping is named {mapping}"))?).await
}

/// Compares a database of one tenancy with the source, which is read in one snapshot. `mappings` are those that go there; no
/// table of another one may be there. For a system that rests.
///
/// # Errors
/// When either side cannot be read. A table that is missing or of another shape is a difference.
pub async fn compare_tenant(source: &Client, tenancy: &str, own: &Client, mappings: &[&str]) -> anyhow::Result<Report> {
    for name in mappings {
        ensure!(View::named(name).is_some(), "no mapping is named {name}");
    }
    source::prepare(source).await?;
    source.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let report = compare_in_snapshot(source, tenancy, own, mappings).await;
    source.batch_execute("ROLLBACK").await?;
    report
}

async fn compare_in_snapshot(
    source: &Client,
    tenancy: &str,
    own: &Client,
    mappings: &[&str],
) -> anyhow::Result<Report> {
    let mut reports = Vec::new();
    for view in &VIEWS {
        if mappings.contains(&view.name) {
            let expected = read_source(source, tenancy, view).await?;
            reports.push(compare_table(view, &expected, own).await?);
        } else if catalog::is_there(own, view).await? {
            let mut report = MappingReport::new(view.name, 0);
            report.wrong_table.push("should not be there".to_owned());
            reports.push(report);
        }
    }
    Ok(Report { mappings: reports })
}

async fn compare_table(view: &View, expected: &Rows, own: &Client) -> anyhow::Result<MappingReport> {
    let mut report = MappingReport::new(view.name, expected.len());
    let comparison = Comparison::new(view.own_columns(), view.own_key(), expected);
    if !catalog::is_there(own, view).await? {
        report.wrong_table.push("is not there".to_owned());
        comparison.end(&mut report);
        return Ok(report);
    }
    report.wrong_columns = catalog::wrong_columns(own, view).await?;
    report.wrong_table = catalog::wrong_table(own, view).await?;
    let mut comparison = comparison;
    if report.wrong_columns.is_empty() {
        read_own(own, view, |values| comparison.take(&values)).await?;
    }
    comparison.end(&mut report);
    Ok(report)
}

async fn read_source(source: &Client, tenancy: &str, view: &View) -> anyhow::Result<Rows> {
    let mut rows = Rows::new();
    let query = view.query_of(tenancy);
    read_each(source, view, &query, |mut values| {
        values.drain(..LOCATION);
        insert(&mut rows, values, view.own_key())
    })
    .await?;
    Ok(rows)
}

/// Hands over each row of the tenant's table.
async fn read_own(
    own: &Client,
    view: &View,
    mut each: impl FnMut(Vec<Option<String>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let none: [&str; 0] = [];
    let rows = own.query_raw(&own_query(view), none).await.with_context(|| format!("reading the table {}", view.name));
    let mut rows = pin!(rows?);
    while let Some(row) = rows.try_next().await.with_context(|| format!("reading the table {}", view.name))? {
        each(texts(&row)?).with_context(|| format!("in the table {}", view.name))?;
    }
    Ok(())
}

/// Every column in the form that the queries of the source have.
fn own_query(view: &View) -> String {
    let columns = view.own_columns().iter().map(|(name, kind)| match kind.postgres {
        "boolean" => format!(r#"CASE "{name}" WHEN TRUE THEN '1' WHEN FALSE THEN '0' END"#),
        "timestamp without time zone" => format!(
            r#"CASE WHEN isfinite("{name}") THEN trim_scale(extract(epoch FROM "{name}") * 1000)::text ELSE "{name}"::text END"#
        ),
        _ => format!(r#""{name}"::text"#),
    });
    format!(r#"SELECT {} FROM public."{}""#, columns.collect::<Vec<_>>().join(", "), view.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_names_the_tenancies_once_so_that_one_can_take_their_place() {
        for view in &VIEWS {
            assert_eq!(view.query.matches(TENANCIES).count(), 1, "{}", view.name);
            assert_eq!(view.query.matches(r#""Tenancy""#).count(), 1, "{}", view.name);
            let one = view.query_of("7");
            assert_eq!(one.matches(r#""Tenancy""#).count(), 1, "{one}");
            assert!(one.contains(r#"WHERE "id" = '7'::uuid) AS ten"#), "{one}");
        }
    }

    #[test]
    fn a_tenants_table_has_neither_project_nor_branch() {
        let view = View::named("notification_preferences").unwrap();
        assert_eq!(view.own_key(), 2);
        assert_eq!(
            own_query(view),
            r#"SELECT "user_id"::text, "notification_category_id"::text, "id"::text, CASE "enabled" WHEN TRUE THEN '1' WHEN FALSE THEN '0' END FROM public."notification_preferences""#
        );
    }
}
