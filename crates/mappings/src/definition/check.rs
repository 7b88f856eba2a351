//! From what a definition file says to a mapping that can be relied on.

use std::collections::BTreeSet;
use std::ops::Range;

use lockstep_core::MappingName;

use super::DefinitionError;
use super::raw::{RawColumn, RawDefinition, RawJoin, RawTenant};
use crate::column_type::{BaseType, ColumnType};
use crate::mapping::{Column, Join, Mapping, SourceTable, Tenant, Value};
use crate::postgres::MAX_OF_A_KIND;
use crate::template::{ColumnRef, Template};

/// Names that every destination table has beside the mapping's own columns.
const RESERVED: &[&str] = &["project_id", "branch_id"];
/// Names that lines of the inbox have which are of no mapping.
const RESERVED_NAMES: &[&str] = &["tenancy"];
/// What the names of Lockstep's own columns start with.
const RESERVED_PREFIX: &str = "sync_";
/// The types that [`ColumnType::can_be_key`] says of.
const KEY_TYPES: &str = "uuid, text, lc, int16, int32, int64 or date";
/// More columns than this in one mapping are a mistake.
const MAX_COLUMNS: usize = 500;

/// Parses and checks one definition.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn parse_definition(file: &str, text: &str) -> Result<Mapping, Vec<DefinitionError>> {
    let mut check = Check { file, text, errors: Vec::new() };
    let raw: RawDefinition = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            check.say(span, None, error.message().to_owned(), "see the built-in definitions for the form");
            return Err(check.errors);
        }
    };
    let mapping = check.mapping(&raw);
    match mapping {
        Some(mapping) if check.errors.is_empty() => Ok(mapping),
        _ => Err(check.errors),
    }
}

/// Whether a mapping cannot have this name.
pub(super) fn is_reserved_name(name: &str) -> bool {
    RESERVED_NAMES.contains(&name)
}

/// Whether a column cannot have this name.
pub(super) fn is_reserved_column(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with(RESERVED_PREFIX)
}

struct Check<'a> {
    file: &'a str,
    text: &'a str,
    errors: Vec<DefinitionError>,
}

impl Check<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        self.text[..span.start.min(self.text.len())].matches('\n').count() + 1
    }

    fn say(&mut self, span: Range<usize>, column: Option<&str>, problem: impl Into<String>, remedy: &str) {
        let line = self.line(&span);
        self.errors.push(DefinitionError {
            file: self.file.to_owned(),
            line,
            column: column.map(str::to_owned),
            problem: problem.into(),
            remedy: remedy.to_owned(),
        });
    }

    /// Keeps the error of a check that names its own remedy.
    fn keep<T, E: ToString>(&mut self, span: Range<usize>, column: Option<&str>, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.say(span, column, error.to_string(), "correct it in the definition");
                None
            }
        }
    }

    fn mapping(&mut self, raw: &RawDefinition) -> Option<Mapping> {
        let name = self.keep(raw.name.span(), None, raw.name.get_ref().parse::<MappingName>());
        if is_reserved_name(raw.name.get_ref()) {
            self.say(raw.name.span(), None, "this name is Lockstep's own", "choose another name");
        }
        let tenant = self.tenant(raw.tenant.span(), raw.tenant.get_ref());
        let columns = self.columns(raw);
        let filter = raw.filter.as_ref().and_then(|filter| self.template(filter.span(), None, filter.get_ref()));
        let joins = self.joins(raw, &columns);
        self.holes_exist(&columns, &joins, filter.as_ref());
        let key = self.key(raw, &columns);
        Some(Mapping {
            name: name?,
            source: SourceTable { schema: raw.schema.clone(), name: raw.table.clone() },
            tenant: tenant?,
            filter,
            key,
            columns,
            joins,
            file: self.file.to_owned(),
            is_beside: false,
        })
    }

    fn tenant(&mut self, span: Range<usize>, raw: &RawTenant) -> Option<Tenant> {
        match (&raw.column, &raw.project, &raw.branch) {
            (Some(column), None, None) => Some(Tenant::Column(column.clone())),
            (None, Some(project), Some(branch)) => {
                Some(Tenant::ProjectAndBranch { project: project.clone(), branch: branch.clone() })
            }
            _ => {
                let remedy = "give either `column` or both `project` and `branch`";
                self.say(span, None, "the tenant of a row is not said clearly", remedy);
                None
            }
        }
    }

    fn columns(&mut self, raw: &RawDefinition) -> Vec<Column> {
        if raw.columns.is_empty() || raw.columns.len() > MAX_COLUMNS {
            let problem = format!("there are {} columns", raw.columns.len());
            self.say(raw.name.span(), None, problem, &format!("a mapping has 1 to {MAX_COLUMNS} columns"));
        }
        let mut names = BTreeSet::new();
        let mut columns = Vec::new();
        for column in &raw.columns {
            let (span, column) = (column.span(), column.get_ref());
            for name in [&column.name].into_iter().chain(&column.alias) {
                self.column_name(&span, name, names.insert(name.clone()));
            }
            columns.extend(self.column(span, column));
        }
        columns
    }

    fn column_name(&mut self, span: &Range<usize>, name: &str, is_new: bool) {
        if !is_new {
            self.say(span.clone(), Some(name), "the name is used twice", "rename one of them");
        }
        if is_reserved_column(name) {
            let remedy = "project_id, branch_id and names that start with sync_ are Lockstep's own";
            self.say(span.clone(), Some(name), "the name is reserved", remedy);
        } else if name.parse::<MappingName>().is_err() {
            let remedy = "use a-z, 0-9 and _, starting with a letter";
            self.say(span.clone(), Some(name), "the name needs quotes in SQL", remedy);
        }
    }

    fn column(&mut self, span: Range<usize>, raw: &RawColumn) -> Option<Column> {
        let name = Some(raw.name.as_str());
        let column_type: Option<ColumnType> = self.keep(span.clone(), name, raw.column_type.parse());
        let when_null = match &raw.when_null {
            Some(text) => Some(self.template(span.clone(), name, text)?),
            None => None,
        };
        let value = match (&raw.column, &raw.sql) {
            (Some(column), None) if when_null.is_none() => Value::Column(column.clone()),
            (Some(column), None) => Value::Expression { sql: Template::column(column), when_null },
            (None, Some(sql)) => Value::Expression { sql: self.template(span.clone(), name, sql)?, when_null },
            _ => {
                self.say(span, name, "it is not clear where the value comes from", "give either `column` or `sql`");
                return None;
            }
        };
        let column_type = column_type?;
        match &value {
            Value::Expression { when_null: None, .. } if !column_type.nullable => {
                let problem = format!("the expression can be null, the type {column_type} cannot");
                self.say(span.clone(), name, problem, "add `when_null`, or `?` to the type");
            }
            Value::Expression { when_null: Some(_), .. } if column_type.nullable => {
                self.say(span.clone(), name, "`when_null` makes the `?` of the type pointless", "drop one of them");
            }
            _ => {}
        }
        let (name, alias, line) = (raw.name.clone(), raw.alias.clone(), self.line(&span));
        Some(Column { name, alias, column_type, value, line })
    }

    fn joins(&mut self, raw: &RawDefinition, columns: &[Column]) -> Vec<Join> {
        let joins: Vec<_> = raw.joins.iter().map(|(alias, join)| (alias, join.span(), join.get_ref())).collect();
        joins.into_iter().filter_map(|(alias, span, join)| self.join(alias, span, join, columns)).collect()
    }

    fn join(&mut self, alias: &str, span: Range<usize>, raw: &RawJoin, columns: &[Column]) -> Option<Join> {
        if alias.parse::<MappingName>().is_err() {
            let problem = format!("the join's name {alias:?} needs quotes in SQL");
            self.say(span.clone(), None, problem, "use a-z, 0-9 and _");
        }
        let match_type: ColumnType = self.keep(span.clone(), None, raw.matching.match_type.parse())?;
        if !match_type.can_be_key() {
            let problem = format!("rows cannot be matched by {match_type}");
            self.say(span.clone(), None, problem, &format!("match by {KEY_TYPES}"));
        }
        let here = self.template(span.clone(), None, &raw.matching.here)?;
        let here = here.expand(|reference| match reference {
            ColumnRef::Exported(name) => columns.iter().find(|column| column.name == *name).and_then(exported),
            _ => None,
        });
        if here.reads().iter().any(|reference| !matches!(reference, ColumnRef::Source(_))) {
            let remedy = "read columns of the source row only, or an existing column as {=name}";
            self.say(span.clone(), None, format!("join {alias}: `here` reads something else than the row"), remedy);
        }
        let filter = match &raw.filter {
            Some(text) => Some(self.template(span.clone(), None, text)?),
            None => None,
        };
        if filter.iter().flat_map(Template::reads).any(|reference| !matches!(reference, ColumnRef::Source(_))) {
            let problem = format!("join {alias}: `where` reads another table");
            self.say(span, None, problem, "read its own columns only");
        }
        Some(Join {
            alias: alias.to_owned(),
            table: SourceTable { schema: raw.schema.clone(), name: raw.table.clone() },
            tenant: raw.tenant.clone(),
            here,
            there: raw.matching.there.clone(),
            match_type,
            filter,
            index: raw.matching.index,
        })
    }

    /// Every `{join.column}` names a join that exists, and filters read the source row alone.
    fn holes_exist(&mut self, columns: &[Column], joins: &[Join], filter: Option<&Template>) {
        let mut wrong = Vec::new();
        for column in columns {
            for reference in column.value.templates().flat_map(Template::reads) {
                match reference {
                    ColumnRef::Joined(alias, _) if !joins.iter().any(|join| join.alias == *alias) => {
                        wrong.push((column.line, Some(column.name.clone()), format!("there is no join {alias}")));
                    }
                    ColumnRef::Exported(name) => {
                        wrong.push((column.line, Some(column.name.clone()), format!("{{={name}}} serves joins only")));
                    }
                    _ => {}
                }
            }
        }
        if filter.into_iter().flat_map(Template::reads).any(|reference| !matches!(reference, ColumnRef::Source(_))) {
            wrong.push((1, None, "`where` reads something else than the source row".to_owned()));
        }
        for (line, column, problem) in wrong {
            let remedy = "name columns of the source table, or add the join under [joins]".to_owned();
            self.errors.push(DefinitionError { file: self.file.to_owned(), line, column, problem, remedy });
        }
    }

    fn key(&mut self, raw: &RawDefinition, columns: &[Column]) -> Vec<usize> {
        if raw.key.is_empty() {
            self.say(raw.name.span(), None, "the key is empty", "name the columns that tell rows of a tenant apart");
        }
        let mut key = Vec::new();
        for name in &raw.key {
            let (span, name) = (name.span(), name.get_ref());
            let Some(index) = columns.iter().position(|column| column.name == *name) else {
                self.say(span, Some(name), "the key names a column that does not exist", "add it under [[columns]]");
                continue;
            };
            let column = &columns[index];
            if key.contains(&index) {
                self.say(span, Some(name), "the key names it twice", "name it once");
            } else if !matches!(column.value, Value::Column(_)) {
                let remedy = "a key column must be a plain `column`: a tombstone has to name it";
                self.say(span, Some(name), "a key cannot be an expression", remedy);
            } else if !column.column_type.can_be_key() {
                let problem = format!("a key cannot have type {}", column.column_type);
                self.say(span, Some(name), problem, &format!("use {KEY_TYPES}, without `?` and `[]`"));
            } else {
                key.push(index);
            }
        }
        let (uuids, others): (Vec<usize>, Vec<usize>) =
            key.iter().partition(|index| columns[**index].column_type.base == BaseType::Uuid);
        if uuids.len().max(others.len()) > MAX_OF_A_KIND {
            let problem = format!("the key has more than {MAX_OF_A_KIND} columns of type uuid, or of other types");
            self.say(raw.name.span(), None, problem, "use fewer: they only have to tell rows of a tenant apart");
        }
        key
    }

    fn template(&mut self, span: Range<usize>, column: Option<&str>, text: &str) -> Option<Template> {
        self.keep(span, column, Template::parse(text))
    }
}

fn exported(column: &Column) -> Option<Template> {
    match &column.value {
        Value::Column(name) => Some(Template::column(name)),
        Value::Expression { sql, .. } => Some(sql.clone()),
    }
}
