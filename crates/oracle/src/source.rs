//! What the source says that a view must hold.

use std::pin::pin;

use anyhow::{Context, ensure};
use futures_util::TryStreamExt;
use tokio_postgres::{Client, Row};

use crate::rows::{Rows, insert};
use crate::view::View;

/// The rows that one of the twelve views must show, as the source stands now.
///
/// # Errors
/// When no view has that name, the database refuses, or two rows would have the same key.
pub async fn expected(client: &Client, mapping: &str) -> anyhow::Result<Rows> {
    prepare(client).await?;
    read(client, View::named(mapping).with_context(|| format!("no view is named {mapping}"))?).await
}

/// How many rows [`expected`] would return, without reading them.
///
/// # Errors
/// When no view has that name, or the database refuses.
pub async fn count(client: &Client, mapping: &str) -> anyhow::Result<u64> {
    prepare(client).await?;
    let view = View::named(mapping).with_context(|| format!("no view is named {mapping}"))?;
    let query = format!("SELECT count(*) FROM ({}) r", view.query.trim_end().trim_end_matches(';'));
    let rows: i64 = client.query_one(&query, &[]).await.with_context(|| format!("counting {}", view.name))?.get(0);
    Ok(rows.unsigned_abs())
}

/// The functions that the queries use, for this session. Not possible in a read-only transaction.
pub(super) async fn prepare(client: &Client) -> anyhow::Result<()> {
    client.batch_execute(include_str!("sql/functions.sql")).await.context("preparing the oracle")
}

/// Runs the view's query in the transaction that is open, if one is.
pub(super) async fn read(client: &Client, view: &View) -> anyhow::Result<Rows> {
    let mut rows = Rows::new();
    read_each(client, view, view.query, |values| insert(&mut rows, values, view.key)).await?;
    Ok(rows)
}

/// Hands over each row of the view's query, or of one that was made of it.
pub(super) async fn read_each(
    client: &Client,
    view: &View,
    query: &str,
    mut each: impl FnMut(Vec<Option<String>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let statement = client.prepare(query).await.with_context(|| format!("preparing the query of {}", view.name))?;
    let names: Vec<_> = statement.columns().iter().map(tokio_postgres::Column::name).collect();
    let wanted: Vec<_> = view.columns.iter().map(|(name, _)| *name).collect();
    ensure!(names == wanted, "the query of {} and its list of columns differ", view.name);
    let none: [&str; 0] = [];
    let mut stream = pin!(client.query_raw(&statement, none).await?);
    while let Some(row) = stream.try_next().await.with_context(|| format!("reading {}", view.name))? {
        each(texts(&row)?).with_context(|| format!("in the source of {}", view.name))?;
    }
    Ok(())
}

pub(super) fn texts(row: &Row) -> anyhow::Result<Vec<Option<String>>> {
    (0..row.len()).map(|column| Ok(row.try_get(column)?)).collect()
}
