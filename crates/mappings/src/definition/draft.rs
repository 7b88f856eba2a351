//! A definition written from a live table: what `lockstep mapping init` gives people to start from. Pure.

mod names;
mod types;

use std::collections::BTreeSet;
use std::fmt::Write;

use self::names::{column_name, mapping_name, quoted};
use self::types::exported_as;
use crate::mapping::{SourceTable, Tenant};
use crate::postgres::MAX_OF_A_KIND;
use crate::postgres::facts::{ColumnFacts, TableFacts};
use crate::{ColumnRef, Template};

/// What is known of a table.
#[derive(Clone, Copy, Debug)]
pub struct DraftRequest<'a> {
    /// The table.
    pub table: &'a SourceTable,
    /// Its columns.
    pub facts: &'a TableFacts,
    /// Columns that together are unique and not null, the primary key first.
    pub keys: &'a [Vec<String>],
    /// The column that names a row's tenancy, where it was said.
    pub tenant: Option<&'a str>,
    /// The names of mappings that there are already.
    pub taken: &'a BTreeSet<String>,
}

/// A definition, as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// The mapping's name.
    pub name: String,
    /// The definition file.
    pub text: String,
    /// Columns that stand in it as comments only.
    pub left_out: Vec<LeftOut>,
}

/// A column that cannot be exported as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// In the source.
    pub column: String,
    /// Why, and what can be done about it.
    pub reason: String,
}

/// Why there is no definition of a table.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DraftError {
    /// The tenancy of a row is not said by a column with a usual name.
    #[error("its tenants' column is not plain; name a column of type uuid that holds \"Tenancy\".\"id\"{}", candidates(.0))]
    NoTenant(Vec<String>),
    /// The column that would say it is of another type.
    #[error(
        "its tenants' column {column} is of type {type_name}, and Lockstep knows a tenant by a uuid: add a column of type uuid \
         that holds \"Tenancy\".\"id\""
    )]
    OtherType {
        /// In the source.
        column: String,
        /// What it is of.
        type_name: String,
    },
    /// No set of columns can tell rows apart.
    #[error(
        "no primary key, nor any other unique set of columns that cannot be null, consists of at most {MAX_OF_A_KIND} \
         columns of type uuid and as many of the types text, smallint, integer, bigint and date"
    )]
    NoKey,
}

fn candidates(columns: &[String]) -> String {
    if columns.is_empty() { "; there is none".to_owned() } else { format!(": {}", columns.join(", ")) }
}

/// Writes a definition that fits the table as it is.
///
/// # Errors
/// [`DraftError`], when somebody has to decide more than this can know.
pub fn draft(request: &DraftRequest<'_>) -> Result<Draft, DraftError> {
    let tenant = tenant(request)?;
    let key = key(request, &tenant).ok_or(DraftError::NoKey)?;
    let mut columns: Vec<_> = request.facts.columns.iter().collect();
    columns.sort_by_key(|(_, column)| column.number);
    let (mut names, mut left_out, mut body) = (BTreeSet::new(), Vec::new(), String::new());
    let mut key_names = vec![String::new(); key.len()];
    for (source, facts) in columns {
        let place = key.iter().position(|column| column == source);
        if place.is_none() && tenant.columns().contains(&source.as_str()) {
            continue;
        }
        let name = column_name(source, &mut names);
        match exported_as(facts) {
            Ok(exported) => {
                body.push_str(&column_text(&name, source, &exported.column_type.to_string(), exported.when_null));
                if let Some(place) = place {
                    key_names[place] = name;
                }
            }
            Err(reason) => {
                let text = left_out_text(&name, source).replace('\n', "\n# ");
                let _ = write!(body, "\n# {}: {reason}{}", source.escape_debug(), text.trim_end_matches("# "));
                left_out.push(LeftOut { column: source.clone(), reason });
            }
        }
    }
    let name = mapping_name(request.table, request.taken);
    let text = format!("{}{body}", head(&name, request.table, &tenant, &key_names));
    Ok(Draft { name, text, left_out })
}

fn head(name: &str, table: &SourceTable, tenant: &Tenant, key: &[String]) -> String {
    let mut text = format!("name = {}\n", quoted(name));
    if table.schema != "public" {
        let _ = writeln!(text, "schema = {}", quoted(&table.schema));
    }
    let tenant = match tenant {
        Tenant::Column(column) => format!("column = {}", quoted(column)),
        Tenant::ProjectAndBranch { project, branch } => {
            format!("project = {}, branch = {}", quoted(project), quoted(branch))
        }
    };
    let key: Vec<_> = key.iter().map(|name| quoted(name)).collect();
    let _ = writeln!(text, "table = {}\ntenant = {{ {tenant} }}\nkey = [{}]", quoted(&table.name), key.join(", "));
    text
}

fn column_text(name: &str, source: &str, column_type: &str, when_null: Option<&str>) -> String {
    let when_null = when_null.map_or_else(String::new, |value| format!("when_null = {}\n", quoted(value)));
    format!(
        "\n[[columns]]\nname = {}\ntype = {}\ncolumn = {}\n{when_null}",
        quoted(name),
        quoted(column_type),
        quoted(source)
    )
}

/// What exports a column of a type that no definition takes.
fn left_out_text(name: &str, source: &str) -> String {
    let sql = format!("{{{source}}}::text");
    let names_it = |template: Template| template.reads() == [&ColumnRef::Source(source.to_owned())];
    if !Template::parse(&sql).is_ok_and(names_it) {
        return "; no expression can name it\n".to_owned();
    }
    format!("\n[[columns]]\nname = {}\ntype = \"text?\"\nsql = {}\n", quoted(name), quoted(&sql))
}

/// The tenancy's column: the one that was said, or one of a usual name, or project and branch.
fn tenant(request: &DraftRequest<'_>) -> Result<Tenant, DraftError> {
    let columns = &request.facts.columns;
    let is = |name: &str, typnames: &[&str]| {
        columns.get(name).is_some_and(|column| !column.is_array && typnames.contains(&column.typname.as_str()))
    };
    const USUAL: [&str; 4] = ["tenancyId", "tenancy_id", "tenantId", "tenant_id"];
    let named = request.tenant.map_or(USUAL.to_vec(), |said| vec![said]);
    if let Some(column) = named.iter().find(|name| is(name, &["uuid"])) {
        return Ok(Tenant::Column((*column).to_owned()));
    }
    if request.tenant.is_none() {
        let places = [("projectId", "branchId"), ("project_id", "branch_id")];
        let texts = &["text", "varchar"];
        if let Some((project, branch)) = places.into_iter().find(|(one, other)| is(one, texts) && is(other, texts)) {
            return Ok(Tenant::ProjectAndBranch { project: project.to_owned(), branch: branch.to_owned() });
        }
    }
    if let Some((column, facts)) = named.iter().find_map(|name| columns.get_key_value(*name)) {
        return Err(DraftError::OtherType { column: column.clone(), type_name: facts.type_name() });
    }
    Err(DraftError::NoTenant(columns.keys().filter(|name| is(name, &["uuid"])).cloned().collect()))
}

/// The first set of columns that can be a key. What says the tenancy is left out of it, unless it is all that there is.
fn key(request: &DraftRequest<'_>, tenant: &Tenant) -> Option<Vec<String>> {
    let can_be = |column: &ColumnFacts| exported_as(column).is_ok_and(|exported| exported.column_type.can_be_key());
    let fits = |key: &Vec<String>| {
        let facts: Option<Vec<_>> = key.iter().map(|name| request.facts.columns.get(name)).collect();
        facts.is_some_and(|facts| {
            let uuids = facts.iter().filter(|column| column.typname == "uuid").count();
            facts.iter().all(|column| can_be(column)) && uuids.max(facts.len() - uuids) <= MAX_OF_A_KIND
        })
    };
    let within_tenant = |key: &Vec<String>| {
        let rest: Vec<_> = key.iter().filter(|name| !tenant.columns().contains(&name.as_str())).cloned().collect();
        if rest.is_empty() { key.clone() } else { rest }
    };
    request.keys.iter().filter(|key| !key.is_empty()).map(within_tenant).find(fits)
}

#[cfg(test)]
mod tests;
