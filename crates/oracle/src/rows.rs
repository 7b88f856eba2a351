//! Rows in canonical form, the same for both sides.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

/// Values by key. The key is a JSON array of the key columns' texts. Values are the texts of all columns in the view's
/// order, NULL as `None`: UUIDs in lower case, bools as 0 and 1, timestamps as epoch milliseconds, JSON as `jsonb::text`.
pub type Rows = BTreeMap<String, Vec<Option<String>>>;

/// The key of a row whose first `key` columns are the key.
///
/// # Errors
/// When a key column is NULL: no destination could hold the row.
pub(super) fn key_of(values: &[Option<String>], key: usize) -> anyhow::Result<String> {
    let parts: Option<Vec<&str>> = values[..key].iter().map(Option::as_deref).collect();
    let parts = parts.context("a key column is NULL")?;
    Ok(serde_json::to_string(&parts)?)
}

/// Adds a row.
///
/// # Errors
/// When its key is there already: rows of a view are told apart by key, so one of the two could never be seen.
pub(super) fn insert(rows: &mut Rows, values: Vec<Option<String>>, key: usize) -> anyhow::Result<()> {
    let text = key_of(&values, key)?;
    ensure!(!rows.contains_key(&text), "two rows have the key {text}");
    rows.insert(text, values);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<&str>]) -> Vec<Option<String>> {
        values.iter().map(|value| value.map(str::to_owned)).collect()
    }

    #[test]
    fn keys_that_differ_never_look_alike() {
        let one = key_of(&row(&[Some("a\",\"b"), Some("c"), None]), 2).unwrap();
        let other = key_of(&row(&[Some("a"), Some("b\",\"c"), None]), 2).unwrap();
        assert_ne!(one, other);
        assert_eq!(one, r#"["a\",\"b","c"]"#);
    }

    #[test]
    fn a_key_is_whole_and_unique() {
        let mut rows = Rows::new();
        assert!(insert(&mut rows, row(&[Some("a"), None]), 2).is_err());
        insert(&mut rows, row(&[Some("a"), None]), 1).unwrap();
        assert!(insert(&mut rows, row(&[Some("a"), Some("")]), 1).is_err());
        assert_eq!(rows.len(), 1);
    }
}
