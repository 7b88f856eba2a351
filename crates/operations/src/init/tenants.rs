//! Who the tenants are, at a database that has no `"Tenancy"` of the platform.

use std::collections::BTreeMap;

use lockstep_mappings::SourceTable;
use lockstep_mappings::postgres::{tenancies_kept_from, tenancy_table};
use lockstep_schema::attach::{ApplicationTable, TenantsTable, tenants_tables};
use serde::Serialize;
use tokio_postgres::Client;

use crate::error::OperationError;

/// Names that a table of tenants usually has, in lower case and singular.
const USUAL: [&str; 9] =
    ["tenant", "account", "organization", "organisation", "workspace", "customer", "company", "client", "tenancy"];
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
        /// Whether the table of tenancies is there already.
        is_there: bool,
    },
    /// Nobody knows. These may be the tables.
    Unknown(Vec<TenantsTable>),
}

/// The table that tenancies are kept from.
#[derive(Clone, Serialize, Debug)]
pub struct TenantsReport {
    /// With its schema.
    pub table: String,
    /// How many others refer to it.
    pub referring_tables: i64,
}

impl Tenants {
    /// The tenants by the table that was named, or else the platform's, or else a table with a usual name that others refer to.
    pub(super) async fn find(client: &Client, named: Option<&str>) -> Result<Self, OperationError> {
        const PLATFORM: &str = "SELECT to_regclass($1) IS NOT NULL";
        let name = lockstep_mappings::postgres::table(&tenancy_table());
        let is_platform =
            client.query_one(PLATFORM, &[&name]).await.map_err(lockstep_schema::SourceError::from)?.get(0);
        let tables = tenants_tables(client).await?;
        if is_platform && named.is_none() {
            let kept = tables.into_iter().find(|tenants| tenants.is_kept);
            return Ok(kept.map_or(Self::OfPlatform, |tenants| Self::Of { tenants, is_there: true }));
        }
        choose(tables, named, is_platform)
    }

    /// The table that columns of tenants refer to.
    pub(super) fn referred(&self) -> SourceTable {
        match self {
            Self::Of { tenants, .. } => tenants.table.clone(),
            Self::OfPlatform | Self::Unknown(_) => tenancy_table(),
        }
    }

    /// The column of a table that names its tenant: of the tenants' own table its key, else one that refers to it, else one
    /// that is called as most of those are that do. Returns `None` where a usual name has to tell.
    pub(super) fn column<'a>(&'a self, of: &'a ApplicationTable, usual: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Of { tenants, .. } if tenants.table == of.table => Some(&tenants.key),
            _ => of.references.first().map(String::as_str).or(usual),
        }
    }

    /// The statements that make and keep a table of tenancies, where one is needed.
    pub(super) fn statements(&self) -> Option<String> {
        match self {
            Self::Of { tenants, is_there: false } => Some(tenancies_kept_from(&tenants.table, &tenants.key)),
            Self::Of { .. } | Self::OfPlatform | Self::Unknown(_) => None,
        }
    }

    pub(super) fn report(&self) -> Option<TenantsReport> {
        match self {
            Self::Of { tenants, .. } => {
                Some(TenantsReport { table: shown(&tenants.table), referring_tables: tenants.referring })
            }
            Self::OfPlatform | Self::Unknown(_) => None,
        }
    }

    /// What to do where nobody knows.
    pub(super) fn remedy(&self) -> Option<String> {
        let Self::Unknown(tables) = self else { return None };
        let told: Vec<_> = tables.iter().take(MAX_TOLD).map(|tenants| shown(&tenants.table)).collect();
        let candidates = if told.is_empty() {
            "no table has a primary key of one column of type uuid, which the id of a tenant has to be".to_owned()
        } else {
            format!("it may be {}", told.join(", "))
        };
        Some(format!("name the table whose rows are the tenants with --tenants-table; {candidates}"))
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

fn choose(mut tables: Vec<TenantsTable>, named: Option<&str>, is_there: bool) -> Result<Tenants, OperationError> {
    let is_meant = |tenants: &TenantsTable| match named {
        Some(name) => tenants.table.name == name || shown(&tenants.table) == name,
        None => tenants.referring > 0 && has_usual_name(&tenants.table.name),
    };
    match (tables.iter().position(is_meant), named) {
        (Some(place), _) => Ok(Tenants::Of { tenants: tables.swap_remove(place), is_there }),
        (None, None) => Ok(Tenants::Unknown(tables)),
        (None, Some(name)) => Err(OperationError::NoSuchTable {
            name: name.to_owned(),
            why:
                "no ordinary table of that name has a primary key of one column of type uuid, which the id of a tenant \
                  has to be"
                    .to_owned(),
        }),
    }
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

    fn table(name: &str, referring: i64) -> TenantsTable {
        let table = SourceTable { schema: "app".to_owned(), name: name.to_owned() };
        TenantsTable { table, key: "id".to_owned(), is_kept: false, referring }
    }

    fn chosen(tables: &[TenantsTable], named: Option<&str>) -> Option<String> {
        match choose(tables.to_vec(), named, false) {
            Ok(Tenants::Of { tenants, .. }) => Some(tenants.table.name),
            _ => None,
        }
    }

    #[test]
    fn tenants_are_the_table_of_a_usual_name_that_most_others_refer_to() {
        let tables = [table("users", 9), table("Companies", 4), table("account", 2)];
        assert_eq!(chosen(&tables, None).as_deref(), Some("Companies"));
        assert_eq!(chosen(&tables, Some("users")).as_deref(), Some("users"));
        assert_eq!(chosen(&tables, Some("app.account")).as_deref(), Some("account"));
        assert_eq!(chosen(&tables, Some("nobody")), None);
        assert_eq!(chosen(&[table("users", 9), table("account", 0)], None), None);
    }

    #[test]
    fn who_cannot_choose_is_told_what_there_is() {
        let remedy = |tables| choose(tables, None, false).ok().and_then(|tenants| tenants.remedy()).unwrap_or_default();
        assert!(remedy(vec![table("users", 9)]).ends_with("with --tenants-table; it may be app.users"));
        assert!(remedy(vec![]).contains("no table has a primary key of one column of type uuid"));
    }
}
