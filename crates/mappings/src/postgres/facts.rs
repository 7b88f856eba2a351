//! What the live database says about its tables, and whether definitions fit it.

use std::collections::BTreeMap;
use std::fmt;

use super::names::{identifier, tenancy_table};
use super::row::render;
use crate::column_type::ColumnType;
use crate::mapping::{Mapping, SourceTable, Tenant, Value};
use crate::set::MappingSet;
use crate::template::{ColumnRef, Template};

/// What the live database says about one column.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ColumnFacts {
    /// `pg_type.typname`: of a domain that of the type behind it, of an array that of its elements.
    pub typname: String,
    /// What the type says of its digits, as `pg_attribute.atttypmod`; -1 where it says nothing.
    pub typmod: i32,
    /// Whether it is an array.
    pub is_array: bool,
    /// Whether that type is an enum.
    pub is_enum: bool,
    /// Whether it can be null.
    pub nullable: bool,
    /// Whether it is generated and not stored, which is the default of PostgreSQL 18.
    pub is_virtual: bool,
    /// `pg_attribute.attnum`: another one is another column, whatever its name.
    pub number: i16,
    /// Of an enum: each label with what identifies it.
    pub labels: Vec<String>,
    /// Whether its collation takes different texts for equal, `a` and `A` for instance.
    pub equates_texts: bool,
}

impl ColumnFacts {
    /// The type as people write it, without digits.
    pub fn type_name(&self) -> String {
        format!("{}{}", self.typname, if self.is_array { "[]" } else { "" })
    }

    /// Whether it can be exported as this type without an expression of its own.
    pub fn exports_as(&self, column_type: ColumnType) -> bool {
        let base = column_type.base;
        let takes = base.source_types().contains(&self.typname.as_str()) || (self.is_enum && base.takes_enums());
        takes && self.is_array == column_type.array.is_some()
    }
}

/// What the live database says about one table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TableFacts {
    /// By name.
    pub columns: BTreeMap<String, ColumnFacts>,
    /// Whether a row trigger of somebody else's may change a row before it is updated.
    pub has_before_update: bool,
    /// Whether it is a partition or child of another table, or has children: then rows come and go past its own triggers.
    pub is_inherited: bool,
    /// The file that holds its rows: another one after they were rewritten.
    pub filenode: u32,
}

/// What the live database says about all tables that definitions name; a missing table has no entry.
pub type SourceFacts = BTreeMap<SourceTable, TableFacts>;

/// Something in the source that does not fit the definitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misfit {
    /// The definition, or what else needs it.
    pub file: String,
    /// The column or table.
    pub subject: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.file, self.subject, self.problem, self.remedy)
    }
}

/// The tables that definitions, capture and tenancies need to know about.
pub fn tables_needed(set: &MappingSet) -> Vec<SourceTable> {
    let mut tables = vec![tenancy_table()];
    for mapping in set.iter() {
        tables.push(mapping.source.clone());
        tables.extend(mapping.joins.iter().map(|join| join.table.clone()));
    }
    tables.sort();
    tables.dedup();
    tables
}

/// Everything in the live database that does not fit, in the order of the definitions.
pub fn misfits(set: &MappingSet, facts: &SourceFacts) -> Vec<Misfit> {
    let of_mappings = set.iter().flat_map(|mapping| misfits_of_definition(mapping, facts));
    misfits_of_tenancies(facts).into_iter().chain(of_mappings).collect()
}

/// What in the live database does not fit one definition, tenancies included, which every mapping reads.
pub fn misfits_of(mapping: &Mapping, facts: &SourceFacts) -> Vec<Misfit> {
    [misfits_of_tenancies(facts), misfits_of_definition(mapping, facts)].concat()
}

fn misfits_of_definition(mapping: &Mapping, facts: &SourceFacts) -> Vec<Misfit> {
    let mut check = Check { file: &mapping.file, facts, found: Vec::new() };
    check.mapping(mapping);
    check.found
}

/// What in the live database does not fit what every mapping reads of tenancies.
pub fn misfits_of_tenancies(facts: &SourceFacts) -> Vec<Misfit> {
    let mut check = Check { file: "Lockstep itself", facts, found: Vec::new() };
    if check.table(&tenancy_table(), NO_TENANCIES) {
        for (name, typname) in [("id", "uuid"), ("projectId", "text"), ("branchId", "text")] {
            check.typed(&tenancy_table(), name, &[typname]);
            check.exact(&tenancy_table(), name);
        }
        check.column(&tenancy_table(), "hasNoOrganization");
    }
    check.found
}

/// What to do where a table of a definition is not there.
const NO_TABLE: &str = "create it with the platform's own migrations, or drop the definition: its file, or its name in LOCKSTEP_BUILT_IN_MAPPINGS (partitioned tables and views cannot be captured)";
/// The same of the table of tenancies.
const NO_TENANCIES: &str =
    "create it with the platform's own migrations; for a database of another kind `lockstep init` writes tenancy.sql";

struct Check<'a> {
    file: &'a str,
    facts: &'a SourceFacts,
    found: Vec<Misfit>,
}

impl Check<'_> {
    fn say(&mut self, subject: String, problem: String, remedy: &str) {
        self.found.push(Misfit { file: self.file.to_owned(), subject, problem, remedy: remedy.to_owned() });
    }

    fn table(&mut self, table: &SourceTable, absent: &'static str) -> bool {
        let (problem, remedy) = match self.facts.get(table) {
            None => ("does not exist as an ordinary table", absent),
            Some(live) if live.is_inherited => (
                "is a partition, a child or a parent of another table, through which rows come and go unnoticed",
                "detach it (ALTER TABLE … DETACH PARTITION, NO INHERIT), or drop the definition",
            ),
            Some(_) => return true,
        };
        self.say(format!("table {}.\"{}\"", table.schema, table.name), problem.to_owned(), remedy);
        self.facts.contains_key(table)
    }

    fn column(&mut self, table: &SourceTable, name: &str) -> Option<ColumnFacts> {
        let found = self.facts.get(table)?.columns.get(name).cloned();
        let (problem, remedy) = match &found {
            None => ("does not exist", "migrate the platform to a version that has it, or correct the definition"),
            // A trigger is shown null in its place, before and after: no change of it would be noticed.
            Some(live) if live.is_virtual => (
                "is generated and not stored, so that triggers do not see its value",
                "make it STORED, or export the expression behind it with `sql`",
            ),
            Some(_) => return found,
        };
        self.say(format!("column \"{}\".\"{name}\"", table.name), problem.to_owned(), remedy);
        found
    }

    fn typed(&mut self, table: &SourceTable, name: &str, accepted: &[&str]) {
        let Some(column) = self.column(table, name) else { return };
        if !accepted.contains(&column.typname.as_str()) {
            let subject = format!("column \"{}\".\"{name}\"", table.name);
            self.say(subject, format!("has type {}", column.typname), &format!("it must be {}", accepted.join(" or ")));
        }
    }

    /// A column by which rows are told apart, or found. Where its collation takes different texts for equal, Postgres has one row of
    /// them and ClickHouse several: a key that only changes its case would stay there under both.
    fn exact(&mut self, table: &SourceTable, name: &str) {
        let column = self.facts.get(table).and_then(|live| live.columns.get(name));
        if column.is_some_and(|column| column.equates_texts) {
            self.say(
                format!("column \"{}\".\"{name}\"", table.name),
                "is a key, and has a collation that takes different texts for equal".to_owned(),
                "give it a deterministic collation (ALTER TABLE … ALTER COLUMN … TYPE text COLLATE …), or drop the definition",
            );
        }
    }

    fn mapping(&mut self, mapping: &Mapping) {
        if !self.table(&mapping.source, NO_TABLE) {
            return;
        }
        match &mapping.tenant {
            Tenant::Column(column) => self.typed(&mapping.source, column, &["uuid"]),
            Tenant::ProjectAndBranch { project, branch } => {
                self.typed(&mapping.source, project, &["text", "varchar"]);
                self.typed(&mapping.source, branch, &["text", "varchar"]);
                self.exact(&mapping.source, project);
                self.exact(&mapping.source, branch);
            }
        }
        for column in &mapping.columns {
            if let Value::Column(name) = &column.value {
                self.plain(mapping, column, name);
            }
        }
        for reference in mapping.templates().flat_map(Template::reads) {
            if let ColumnRef::Source(name) = reference {
                self.column(&mapping.source, name);
            }
        }
        for (_, source) in mapping.key_sources() {
            self.exact(&mapping.source, source);
        }
        for join in &mapping.joins {
            for reference in join.here.reads() {
                if let ColumnRef::Source(name) = reference {
                    self.exact(&mapping.source, name);
                }
            }
            if self.table(&join.table, NO_TABLE) {
                self.exact(&join.table, &join.there);
                self.typed(&join.table, &join.tenant, &["uuid"]);
                for name in mapping.joined_columns(join) {
                    self.column(&join.table, &name);
                }
            }
        }
    }

    fn plain(&mut self, mapping: &Mapping, column: &crate::Column, name: &str) {
        let Some(live) = self.column(&mapping.source, name) else { return };
        let column_type = column.column_type;
        let subject = format!("column {} (\"{}\".\"{name}\", line {})", column.name, mapping.source.name, column.line);
        if !live.exports_as(column_type) {
            let problem = format!("has type {}, which does not export as {column_type}", live.type_name());
            let (accepted, kind) = (
                column_type.base.source_types().join(", "),
                if column_type.array.is_some() { "an array of" } else { "one of" },
            );
            self.say(subject, problem, &format!("it must be {kind} {accepted}, or use `sql` with a cast"));
        } else if live.nullable && !column_type.nullable && !filter_excludes_null(mapping, name) {
            let problem = format!("can be null, {column_type} cannot");
            let ways = "a `when_null`, or a `where` that leaves nulls out";
            let remedy = if column_type.array.is_some() {
                format!("add {ways}")
            } else {
                format!("add `?` to the type, {ways}")
            };
            self.say(subject, problem, &remedy);
        }
    }
}

/// Whether the filter of a mapping itself leaves out rows in which `column` is null.
fn filter_excludes_null(mapping: &Mapping, column: &str) -> bool {
    let says = format!("s.{} IS NOT NULL", identifier(column));
    mapping.filter.as_ref().is_some_and(|filter| render(filter, "s").split(" AND ").any(|term| term == says))
}
