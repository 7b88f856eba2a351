//! Expansions: lines of the inbox that stand for rows which have to be searched, become lines of those rows (CAP-3).
//!
//! They are searched after what they follow from was committed, not in the application's transaction: a dependent row that
//! is inserted at the same moment is either committed by then and found, or commits later and is read with the new value.

use super::inbox::INBOXES;
use super::key::{slot_names, slot_type, slot_values};
use super::names::{CONTROL_SCHEMA, identifier, table, tenancy_table};
use super::row;
use super::target::Target;
use crate::mapping::{Join, Mapping, Tenant};
use crate::set::MappingSet;
use crate::template::{ColumnRef, Template};

/// A statement that writes the lines of the rows that expansions `$1 bigint[]` of one target stand for.
pub struct Expand<'a> {
    /// Whose rows.
    pub mapping: &'a Mapping,
    /// Of the expansions.
    pub target: i32,
    /// The statement.
    pub sql: String,
}

/// All such statements, for a transaction whose turn it is to write to `inbox`. Whoever runs them deletes the expansions in
/// the same transaction.
pub fn statements(set: &MappingSet, inbox: usize) -> Vec<Expand<'_>> {
    let mut statements = Vec::new();
    for mapping in set.iter() {
        let joins = mapping.joins.iter().map(|join| dependents(mapping, join));
        for search in joins.chain(of_tenancies(mapping)).chain([of_all(mapping)]) {
            statements.push(Expand { mapping, target: search.target, sql: search.insert(mapping, inbox) });
        }
    }
    statements
}

/// The rows of `mapping` that were there in a range of heap blocks, as lines, in a transaction whose turn it is to write
/// to `inbox`. For blocks of a base with a row that the destination refuses: the stream ships them one by one.
pub fn block_range(mapping: &Mapping, inbox: usize, range: super::fill::BlockRange) -> String {
    Search {
        from: format!("{} s", table(&mapping.source)),
        owner: owner_of_row(mapping),
        condition: super::fill::in_range("s", range),
        filter: safe_filter(mapping),
        target: 0,
        unless_numbered: false,
    }
    .insert(mapping, inbox)
}

/// Rows `s` to write lines of.
struct Search {
    /// With the expansion `e` that asks for them, if any.
    from: String,
    /// Their tenancy, project and branch.
    owner: [String; 3],
    condition: String,
    filter: String,
    /// Of the expansions.
    target: i32,
    /// Whether rows are left out that got a number since the pass that wrote the expansion: rows that were made together with
    /// their tenancy, or soon after, are shipped once.
    unless_numbered: bool,
}

/// The filter of the mapping, unless it can fail: then one row would keep all others from being found. In its place every row
/// that has a key gets a line, and whoever reads looks at the filter.
fn safe_filter(mapping: &Mapping) -> String {
    match (&mapping.filter, row::safe_filter(mapping.filter.as_ref(), "s")) {
        (None, _) => String::new(),
        (_, Some(safe)) => format!(" AND ({safe})"),
        (Some(_), None) => {
            mapping.key_sources().map(|(_, source)| format!(" AND s.{} IS NOT NULL", identifier(source))).collect()
        }
    }
}

impl Search {
    fn insert(&self, mapping: &Mapping, inbox: usize) -> String {
        let Self { from, owner, condition, filter, .. } = self;
        let (slots, row) = (slot_names(mapping), Target::row(mapping).id());
        let (owner, keys) = (owner.join(", "), slot_values(mapping, "s"));
        let into = format!(
            "INSERT INTO {CONTROL_SCHEMA}.{} (target, tenancy_id, project_id, branch_id, {slots})",
            INBOXES[inbox]
        );
        let found = format!("{keys}\nFROM {from}\nWHERE {condition}{filter}");
        if !self.unless_numbered {
            return format!("{into}\nSELECT {row}, {owner}, {found}");
        }
        let numbered: Vec<_> = slots.split(", ").map(|slot| format!("c.{slot}")).collect();
        format!(
            "{into}\nSELECT {row}, n.tenancy_id, NULL, NULL, {slots} FROM (\nSELECT e.id, e.tenancy_id, {found}\nEXCEPT SELECT e.id, e.tenancy_id, {numbered}\nFROM {CONTROL_SCHEMA}.expansion e JOIN {CONTROL_SCHEMA}.change c ON c.tenancy_id = e.tenancy_id AND c.mapping = {row} AND c.sequence > e.numbered_after\nWHERE e.id = ANY($1) AND e.target = {target}) n (id, tenancy_id, {slots})",
            numbered = numbered.join(", "),
            target = self.target,
        )
    }
}

const OF_EXPANSION: [&str; 3] = ["e.tenancy_id", "NULL", "NULL"];

fn asked(target: &Target) -> String {
    format!("e.id = ANY($1) AND e.target = {}", target.id())
}

fn expansions_and(mapping: &Mapping) -> String {
    format!("{CONTROL_SCHEMA}.expansion e CROSS JOIN {} s", table(&mapping.source))
}

fn owner_of_row(mapping: &Mapping) -> [String; 3] {
    match &mapping.tenant {
        Tenant::Column(column) => [format!("s.{}", identifier(column)), "NULL".to_owned(), "NULL".to_owned()],
        Tenant::ProjectAndBranch { project, branch } => {
            ["NULL".to_owned(), format!("s.{}", identifier(project)), format!("s.{}", identifier(branch))]
        }
    }
}

/// The rows of a tenancy: of the one that is named, and, where rows are found by place, of a place that it came to or left.
fn of_tenancies(mapping: &Mapping) -> Vec<Search> {
    let search = |target: Target, from: String, belongs: String| Search {
        from,
        owner: OF_EXPANSION.map(str::to_owned),
        condition: format!("{} AND e.tenancy_id IS NOT NULL AND {belongs}", asked(&target)),
        filter: safe_filter(mapping),
        target: target.id(),
        unless_numbered: target.id() == Target::tenancy().id(),
    };
    let all_rows = Target::all_rows(mapping);
    match &mapping.tenant {
        Tenant::Column(column) => {
            let belongs = format!("s.{} = e.tenancy_id", identifier(column));
            [Target::tenancy(), all_rows].map(|target| search(target, expansions_and(mapping), belongs.clone())).into()
        }
        Tenant::ProjectAndBranch { project, branch } => {
            let here = format!("s.{} = e.project_id AND s.{} = e.branch_id", identifier(project), identifier(branch));
            let named =
                format!("{} JOIN {} t ON t.\"id\" = e.tenancy_id", expansions_and(mapping), table(&tenancy_table()));
            vec![
                search(Target::tenancy(), expansions_and(mapping), here),
                search(all_rows, named, row::belongs(mapping, "s")),
            ]
        }
    }
}

/// All rows of the mapping that transactions from `e.since` on have written, whether anything exported changed or not: one
/// that moved between blocks while a base was read may have been in none of its ranges.
fn of_all(mapping: &Mapping) -> Search {
    let since = "(e.since IS NULL OR age(s.xmin) <= txid_current() - e.since)";
    Search {
        from: expansions_and(mapping),
        owner: owner_of_row(mapping),
        condition: format!("{} AND e.tenancy_id IS NULL AND {since}", asked(&Target::all_rows(mapping))),
        filter: safe_filter(mapping),
        target: Target::all_rows(mapping).id(),
        unless_numbered: false,
    }
}

/// The rows of `mapping` that depend, through `join`, on the match key of an expansion.
fn dependents(mapping: &Mapping, join: &Join) -> Search {
    Search {
        from: format!(
            "{CONTROL_SCHEMA}.expansion e JOIN {tenancies} t ON t.\"id\" = e.tenancy_id JOIN {source} s ON {belongs}",
            tenancies = table(&tenancy_table()),
            source = table(&mapping.source),
            belongs = row::belongs(mapping, "s"),
        ),
        owner: OF_EXPANSION.map(str::to_owned),
        condition: format!(
            "{} AND ({})::{cast} = (e.{}_1)::{cast}",
            asked(&Target::dependents(mapping, join)),
            row::render(&join.here, "s"),
            slot_type(join.match_type.base),
            cast = join.match_type.base.postgres_cast(),
        ),
        // The index that serves this search may have it as its predicate.
        filter: row::and_filter(mapping, "s"),
        target: Target::dependents(mapping, join).id(),
        unless_numbered: false,
    }
}

/// The expression index that finding dependents needs, where the definition asks for one: its columns and predicate.
pub(super) fn dependents_index(mapping: &Mapping, join: &Join) -> (Vec<String>, Option<String>) {
    let mut columns: Vec<_> = mapping.tenant.columns().into_iter().map(identifier).collect();
    let bare = |template: &Template| {
        template.render(|reference| match reference {
            ColumnRef::Source(column) => identifier(column),
            _ => "NULL".to_owned(),
        })
    };
    columns.push(format!("(({})::{})", bare(&join.here), join.match_type.base.postgres_cast()));
    (columns, mapping.filter.as_ref().map(bare))
}
