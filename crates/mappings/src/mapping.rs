//! A mapping that was checked: what is read from one source table, and what it becomes.

use std::collections::BTreeSet;

use lockstep_core::MappingName;

use crate::column_type::ColumnType;
use crate::template::{ColumnRef, Template};

/// A table of the source database.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceTable {
    /// Its schema, as `pg_namespace` has it.
    pub schema: String,
    /// Its name, as `pg_class` has it.
    pub name: String,
}

/// How the tenancy of a source row is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tenant {
    /// The row names it in this column of type uuid.
    Column(String),
    /// The tenancy of this project and branch (columns of type text) that has no organisation.
    ProjectAndBranch {
        /// Column with the project.
        project: String,
        /// Column with the branch.
        branch: String,
    },
}

impl Tenant {
    /// The columns of the source row that tell its tenancy.
    pub(crate) fn columns(&self) -> Vec<&str> {
        match self {
            Self::Column(column) => vec![column],
            Self::ProjectAndBranch { project, branch } => vec![project, branch],
        }
    }
}

/// Where a column's value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A column of the source row, as it stands.
    Column(String),
    /// An expression, and what stands where it is null. Only nullable columns have no `when_null`.
    Expression {
        /// The expression.
        sql: Template,
        /// What stands where it is null.
        when_null: Option<Template>,
    },
}

impl Value {
    /// The expressions that it is made of.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        let (sql, when_null) = match self {
            Self::Column(_) => (None, None),
            Self::Expression { sql, when_null } => (Some(sql), when_null.as_ref()),
        };
        sql.into_iter().chain(when_null)
    }
}

/// A column of a mapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    /// In every destination.
    pub name: String,
    /// Its second name in the view, for queries that know it by that.
    pub alias: Option<String>,
    /// On every side.
    pub column_type: ColumnType,
    /// In the source.
    pub value: Value,
    /// In the definition file, for messages.
    pub line: usize,
}

/// At most one row of another table of the same tenancy, whose columns some expressions read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Join {
    /// How expressions name it.
    pub alias: String,
    /// The other table.
    pub table: SourceTable,
    /// Its column with the tenancy.
    pub tenant: String,
    /// An expression over the source row that equals `there`.
    pub here: Template,
    /// The column of the other table that equals `here`.
    pub there: String,
    /// The type of both.
    pub match_type: ColumnType,
    /// Which rows of the other table count; holes are its columns.
    pub filter: Option<Template>,
    /// Whether finding source rows by `here` needs an index of its own.
    pub index: bool,
}

/// One source table's rows as one destination table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// Also the name of its destination tables.
    pub name: MappingName,
    /// Where its rows are.
    pub source: SourceTable,
    /// Whose they are.
    pub tenant: Tenant,
    /// Which of them count.
    pub filter: Option<Template>,
    /// Indices into `columns`, in order.
    pub key: Vec<usize>,
    /// In the order people read them.
    pub columns: Vec<Column>,
    /// In the order of the definition file.
    pub joins: Vec<Join>,
    /// The definition file, for messages.
    pub file: String,
    /// Its rows go into the table beside its own in ClickHouse, which takes that one's place when it is whole.
    pub is_beside: bool,
}

impl Mapping {
    /// The same, with its rows in the table beside its own.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { is_beside: true, ..self.clone() }
    }

    /// The key columns, in order.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().map(|&index| &self.columns[index])
    }

    /// Whether this column of the mapping is part of its key.
    pub(crate) fn is_key(&self, column: &Column) -> bool {
        self.key_columns().any(|key| key.name == column.name)
    }

    /// Key columns with the source column that holds each: a key is never an expression.
    pub fn key_sources(&self) -> impl Iterator<Item = (&Column, &str)> {
        self.key_columns().filter_map(|column| match &column.value {
            Value::Column(source) => Some((column, source.as_str())),
            Value::Expression { .. } => None,
        })
    }

    /// Every column of the source row that this mapping reads: tenant, filter, key, values and joins.
    pub fn source_columns(&self) -> BTreeSet<String> {
        let mut read: BTreeSet<_> = self.tenant.columns().into_iter().map(str::to_owned).collect();
        for reference in self.templates().flat_map(Template::reads) {
            if let ColumnRef::Source(name) = reference {
                read.insert(name.clone());
            }
        }
        for column in &self.columns {
            if let Value::Column(name) = &column.value {
                read.insert(name.clone());
            }
        }
        read
    }

    /// The columns of a joined table that this mapping reads, its tenant and match columns included.
    pub fn joined_columns(&self, join: &Join) -> BTreeSet<String> {
        let mut read = BTreeSet::from([join.tenant.clone(), join.there.clone()]);
        for reference in self.templates().flat_map(Template::reads) {
            if let ColumnRef::Joined(alias, name) = reference
                && *alias == join.alias
            {
                read.insert(name.clone());
            }
        }
        for column in join.filter.iter().flat_map(Template::reads) {
            if let ColumnRef::Source(name) = column {
                read.insert(name.clone());
            }
        }
        read
    }

    /// The expressions over the source row and what it is joined with.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        let values = self.columns.iter().flat_map(|column| column.value.templates());
        self.filter.iter().chain(values).chain(self.joins.iter().map(|join| &join.here))
    }
}
