//! What is captured: rows of mappings, what other rows depend on, and tenancies.

use std::collections::BTreeSet;

use super::super::key::{noted, slot_type, slots};
use super::super::names::{identifier, object_name, tenancy_table};
use super::super::row;
use super::super::target::Target;
use crate::column_type::BaseType;
use crate::mapping::{Join, Mapping, SourceTable, Tenant, Value};
use crate::set::MappingSet;
use crate::template::Template;

/// Something whose changes are written down, as lines of one target.
pub(super) struct Subject<'a> {
    /// Of its functions and triggers.
    pub(super) name: String,
    pub(super) on: SourceTable,
    pub(super) target: Target,
    /// What is written where the line itself cannot be.
    pub(super) otherwise: Vec<Target>,
    pub(super) line: Vec<LineColumn>,
    /// Which rows count.
    filter: Option<&'a Template>,
    /// Columns whose change is a change.
    pub(super) watched: BTreeSet<String>,
}

/// A column of the line.
pub(super) struct LineColumn {
    pub(super) name: String,
    /// Its type.
    pub(super) kind: &'static str,
    /// The column of the row that it holds.
    pub(super) source: String,
    /// What the definition takes that column to be.
    base: BaseType,
    /// Whether a row without it is nobody's, or has no key: then there is nothing to write down.
    pub(super) is_required: bool,
}

impl LineColumn {
    fn new(name: &str, base: BaseType, source: &str) -> Self {
        Self { name: name.to_owned(), kind: slot_type(base), source: source.to_owned(), base, is_required: true }
    }

    /// The value that the row `alias` has for it.
    pub(super) fn value(&self, alias: &str) -> String {
        noted(self.base, &format!("{alias}.{}", identifier(&self.source)))
    }
}

/// Everything that these definitions need captured.
pub(super) fn subjects(set: &MappingSet) -> Vec<Subject<'_>> {
    set.iter().flat_map(of_mapping).chain([of_tenancies(set)]).collect()
}

/// What one of them needs.
pub(super) fn of_mapping(mapping: &Mapping) -> impl Iterator<Item = Subject<'_>> {
    std::iter::once(of_rows(mapping)).chain(mapping.joins.iter().map(|join| of_join(mapping, join)))
}

fn of_rows(mapping: &Mapping) -> Subject<'_> {
    let mut line = match &mapping.tenant {
        Tenant::Column(column) => vec![tenancy(column)],
        Tenant::ProjectAndBranch { project, branch } => [("project_id", project), ("branch_id", branch)]
            .map(|(name, source)| LineColumn::new(name, BaseType::Text, source))
            .into(),
    };
    line.extend(slots(mapping).iter().map(|slot| LineColumn::new(&slot.name, slot.base(), slot.source)));
    Subject {
        name: mapping.name.to_string(),
        on: mapping.source.clone(),
        target: Target::row(mapping),
        otherwise: vec![Target::refill(mapping)],
        line,
        filter: mapping.filter.as_ref(),
        watched: mapping.source_columns(),
    }
}

/// Where the match key is the dependent row's own key, its line is written at once; else the sequencer has to search.
fn of_join<'a>(mapping: &'a Mapping, join: &'a Join) -> Subject<'a> {
    let base = join.match_type.base;
    let target = if is_by_key(mapping, join) { Target::row(mapping) } else { Target::dependents(mapping, join) };
    Subject {
        name: object_name(&[mapping.name.as_str(), &join.alias]),
        on: join.table.clone(),
        target,
        otherwise: vec![Target::refill(mapping)],
        line: vec![tenancy(&join.tenant), LineColumn::new(&format!("{}_1", slot_type(base)), base, &join.there)],
        filter: join.filter.as_ref(),
        watched: mapping.joined_columns(join),
    }
}

/// A tenancy that came, moved or went, or that became or ceased to be the one without organisation of its place. Where it
/// was is written down too.
pub(super) fn of_tenancies<'a>(set: &MappingSet) -> Subject<'a> {
    Subject {
        name: "tenancy".to_owned(),
        on: tenancy_table(),
        target: Target::tenancy(),
        otherwise: set.iter().map(Target::refill).collect(),
        line: vec![
            tenancy("id"),
            LineColumn::new("project_id", BaseType::Text, "projectId"),
            LineColumn::new("branch_id", BaseType::Text, "branchId"),
            // Makes a line of what was and a line of what is where this alone has changed.
            LineColumn { is_required: false, ..LineColumn::new("text_1", BaseType::Text, "hasNoOrganization") },
        ],
        filter: None,
        watched: ["id", "projectId", "branchId", "hasNoOrganization"].map(str::to_owned).into(),
    }
}

fn tenancy(column: &str) -> LineColumn {
    LineColumn::new("tenancy_id", BaseType::Uuid, column)
}

/// Whether `here` is the whole key of the mapping, as a column.
fn is_by_key(mapping: &Mapping, join: &Join) -> bool {
    let mut keys = mapping.key_columns();
    let (Some(key), None, Tenant::Column(_)) = (keys.next(), keys.next(), &mapping.tenant) else { return false };
    let Value::Column(source) = &key.value else { return false };
    row::render(&join.here, "s") == format!("s.{}", identifier(source)) && join.match_type.base == key.column_type.base
}

impl Subject<'_> {
    pub(super) fn row_function(&self) -> String {
        object_name(&["capture", &self.name])
    }

    pub(super) fn truncate_function(&self) -> String {
        object_name(&["capture", &self.name, "truncated"])
    }

    /// The condition under which the row `alias` counts, where it is one that cannot fail: a condition that could would
    /// fail the application's statement. Without one every row counts, and whoever reads looks at the filter.
    pub(super) fn counted(&self, alias: &str) -> Option<String> {
        row::safe_filter(self.filter, alias)
    }
}
