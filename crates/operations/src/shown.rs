//! Keys as they may be shown, whoever shows them: ids, numbers and days as they are, texts by a short hash.

use std::fmt;

use lockstep_mappings::{BaseType, Column, Mapping};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Hexadecimal digits of a hash: enough to find the row again, too few to be anything else.
const HASH_DIGITS: usize = 12;
/// Longer than any id.
const MAX_ID_BYTES: usize = 64;

/// The values of a key by column, in the definition's order: in that order a key is typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownKey(Vec<(String, String)>);

impl FromIterator<(String, String)> for ShownKey {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(columns: T) -> Self {
        Self(columns.into_iter().collect())
    }
}

impl ShownKey {
    /// Its values, in that order.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, value)| value.as_str())
    }

    /// The value of a column of the key.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == column).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for ShownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self.0.iter().map(|(column, value)| format!("{column}={value}")).collect();
        f.write_str(&columns.join(", "))
    }
}

/// An object.
impl Serialize for ShownKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(column, value)| (column, value)))
    }
}

/// The values of a key by column.
pub(crate) fn key(mapping: &Mapping, values: &[String]) -> ShownKey {
    let columns = mapping.key_columns().zip(values);
    columns.map(|(column, value)| (column.name.clone(), value_of(column.column_type.base, value))).collect()
}

/// The values of a key that is an object by column.
pub(crate) fn object(mapping: &Mapping, key: &serde_json::Value) -> ShownKey {
    let shown = |column: &Column| match &key[&column.name] {
        serde_json::Value::Null => "?".to_owned(),
        serde_json::Value::String(text) => value_of(column.column_type.base, text),
        other => value_of(column.column_type.base, &other.to_string()),
    };
    mapping.key_columns().map(|column| (column.name.clone(), shown(column))).collect()
}

/// A value of a key.
pub fn value_of(base: BaseType, value: &str) -> String {
    if is_plain(base) { value.to_owned() } else { hashed(value) }
}

/// Whether values of the type are shown as they are.
pub(crate) const fn is_plain(base: BaseType) -> bool {
    matches!(base, BaseType::Uuid | BaseType::Int16 | BaseType::Int32 | BaseType::Int64 | BaseType::Date)
}

/// Projects and branches are ids that the platform gave, of type text: what does not look like one is not shown.
pub fn id(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if plain && text.len() <= MAX_ID_BYTES { text.to_owned() } else { hashed(text) }
}

/// A text by its hash, so that whoever has the text finds the row. In Postgres: `left(encode(sha256(convert_to(…, 'UTF8')), 'hex'), 12)`; in ClickHouse: `lower(left(hex(SHA256(…)), 12))`.
fn hashed(text: &str) -> String {
    let digits: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", &digits[..HASH_DIGITS])
}

/// A number with what it counts: `1 mapping`, `2 mappings`.
pub fn counted<N: Copy + fmt::Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let what = if count == N::from(1) { one } else { many };
    format!("{count} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_in_the_order_in_which_it_is_typed() {
        let set = lockstep_mappings::MappingSet::built_in();
        let permissions = set.get(&"project_permissions".parse().unwrap()).unwrap();
        let shown = key(permissions, &["7".to_owned(), "publish".to_owned()]);
        assert!(shown.to_string().starts_with("user_id=7, permission_id=sha256:"), "{shown}");
        assert!(serde_json::to_string(&shown).unwrap().starts_with(r#"{"user_id":"7","permission_id":"#));
    }

    #[test]
    fn ids_and_days_are_shown_and_texts_are_not() {
        let id_of_a_row = "00000000-0000-4000-8000-000000000001";
        assert_eq!(value_of(BaseType::Uuid, id_of_a_row), id_of_a_row);
        assert_eq!(value_of(BaseType::Date, "0044-03-15 BC"), "0044-03-15 BC");
        assert_eq!(value_of(BaseType::Text, "ada@example.com"), "sha256:b5fc85e55755");
        assert_eq!(id("internal"), "internal");
        assert!(id("Ada Lovelace").starts_with("sha256:"));
    }
}
