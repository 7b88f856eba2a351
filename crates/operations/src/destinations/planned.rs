//! What will be created in a tenant's database.

use lockstep_mappings::Mapping;
use serde::Serialize;

/// The schema in which tenants' tables are.
const SCHEMA: &str = "public";

/// A table of a mapping.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct PlannedTable {
    /// The mapping's name.
    pub mapping: String,
    /// The table, with its schema.
    pub table: String,
    /// Its columns, in order.
    pub columns: Vec<PlannedColumn>,
}

/// A column of it.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct PlannedColumn {
    /// Its name.
    pub name: String,
    /// Its type there.
    #[serde(rename = "type")]
    pub column_type: String,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether it is of the primary key.
    pub key: bool,
}

impl PlannedTable {
    pub(super) fn of(mapping: &Mapping) -> Self {
        let columns = mapping.columns.iter().enumerate().map(|(index, column)| PlannedColumn {
            name: column.name.clone(),
            column_type: column.column_type.postgres(),
            nullable: column.column_type.nullable,
            key: mapping.key.contains(&index),
        });
        Self {
            mapping: mapping.name.to_string(),
            table: format!("{SCHEMA}.{}", mapping.name),
            columns: columns.collect(),
        }
    }
}
