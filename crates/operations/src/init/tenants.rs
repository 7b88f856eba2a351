//! Who the tenants are, at a database that has no `"Tenancy"` of the platform.

use std::collections::BTreeMap;

use lockstep_mappings::SourceTable;
use lockstep_mappings::postgres::{tenancies_kept_from, tenancies_taken_out, tenancy_table};
use lockstep_schema::attach::{ApplicationTable, TenantsTable, tenants_tables};
use serde::Serialize;
use tokio_postgres::Client;

use crate::error::OperationError;

/// Names that a table of tenants usually has, in lower case and singular.
const USUAL: [&str; 9] =
    ["tenant", "account", "organization", "organisation", "workspace", "customer", "company", "client", "tenancy"];
/// What to do about a key of another type.
const GIVE_A_KEY: &str = "give it a column of type uuid that is UNIQUE, NOT NULL and DEFAULT gen_random_uuid(), and one that holds it to \
                          each table that is to be shipped";
/// So many are told of where none is chosen.
const MAX_TOLD: usize = 5;

/// Who the tenants are.
pub(super) enum Tenants {
    /// The rows of the platform's table of tenancies.
    OfPlatform,
    /// The rows of another table, from which a table of tenancies is to be kept.
    Of {
        /// That table.
        tenants: TenantsTable,
        /// Tables with usual names that fewer refer to.
        others: Vec<String>,
        /// Whether the table of tenancies is there already.
        is_there: bool,
    },
    /// The table that was named, while the table of tenancies is kept from another.
    KeptFromAnother {
        /// Which it is kept from.
        kept: String,
        /// What to do.
        remedy: String,
    },
    /// Nobody knows.
    Unknown {
        /// Why.
        problem: String,
        /// What to do.
        remedy: String,
        /// The table that it would be, but for that.
        would_be: Option<TenantsTable>,
    },
}

/// The table that tenancies are kept from.
#[derive(Clone, Serialize, Debug)]
pub struct TenantsReport {
    /// With its schema.
    pub table: String,
    /// How many others refer to it.
    pub referring_tables: i64,
    /// Others with usual names, which it might be as well.
    pub others: Vec<String>,
}

impl Tenants {
    /// The tenants by the table that was named, or else the platform's, or else a table with a usual name that others refer to.
    pub(super) async fn find(client: &Client, named: Option<&str>) -> Result<Self, OperationError> {
        const PLATFORM: &str =
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = to_regclass($1) AND relkind IN ('r', 'p')),
  to_regclass($1) IS NOT NULL OR to_regtype($1) IS NOT NULL";
        let name = lockstep_mappings::postgres::table(&tenancy_table());
        let row = client.query_one(PLATFORM, &[&name]).await.map_err(lockstep_schema::SourceError::from)?;
        let (is_platform, is_taken) = (row.get(0), row.get(1));
        let tables = tenants_tables(client).await?;
        if is_platform && named.is_none() {
            let kept = tables.into_iter().find(|tenants| tenants.is_kept);
            return Ok(kept.map_or(Self::OfPlatform, |tenants| Self::Of {
                tenants,
                others: Vec::new(),
                is_there: true,
            }));
        }
        let kept = tables.iter().find(|tenants| tenants.is_kept).map(|tenants| shown(&tenants.table));
        Ok(match choose(tables, named, is_platform)? {
            Self::Of { tenants, is_there: true, .. }
                if kept.as_ref().is_some_and(|kept| *kept != shown(&tenants.table)) =>
            {
                let taken_out = tenancies_taken_out().join("; ");
                Self::KeptFromAnother {
                    kept: kept.unwrap_or_default(),
                    remedy: format!(
                        "leave out --tenants-table, or detach, and take out what tenancy.sql made, first: {taken_out}"
                    ),
                }
            }
            Self::Of { tenants, is_there: false, .. } if is_taken => Self::Unknown {
                problem: format!("something else is called {name}, as the table of tenancies has to be"),
                remedy: "rename it: ALTER TYPE, VIEW, FOREIGN TABLE or SEQUENCE … RENAME TO …".to_owned(),
                would_be: Some(tenants),
            },
            chosen => chosen,
        })
    }

    /// The table that columns of tenants refer to.
    pub(super) fn referred(&self) -> SourceTable {
        match self {
            Self::Of { tenants, .. } => tenants.table.clone(),
            Self::Unknown { would_be: Some(tenants), .. } => tenants.table.clone(),
            Self::OfPlatform | Self::KeptFromAnother { .. } | Self::Unknown { .. } => tenancy_table(),
        }
    }

    /// The column of a table that names its tenant: of the tenants' own table its key, else one that refers to it, else one
    /// that is called as most of those are that do. Returns `None` where a usual name has to tell.
    pub(super) fn column<'a>(&'a self, of: &'a ApplicationTable, usual: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Of { tenants, .. } | Self::Unknown { would_be: Some(tenants), .. } if tenants.table == of.table => {
                Some(&tenants.key)
            }
            _ => of.references.first().map(String::as_str).or(usual),
        }
    }

    /// The statements that make and keep a table of tenancies, where one is needed.
    pub(super) fn statements(&self) -> Option<String> {
        match self {
            Self::Of { tenants, is_there: false, .. } => Some(tenancies_kept_from(&tenants.table, &tenants.key)),
            Self::Of { .. } | Self::OfPlatform | Self::KeptFromAnother { .. } | Self::Unknown { .. } => None,
        }
    }

    pub(super) fn report(&self) -> Option<TenantsReport> {
        match self {
            Self::Of { tenants, others, .. } => Some(TenantsReport {
                table: shown(&tenants.table),
                referring_tables: tenants.referring,
                others: others.clone(),
            }),
            Self::OfPlatform | Self::KeptFromAnother { .. } | Self::Unknown { .. } => None,
        }
    }

    /// What was asked for cannot be: nothing is to be written for it. The problem, and what to do.
    pub(super) fn refusal(&self) -> Option<(String, &str)> {
        let Self::KeptFromAnother { kept, remedy } = self else { return None };
        Some((format!("the table of tenancies is kept from {kept} already"), remedy))
    }

    /// Whether somebody has to name their table first.
    pub(super) fn are_to_be_named(&self) -> bool {
        matches!(self, Self::Unknown { would_be: None, .. })
    }

    /// Why nobody knows, and what to do.
    pub(super) fn problem(&self) -> Option<(&str, &str)> {
        let Self::Unknown { problem, remedy, .. } = self else { return None };
        Some((problem, remedy))
    }
}

/// A table with its schema, for people.
pub(super) fn shown(table: &SourceTable) -> String {
    format!("{}.{}", table.schema, table.name)
}

/// What most columns are called that refer to the tenants; of several, the first by name.
pub(super) fn usual_column(tables: &[ApplicationTable]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in tables.iter().filter_map(|of| of.references.first()) {
        *counts.entry(name).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned())
}

fn choose(tables: Vec<TenantsTable>, named: Option<&str>, is_there: bool) -> Result<Tenants, OperationError> {
    if let Some(name) = named {
        return Ok(Tenants::Of { tenants: the_named(tables, name)?, others: Vec::new(), is_there });
    }
    let is_usual = |tenants: &TenantsTable| tenants.referring > 0 && has_usual_name(&tenants.table.name);
    let (mut usual, others): (Vec<_>, Vec<_>) = tables.into_iter().partition(is_usual);
    if usual.is_empty() {
        return Ok(nobody_knows(&others));
    }
    let others: Vec<_> = usual[1..].iter().map(|tenants| shown(&tenants.table)).collect();
    let tied = usual.iter().filter(|tenants| tenants.referring == usual[0].referring).count();
    if tied > 1 {
        let names: Vec<_> = usual[..tied].iter().map(|tenants| shown(&tenants.table)).collect();
        return Ok(Tenants::Unknown {
            problem: format!("the table of tenants may be each of {}: as many others refer to each", names.join(", ")),
            remedy: "name it with --tenants-table".to_owned(),
            would_be: None,
        });
    }
    let tenants = usual.swap_remove(0);
    Ok(match wrong_key(&tenants) {
        Some(wrong) => Tenants::Unknown {
            problem: format!("{} looks like the table of tenants, but {wrong}", shown(&tenants.table)),
            remedy: format!("{GIVE_A_KEY}; or name another table with --tenants-table"),
            would_be: Some(tenants),
        },
        None => Tenants::Of { tenants, others, is_there },
    })
}

/// The table that was named, with its schema or without: then it is that of schema `public`, or the only one.
fn the_named(tables: Vec<TenantsTable>, name: &str) -> Result<TenantsTable, OperationError> {
    let is_meant = |tenants: &TenantsTable| tenants.table.name == name || shown(&tenants.table) == name;
    let (mut meant, others): (Vec<_>, Vec<_>) = tables.into_iter().partition(is_meant);
    meant.sort_by_key(|tenants| tenants.table.schema != "public");
    let why = match meant.as_slice() {
        [] => format!("there is no ordinary table of that name with a key of one column; {}", candidates(&others)),
        [first, _, ..] if first.table.schema != "public" => {
            let names: Vec<_> = meant.iter().map(|tenants| shown(&tenants.table)).collect();
            format!("name it with its schema: {}", names.join(", "))
        }
        [tenants, ..] => match wrong_key(tenants) {
            Some(wrong) => format!("{wrong}; {GIVE_A_KEY}"),
            None => return Ok(meant.swap_remove(0)),
        },
    };
    Err(OperationError::NoTenantsTable { name: name.to_owned(), why })
}

fn nobody_knows(tables: &[TenantsTable]) -> Tenants {
    Tenants::Unknown {
        problem: "there is no table of tenancies".to_owned(),
        remedy: format!("name the table whose rows are the tenants with --tenants-table; {}", candidates(tables)),
        would_be: None,
    }
}

/// Tables whose rows may be the tenants, some of them.
fn candidates(tables: &[TenantsTable]) -> String {
    // They come in the order of how many tables refer to them.
    let is_any_referred = tables.iter().any(|tenants| wrong_key(tenants).is_none() && tenants.referring > 0);
    let can_be = |tenants: &&TenantsTable| wrong_key(tenants).is_none() && (tenants.referring > 0 || !is_any_referred);
    let told: Vec<_> = tables.iter().filter(can_be).take(MAX_TOLD).map(|tenants| shown(&tenants.table)).collect();
    if told.is_empty() {
        return "no table has a unique column of type uuid, which the id of a tenant has to be".to_owned();
    }
    format!("it may be {}", told.join(", "))
}

/// Why its key cannot be the id of a tenancy, where it cannot.
fn wrong_key(tenants: &TenantsTable) -> Option<String> {
    let TenantsTable { key, key_type, .. } = tenants;
    (key_type != "uuid").then(|| format!("its key {key} is of type {key_type}, and Lockstep knows a tenant by a uuid"))
}

fn has_usual_name(table: &str) -> bool {
    let name = table.to_lowercase();
    let singular = name.strip_suffix("ies").map(|stem| format!("{stem}y"));
    let singular = singular.or_else(|| name.strip_suffix('s').map(str::to_owned)).unwrap_or(name);
    USUAL.contains(&singular.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, key_type: &str, referring: i64) -> TenantsTable {
        let (schema, name) = name.split_once('.').unwrap_or(("app", name));
        let table = SourceTable { schema: schema.to_owned(), name: name.to_owned() };
        TenantsTable { table, key: "id".to_owned(), key_type: key_type.to_owned(), is_kept: false, referring }
    }

    fn chosen(tables: &[TenantsTable], named: Option<&str>) -> (String, Vec<String>) {
        match choose(tables.to_vec(), named, false) {
            Ok(Tenants::Of { tenants, others, .. }) => (shown(&tenants.table), others),
            Ok(unknown) => unknown.problem().map(|(problem, remedy)| (format!("{problem}; {remedy}"), vec![])).unwrap(),
            Err(error) => (error.to_string(), vec![]),
        }
    }

    #[test]
    fn tenants_are_the_table_of_a_usual_name_that_most_others_refer_to() {
        let tables = [table("users", "uuid", 9), table("Companies", "uuid", 4), table("account", "uuid", 2)];
        assert_eq!(chosen(&tables, None), ("app.Companies".to_owned(), vec!["app.account".to_owned()]));
        assert_eq!(chosen(&tables, Some("users")).0, "app.users");
        assert_eq!(chosen(&tables, Some("app.account")).0, "app.account");
    }

    #[test]
    fn who_cannot_choose_is_told_what_there_is() {
        let said = |tables: &[TenantsTable], named: Option<&str>, parts: &[&str]| {
            let said = chosen(tables, named).0;
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        };
        let users = table("users", "uuid", 9);
        said(&[users.clone(), table("account", "uuid", 0)], None, &["--tenants-table; it may be app.users"]);
        assert!(!chosen(&[users.clone(), table("account", "uuid", 0)], None).0.contains("app.account"));
        said(&[table("visit", "uuid", 0), table("note", "uuid", 0)], None, &["it may be app.visit, app.note"]);
        said(&[table("users", "text", 9)], None, &["no table has a unique column of type uuid"]);
        said(
            std::slice::from_ref(&users),
            Some("nobody"),
            &["LS-0043: \"nobody\"", "no ordinary table of that name", "it may be app.users"],
        );
        let tied =
            [users, table("account", "uuid", 2), table("public.tenant", "bigint", 2), table("client", "uuid", 1)];
        said(&tied, None, &["may be each of app.account, public.tenant:", "--tenants-table"]);
        let schemas = [table("a.account", "uuid", 3), table("b.account", "uuid", 2)];
        said(&schemas, Some("account"), &["name it with its schema: a.account, b.account"]);
        said(&[schemas[0].clone(), table("public.account", "uuid", 0)], Some("account"), &["public.account"]);
    }

    #[test]
    fn a_key_of_another_type_is_said_with_what_to_do() {
        let tables = [table("account", "bigint", 9), table("tenant", "uuid", 2)];
        for (named, head) in [(None, "app.account looks like the table of tenants"), (Some("account"), "LS-0043")] {
            let said = chosen(&tables, named).0;
            assert!(said.starts_with(head) && said.contains("its key id is of type bigint"), "{said}");
            assert!(said.contains("UNIQUE, NOT NULL and DEFAULT gen_random_uuid()"), "{said}");
        }
        assert_eq!(chosen(&tables, Some("tenant")).0, "app.tenant");
    }
}
