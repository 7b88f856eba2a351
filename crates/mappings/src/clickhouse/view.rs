//! The views that tenants read.

use std::collections::BTreeMap;

use super::settings::{self, IN_VIEW};
use super::{Databases, identifier, literal, on_cluster};
use crate::mapping::{Column, Mapping};

/// What people have written about a view and its columns, which outlives the view.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Comments {
    /// About the view; empty where there is none.
    pub view: String,
    /// About its columns, by their names.
    pub columns: BTreeMap<String, String>,
}

/// A column of a view: its name, its type, and what it is of the raw table.
type ViewColumn = (String, String, String);

/// What the view of a mapping selects: the latest version of each row, without deleted rows and Lockstep's own columns.
/// A column with a second name is there under both.
pub fn view_select(mapping: &Mapping, databases: &Databases) -> String {
    select(mapping, databases, &columns(mapping, |column| Some(identifier(&column.name))))
}

/// Which rows the view of a mapping selects, whatever its columns and settings are.
pub fn view_rows(mapping: &Mapping, databases: &Databases) -> String {
    format!("SELECT 1 {}", rows(mapping, databases))
}

/// The view that tenants read. It runs with its owner's rights, so tenants need none on the raw table.
pub fn view(mapping: &Mapping, databases: &Databases, comments: &Comments) -> String {
    create(mapping, databases, &columns(mapping, |column| Some(identifier(&column.name))), comments)
}

/// A view that is right over the table of before and over the one that takes its place: so readers find no moment at which
/// values of one are read as those of the other. `before` are the columns of the former, with their types. Columns that
/// it lacks are left out; what cannot be of the new type, and an array of another, reads as that type's empty value. `None`: the table of before holds no versions
/// as Lockstep knows them.
pub fn bridge_view(
    mapping: &Mapping,
    databases: &Databases,
    before: &[(String, String)],
    comments: &Comments,
) -> Option<String> {
    let type_before = |name: &str| before.iter().find(|(other, _)| other == name).map(|(_, column_type)| column_type);
    ["project_id", "branch_id", "sync_sequence_id", "sync_is_deleted"]
        .into_iter()
        .try_for_each(|name| type_before(name).map(drop))?;
    let bridged = columns(mapping, |column| {
        let (name, now) = (identifier(&column.name), column.column_type.clickhouse());
        let same = type_before(&column.name)?.replace(' ', "") == now.replace(' ', "");
        Some(match column.column_type.array {
            _ if same => name,
            // There is no such cast to an array.
            Some(_) => format!("defaultValueOfTypeName({})", literal(&now)),
            None => format!("accurateCastOrDefault({name}, {})", literal(&now)),
        })
    });
    Some(create(mapping, databases, &bridged, comments))
}

/// The columns of a view; those of which `value` knows nothing are left out.
fn columns(mapping: &Mapping, value: impl Fn(&Column) -> Option<String>) -> Vec<ViewColumn> {
    let place = ["project_id", "branch_id"].map(|name| (name.to_owned(), "String".to_owned(), identifier(name)));
    let own = mapping.columns.iter().filter_map(|column| {
        let (value, column_type) = (value(column)?, column.column_type.clickhouse());
        let names = [&column.name].into_iter().chain(&column.alias);
        Some(names.map(move |name| (name.clone(), column_type.clone(), value.clone())))
    });
    place.into_iter().chain(own.flatten()).collect()
}

fn select(mapping: &Mapping, databases: &Databases, columns: &[ViewColumn]) -> String {
    let columns: Vec<_> = columns
        .iter()
        .map(|(name, _, value)| match identifier(name) {
            name if name == *value => name,
            name => format!("{value} AS {name}"),
        })
        .collect();
    let settings = settings::clause(IN_VIEW);
    format!("SELECT {}\n{}\nSETTINGS {settings}", columns.join(", "), rows(mapping, databases))
}

fn rows(mapping: &Mapping, databases: &Databases) -> String {
    let (raw, name) = (identifier(&databases.raw), identifier(mapping.name.as_str()));
    format!("FROM {raw}.{name} FINAL\nWHERE sync_is_deleted = 0")
}

fn create(mapping: &Mapping, databases: &Databases, columns: &[ViewColumn], comments: &Comments) -> String {
    let commented = |(name, column_type, _): &ViewColumn| {
        let comment = comments.columns.get(name).map(|comment| format!(" COMMENT {}", literal(comment)));
        format!("  {} {column_type}{}", identifier(name), comment.unwrap_or_default())
    };
    let is_commented = columns.iter().any(|(name, ..)| comments.columns.contains_key(name));
    let list = if is_commented {
        let list: Vec<_> = columns.iter().map(commented).collect();
        format!(" (\n{}\n)", list.join(",\n"))
    } else {
        String::new()
    };
    let comment = match comments.view.as_str() {
        "" => String::new(),
        comment => format!("\nCOMMENT {}", literal(comment)),
    };
    format!(
        "CREATE OR REPLACE VIEW {views}.{name}{cluster}{list} DEFINER = CURRENT_USER SQL SECURITY DEFINER AS\n{select}{comment}",
        views = identifier(&databases.views),
        name = identifier(mapping.name.as_str()),
        cluster = on_cluster(databases),
        select = select(mapping, databases, columns),
    )
}
