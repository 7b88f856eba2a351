//! Names of mappings and columns, from those of a table.

use std::collections::BTreeSet;

use lockstep_core::MappingName;

use super::super::check::{is_reserved_column, is_reserved_name};
use crate::mapping::SourceTable;

/// Longer names are cut: column names have the limit of Postgres.
const MAX_NAME_BYTES: usize = 50;

/// `displayName` as `display_name`: a-z, 0-9 and _, beginning with a letter.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut after_lower = false;
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            if letter.is_ascii_uppercase() && after_lower {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
            after_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        } else {
            if !snake.is_empty() && !snake.ends_with('_') {
                snake.push('_');
            }
            after_lower = false;
        }
    }
    snake.truncate(MAX_NAME_BYTES);
    let snake = snake.trim_end_matches('_');
    if snake.starts_with(|first: char| first.is_ascii_lowercase()) {
        snake.to_owned()
    } else {
        format!("row_{snake}").trim_end_matches('_').to_owned()
    }
}

/// `wanted`, or with the first number behind it that makes it a free one.
fn free(wanted: &str, is_free: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{wanted}_{number}"));
    std::iter::once(wanted.to_owned()).chain(numbered).find(|name| is_free(name)).unwrap_or_default()
}

/// The name of an exported column, which is noted among `names`.
pub(super) fn column_name(source: &str, names: &mut BTreeSet<String>) -> String {
    let snake = snake_case(source);
    let wanted = if is_reserved_column(&snake) { format!("row_{snake}") } else { snake };
    let name = free(&wanted, |name| !names.contains(name));
    names.insert(name.clone());
    name
}

/// The name of the mapping of a table.
pub(super) fn mapping_name(table: &SourceTable, taken: &BTreeSet<String>) -> String {
    let is_free = |name: &str| !taken.contains(name) && !is_reserved_name(name) && name.parse::<MappingName>().is_ok();
    free(&snake_case(&table.name), is_free)
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ones_that_need_no_quotes() {
        for (name, snake) in [
            ("displayName", "display_name"),
            ("ProjectUserOAuthAccount", "project_user_oauth_account"),
            ("already_so", "already_so"),
            ("line 2  Text", "line_2_text"),
            ("2nd", "row_2nd"),
            ("größe", "gr_e"),
            ("日本", "row"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
        let mut names = BTreeSet::new();
        let made = ["projectId", "sync_x", "a-b", "a.b"].map(|name| column_name(name, &mut names));
        assert_eq!(made, ["row_project_id", "row_sync_x", "a_b", "a_b_2"]);
        let table = SourceTable { schema: "public".to_owned(), name: "Tenancy".to_owned() };
        assert_eq!(mapping_name(&table, &BTreeSet::from(["tenancy_2".to_owned()])), "tenancy_3");
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
    }
}
