//! Tables that take each other's place. Statements come from `lockstep_mappings::clickhouse`.

use std::collections::BTreeMap;

use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::{self as sql, Comments, literal};

use super::ClickHouse;
use crate::error::DestinationError;
use crate::swap::Swap;

/// Which of the two tables of a mapping are there, each with whether its place was taken.
struct Places {
    own: Option<bool>,
    beside: Option<bool>,
}

impl Swap for ClickHouse {
    async fn is_in_place(&self, mapping: &Mapping) -> Result<bool, DestinationError> {
        Ok(places(self, mapping).await?.beside == Some(true))
    }

    async fn take_place(&self, mapping: &Mapping) -> Result<(), DestinationError> {
        let databases = self.databases();
        let comments = comments(self, mapping.name.as_str()).await?;
        match places(self, mapping).await? {
            Places { beside: None | Some(true), .. } => {}
            Places { own: None, .. } => self.execute(&sql::take_place(mapping, databases)).await?,
            Places { .. } => {
                let before = columns(self, mapping.name.as_str()).await?;
                if let Some(bridge) = sql::bridge_view(mapping, databases, &before, &comments) {
                    self.execute(&bridge).await?;
                }
                self.execute(&sql::forbid_inserts(mapping, databases)).await?;
                self.execute(&sql::exchange(mapping, databases)).await?;
            }
        }
        self.execute(&sql::view(mapping, databases, &comments)).await
    }

    async fn retire_replaced(&self, mapping: &Mapping, keep: bool) -> Result<(), DestinationError> {
        if places(self, mapping).await?.beside != Some(true) {
            return Ok(());
        }
        let databases = self.databases();
        if keep {
            return self.execute(&sql::keep_replaced(mapping, databases)).await;
        }
        self.execute_all(&sql::drop_table(&sql::table_name(&mapping.beside()), databases)).await
    }
}

impl ClickHouse {
    /// Whether rows can still be written into the table beside a mapping's under its name.
    pub(super) async fn is_beside(&self, mapping: &Mapping) -> Result<bool, DestinationError> {
        Ok(places(self, mapping).await?.beside == Some(false))
    }
}

async fn places(clickhouse: &ClickHouse, mapping: &Mapping) -> Result<Places, DestinationError> {
    let rows: Vec<(String, u8)> = clickhouse.fetch_rows(&sql::places_taken(mapping, clickhouse.databases())).await?;
    let beside = sql::table_name(&mapping.beside());
    let taken = |is_beside: bool| {
        let found = rows.iter().find(|(name, _)| (*name == beside) == is_beside);
        found.map(|(_, taken)| *taken == 1)
    };
    Ok(Places { own: taken(false), beside: taken(true) })
}

/// Name and type of each column of a raw table.
async fn columns(clickhouse: &ClickHouse, table: &str) -> Result<Vec<(String, String)>, DestinationError> {
    let mut shapes = clickhouse.table_shapes(&[table]).await?;
    let columns = shapes.remove(table).map(|shape| shape.columns).unwrap_or_default();
    Ok(columns.into_iter().map(|(name, column_type, _)| (name, column_type)).collect())
}

/// What people have written about a view and its columns.
pub(super) async fn comments(clickhouse: &ClickHouse, view: &str) -> Result<Comments, DestinationError> {
    let (database, name) = (literal(&clickhouse.databases().views), literal(view));
    let of_columns = format!(
        "SELECT name, comment FROM system.columns WHERE database = {database} AND table = {name} AND comment != ''"
    );
    let of_view = format!("SELECT comment FROM system.tables WHERE database = {database} AND name = {name}");
    let columns: Vec<(String, String)> = clickhouse.fetch_rows(&of_columns).await?;
    let view: Vec<(String,)> = clickhouse.fetch_rows(&of_view).await?;
    let view = view.into_iter().next().map(|(comment,)| comment).unwrap_or_default();
    Ok(Comments { view, columns: columns.into_iter().collect::<BTreeMap<_, _>>() })
}
