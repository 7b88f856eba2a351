//! What ClickHouse shows in a view.

use anyhow::{Context, ensure};

use crate::clickhouse_http::{self, Endpoint};
use crate::rows::{Rows, insert};
use crate::view::{ColumnType, View};

/// The rows that one of the twelve views shows now.
///
/// # Errors
/// When no view has that name, ClickHouse refuses, or the view shows a key twice.
pub async fn found(endpoint: &Endpoint, mapping: &str) -> anyhow::Result<Rows> {
    let view = View::named(mapping).with_context(|| format!("no view is named {mapping}"))?;
    let mut rows = Rows::new();
    read(endpoint, view, |values| insert(&mut rows, values, view.key)).await?;
    Ok(rows)
}

/// Hands over each row of the view, as it comes.
pub(super) async fn read(
    endpoint: &Endpoint,
    view: &View,
    mut each: impl FnMut(Vec<Option<String>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    clickhouse_http::lines(endpoint, &query(&endpoint.view_database, view), |line| {
        let values: Vec<Option<String>> = serde_json::from_slice(line).context("a line of ClickHouse is no row")?;
        ensure!(values.len() == view.columns.len(), "a row of ClickHouse has another number of columns");
        each(values)
    })
    .await
    .with_context(|| format!("reading the view {}", view.name))
}

fn query(database: &str, view: &View) -> String {
    let columns = view.columns.iter().map(|(name, kind)| {
        // The text of a DateTime64 would not show what lies beyond the limits of its formatting.
        if kind.clickhouse.contains("DateTime64") {
            format!("toString(toUnixTimestamp64Milli(`{name}`))")
        } else {
            format!("toString(`{name}`)")
        }
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    format!("SELECT {columns} FROM `{database}`.`{}` FORMAT JSONCompactEachRow", view.name)
}

/// What is wrong with the view's columns, in words: missing ones, other types, ones that should not be there.
pub(super) async fn wrong_columns(endpoint: &Endpoint, view: &View) -> anyhow::Result<Vec<String>> {
    let query = format!("DESCRIBE TABLE `{}`.`{}` FORMAT JSONCompactEachRow", endpoint.view_database, view.name);
    let mut columns = Vec::new();
    clickhouse_http::lines(endpoint, &query, |line| {
        let described: Vec<serde_json::Value> = serde_json::from_slice(line)?;
        let text = |place: usize| described.get(place).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        columns.push((text(0), text(1)));
        Ok(())
    })
    .await
    .with_context(|| format!("describing the view {}", view.name))?;
    Ok(differences(view.columns, &columns))
}

fn differences(wanted: &[(&str, ColumnType)], present: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, kind) in wanted.iter().map(|(name, kind)| (*name, kind.clickhouse)) {
        match present.iter().find(|column| column.0 == name) {
            None => wrong.push(format!("{name} is missing")),
            Some((_, other)) if other != kind => wrong.push(format!("{name} is {other}, not {kind}")),
            Some(_) => {}
        }
    }
    let unknown = present.iter().filter(|column| wanted.iter().all(|(name, _)| *name != column.0));
    wrong.extend(unknown.map(|(name, _)| format!("{name} should not be there")));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read_as_milliseconds_and_all_else_as_text() {
        let query = query("views", View::named("project_permissions").unwrap());
        assert_eq!(
            query,
            "SELECT toString(`project_id`), toString(`branch_id`), toString(`user_id`), toString(`permission_id`), \
             toString(toUnixTimestamp64Milli(`created_at`)) FROM `views`.`project_permissions` FORMAT JSONCompactEachRow"
        );
    }

    #[test]
    fn every_way_in_which_columns_differ_is_named() {
        let of = |clickhouse| ColumnType { clickhouse, postgres: "text", is_nullable: false };
        let wanted = [("id", of("UUID")), ("name", of("String"))];
        let present = [("id".to_owned(), "String".to_owned()), ("sync_sequence_id".to_owned(), "Int64".to_owned())];
        let wrong = differences(&wanted, &present);
        assert_eq!(wrong, ["id is String, not UUID", "name is missing", "sync_sequence_id should not be there"]);
    }
}
