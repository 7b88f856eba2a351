//! Keys as they may be shown: ids and numbers as they are, texts by a short hash.

use std::collections::BTreeMap;

use lockstep_mappings::{BaseType, Mapping};
use sha2::{Digest, Sha256};

/// Hexadecimal digits of a hash: enough to find the row again, too few to be anything else.
const HASH_DIGITS: usize = 12;
/// Longer than any id.
const MAX_ID_BYTES: usize = 64;

/// The values of a key by column.
pub(crate) fn key(mapping: &Mapping, values: &[String]) -> BTreeMap<String, String> {
    let columns = mapping.key_columns().zip(values);
    columns.map(|(column, value)| (column.name.clone(), of(column.column_type.base, value))).collect()
}

/// The values of a key that is an object by column.
pub fn object(mapping: &Mapping, key: &serde_json::Value) -> BTreeMap<String, String> {
    let text = |column: &str| match &key[column] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let columns = mapping.key_columns();
    columns.map(|column| (column.name.clone(), of(column.column_type.base, &text(&column.name)))).collect()
}

fn of(base: BaseType, value: &str) -> String {
    match base {
        BaseType::Uuid | BaseType::Int16 | BaseType::Int32 | BaseType::Int64 => value.to_owned(),
        _ => hashed(value),
    }
}

/// Projects and branches are ids that the platform gave, of type text: what does not look like one is not shown.
pub fn id(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if plain && text.len() <= MAX_ID_BYTES { text.to_owned() } else { hashed(text) }
}

/// A text by its hash, so that whoever has the text finds the row. In Postgres: `left(encode(sha256(convert_to(…, 'UTF8')), 'hex'), 12)`; in ClickHouse: `lower(left(hex(SHA256(…)), 12))`.
pub fn hashed(text: &str) -> String {
    let digits: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", &digits[..HASH_DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shown_and_values_are_not() {
        let id_of_a_row = "00000000-0000-4000-8000-000000000001";
        assert_eq!(of(BaseType::Uuid, id_of_a_row), id_of_a_row);
        assert_eq!(of(BaseType::Text, "ada@example.com"), "sha256:b5fc85e55755");
        assert_eq!(id("internal"), "internal");
        assert!(id("Ada Lovelace").starts_with("sha256:"));
    }
}
