//! The pieces that queries over source rows are made of: exported values, joins, tenancy and filter.

use super::names::{identifier, literal, table};
use crate::mapping::{Column, Join, Mapping, Tenant, Value};
use crate::template::{ColumnRef, Template};

/// `template` over the row `alias`; joined rows go by `j_` and their alias.
pub(super) fn render(template: &Template, alias: &str) -> String {
    template.render(|reference| match reference {
        ColumnRef::Source(column) => format!("{alias}.{}", identifier(column)),
        ColumnRef::Joined(join, column) => format!("{}.{}", identifier(&format!("j_{join}")), identifier(column)),
        // Checked when the definition was loaded: only joins may say `{=name}`, and theirs were expanded.
        ColumnRef::Exported(_) => "NULL".to_owned(),
    })
}

/// What a column exports for the row `alias`, in the column's own Postgres type.
pub(super) fn exported(column: &Column, alias: &str) -> String {
    let export = |expression: &str| column.column_type.export(expression);
    match &column.value {
        Value::Column(name) => export(&format!("{alias}.{}", identifier(name))),
        Value::Expression { sql, when_null: None } => export(&render(sql, alias)),
        Value::Expression { sql, when_null: Some(when_null) } => {
            format!("COALESCE({}, {})", export(&render(sql, alias)), export(&render(when_null, alias)))
        }
    }
}

/// The condition under which the row `alias` belongs to the tenancy `t`.
pub(super) fn belongs(mapping: &Mapping, alias: &str) -> String {
    match &mapping.tenant {
        Tenant::Column(column) => format!("{alias}.{} = t.\"id\"", identifier(column)),
        Tenant::ProjectAndBranch { project, branch } => format!(
            "{alias}.{} = t.\"projectId\" AND {alias}.{} = t.\"branchId\" AND t.\"hasNoOrganization\" = 'TRUE'",
            identifier(project),
            identifier(branch)
        ),
    }
}

/// ` AND (filter)` for the row `alias`, or nothing.
pub(super) fn and_filter(mapping: &Mapping, alias: &str) -> String {
    mapping.filter.as_ref().map_or_else(String::new, |filter| format!(" AND ({})", render(filter, alias)))
}

/// The filter over the row `alias`, where there is one that cannot fail whatever the row holds.
pub(super) fn safe_filter(filter: Option<&Template>, alias: &str) -> Option<String> {
    let rendered = render(filter?, alias);
    rendered.split(" AND ").all(|term| cannot_fail(term, alias)).then_some(rendered)
}

/// Whether a condition is one of a column's being null, or of its equality with a constant.
fn cannot_fail(term: &str, alias: &str) -> bool {
    let Some(rest) = term.strip_prefix(&format!("{alias}.\"")) else { return false };
    let Some((name, rest)) = rest.split_once('"') else { return false };
    let constant = |text: &str| text.len() > 1 && literal(&text[1..text.len() - 1].replace("''", "'")) == text;
    let compared = ["=", "<>"].iter().find_map(|operator| rest.strip_prefix(&format!(" {operator} ")));
    !name.is_empty() && (matches!(rest, "" | " IS NULL" | " IS NOT NULL") || compared.is_some_and(constant))
}

/// The joins of a mapping, each finding at most one row of the tenancy `t`.
pub(super) fn joins(mapping: &Mapping, alias: &str) -> String {
    mapping.joins.iter().map(|join| joined(mapping, join, alias)).collect()
}

fn joined(mapping: &Mapping, join: &Join, alias: &str) -> String {
    let columns: Vec<_> =
        mapping.joined_columns(join).iter().map(|column| format!("o.{}", identifier(column))).collect();
    format!(
        "\n  LEFT JOIN LATERAL (SELECT {columns} {rows} LIMIT 1) {name} ON TRUE",
        columns = columns.join(", "),
        rows = from_joined(join, alias),
        name = identifier(&format!("j_{}", join.alias)),
    )
}

/// `FROM` the rows `o` of another table that are joined with the row `alias` of the tenancy `t`.
pub(super) fn from_joined(join: &Join, alias: &str) -> String {
    let filter = join.filter.as_ref().map_or_else(String::new, |filter| format!(" AND ({})", render(filter, "o")));
    format!(
        "FROM {table} o WHERE o.{tenant} = t.\"id\" AND o.{there} = ({here})::{cast}{filter}",
        table = table(&join.table),
        tenant = identifier(&join.tenant),
        there = identifier(&join.there),
        here = render(&join.here, alias),
        cast = join.match_type.base.postgres_cast(),
    )
}

/// The exported columns of the row `alias`, named as in the destination.
pub(super) fn select_list(mapping: &Mapping, alias: &str) -> String {
    let columns: Vec<_> = mapping
        .columns
        .iter()
        .map(|column| format!("{} AS {}", exported(column, alias), identifier(&column.name)))
        .collect();
    columns.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_1_only_conditions_that_cannot_fail_are_the_triggers_own() {
        for term in ["s.\"a\" IS NULL", "s.\"a\" IS NOT NULL", "s.\"a\" = 'x''y'", "s.\"a\" <> 'x'", "s.\"a\""] {
            assert!(cannot_fail(term, "s"), "{term}");
        }
        for term in
            ["(s.\"a\")::int > 5", "s.\"a\" = f('x')", "s.\"a\" = s.\"b\"", "1/s.\"a\" = 0", "s.\"a\" = 'x' OR g('y')"]
        {
            assert!(!cannot_fail(term, "s"), "{term}");
        }
    }
}
