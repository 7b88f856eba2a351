//! Names that the source schema and Lockstep's control schema agree on (`contract.md` §1).

use crate::mapping::SourceTable;

/// Lockstep's own schema in the source database.
pub const CONTROL_SCHEMA: &str = "lockstep";
/// The column that holds a row's place in the global order.
pub const SEQUENCE_COLUMN: &str = "sequenceId";
/// The column that says a row waits to be stamped.
pub const FLAG_COLUMN: &str = "shouldUpdateSequenceId";
/// The sequence that stamps the rows of all tables, quoted.
pub const SEQUENCE: &str = r#""public"."global_seq_id""#;
/// The sequencer sets this to `on` for its own transactions, so that triggers let its updates pass.
pub const STAMPING_SETTING: &str = "lockstep.stamping";
/// `lockstep.touch.target` of a whole tenancy.
pub const TENANCY_TOUCH: &str = "tenancy";

/// The table of tenants.
pub fn tenancy_table() -> SourceTable {
    SourceTable { schema: "public".to_owned(), name: "Tenancy".to_owned() }
}

/// The table of tombstones.
pub fn deleted_row_table() -> SourceTable {
    SourceTable { schema: "public".to_owned(), name: "DeletedRow".to_owned() }
}

/// `sequence` and `flag`, quoted, of the row that `alias` names.
pub(super) fn capture_columns(alias: &str) -> (String, String) {
    (format!("{alias}.\"{SEQUENCE_COLUMN}\""), format!("{alias}.\"{FLAG_COLUMN}\""))
}

/// A name in the control schema made of parts; shortened with a hash when Postgres could not hold it.
pub(super) fn object_name(parts: &[&str]) -> String {
    /// Postgres cuts names after this many bytes (NAMEDATALEN - 1), silently.
    const MAX_NAME_BYTES: usize = 63;
    let name = parts.join("_");
    if name.len() <= MAX_NAME_BYTES {
        return name;
    }
    // FNV-1a: stable across releases, and names need no secrecy.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
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
        assert_eq!(object_name(&["lockstep", "Team", "flagged"]), "lockstep_Team_flagged");
        let long = "x".repeat(60);
        let (one, other) = (object_name(&[&long, "one"]), object_name(&[&long, "other"]));
        assert!(one.len() <= 63 && other.len() <= 63 && one != other);
    }
}
