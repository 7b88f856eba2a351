//! Names that the source schema and Lockstep's control schema agree on, and names and values as SQL text.

use crate::mapping::SourceTable;

/// Lockstep's own schema in the source database.
pub const CONTROL_SCHEMA: &str = "lockstep";
/// The sequence that numbers the changes of all tables.
pub const SEQUENCE: &str = "lockstep.sequence";

/// The table of tenants.
pub fn tenancy_table() -> SourceTable {
    SourceTable { schema: "public".to_owned(), name: "Tenancy".to_owned() }
}

/// A quoted name.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted string. Relies on `standard_conforming_strings`, which is on by default since PostgreSQL 9.1.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A table with its schema.
pub fn table(table: &SourceTable) -> String {
    format!("{}.{}", identifier(&table.schema), identifier(&table.name))
}

/// FNV-1a over 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): stable across releases. It guards against change and
/// chance, not against attack.
pub fn stable_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A name in the control schema made of parts; shortened with a hash when Postgres could not hold it.
pub(super) fn object_name(parts: &[&str]) -> String {
    /// Postgres cuts names after this many bytes (NAMEDATALEN - 1), silently.
    const MAX_NAME_BYTES: usize = 63;
    let name = parts.join("_");
    if name.len() <= MAX_NAME_BYTES {
        return name;
    }
    let hash = stable_hash(&name);
    let mut end = MAX_NAME_BYTES - 17;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{hash:016x}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_stay_distinct_within_postgres_limit() {
        assert_eq!(object_name(&["lockstep", "Team", "changed"]), "lockstep_Team_changed");
        let long = "x".repeat(60);
        let (one, other) = (object_name(&[&long, "one"]), object_name(&[&long, "other"]));
        assert!(one.len() <= 63 && other.len() <= 63 && one != other);
    }
}
