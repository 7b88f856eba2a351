//! The statements of this crate's own: cursors and looking around. Everything about mappings is derived elsewhere.

use lockstep_core::{MappingName, SourceIdentity, TenancyId};
use lockstep_mappings::clickhouse::{cursor_table_name, identifier, literal, source_table_name};

use crate::destination::Selection;

/// Proves that the server answers and knows the user.
pub(super) const PING: &str = "SELECT 1";

/// As the server calls itself: `26.7.2.1`.
pub(super) const VERSION: &str = "SELECT version()";

/// How many places there are that can take users, roles and policies made by SQL.
pub(super) const WRITABLE_ACCESS_STORAGES: &str = "SELECT count() FROM system.user_directories \
     WHERE type IN ('local_directory', 'local directory', 'replicated', 'memory') \
     AND NOT JSONExtractBool(toString(params), 'readonly')";

/// Cursors of these tenants and mappings. `max`, because merges have not yet removed all older values (CUR-1).
pub(super) fn read_cursors(
    database: &str,
    tenancies: Selection<'_, TenancyId>,
    mappings: Selection<'_, MappingName>,
) -> String {
    let mut sql = format!(
        "SELECT tenancy_id, mapping_name, max(last_synced_sequence_id) AS last\nFROM {}.{}\nWHERE ",
        identifier(database),
        identifier(cursor_table_name())
    );
    match tenancies {
        Selection::All => sql.push('1'),
        // An array that is cast as a whole is parsed five times as fast as a list: 20 ms for 20,000 tenants.
        Selection::These(ids) => {
            let ids: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
            sql += &format!("tenancy_id IN (SELECT arrayJoin([{}]::Array(UUID)))", ids.join(","));
        }
    }
    if let Selection::These(names) = mappings {
        sql += &format!(" AND {}", one_of("mapping_name", names.iter().map(|name| literal(name.as_str()))));
    }
    sql + "\nGROUP BY tenancy_id, mapping_name"
}

/// The insert whose body [`super::cursors`] encodes.
pub(super) fn write_cursors(database: &str) -> String {
    format!(
        "INSERT INTO {}.{} (tenancy_id, mapping_name, last_synced_sequence_id, updated_at) FORMAT RowBinary",
        identifier(database),
        identifier(cursor_table_name())
    )
}

/// Engine, partition key and sorting key of each of these tables that exists.
pub(super) fn tables(database: &str, tables: &[&str]) -> String {
    format!(
        "SELECT name, engine_full, partition_key, sorting_key FROM system.tables WHERE database = {} AND {}",
        literal(database),
        one_of("name", tables.iter().map(|name| literal(name)))
    )
}

/// Columns of each of these tables, in order: table, name, type, default. A default of another kind says which.
pub(super) fn columns(database: &str, tables: &[&str]) -> String {
    format!(
        "SELECT table, name, type, if(default_kind IN ('', 'DEFAULT'), default_expression, default_kind || ' ' || \
         default_expression) FROM system.columns WHERE database = {} AND {} ORDER BY table, position",
        literal(database),
        one_of("table", tables.iter().map(|name| literal(name)))
    )
}

/// The tables of a database; none where there is no such database.
pub(super) fn table_names(database: &str) -> String {
    format!("SELECT name FROM system.tables WHERE database = {}", literal(database))
}

/// The highest version in each of these mappings' tables, of which there is one at least.
pub(super) fn highest_versions(database: &str, mappings: &[&MappingName]) -> String {
    let highest = |mapping: &&MappingName| {
        format!(
            "SELECT {} AS name, max(sync_sequence_id) AS last FROM {}.{}",
            literal(mapping.as_str()),
            identifier(database),
            identifier(mapping.as_str())
        )
    };
    mappings.iter().map(highest).collect::<Vec<_>>().join("\nUNION ALL ")
}

/// The highest cursor of each mapping.
pub(super) fn highest_cursors(database: &str) -> String {
    format!(
        "SELECT mapping_name, max(last_synced_sequence_id) FROM {}.{} GROUP BY mapping_name",
        identifier(database),
        identifier(cursor_table_name())
    )
}

/// The source that was seen last.
pub(super) fn last_source(database: &str) -> String {
    format!(
        "SELECT system_identifier, timeline FROM {}.{} ORDER BY seen_at DESC LIMIT 1",
        identifier(database),
        identifier(source_table_name())
    )
}

/// Writes down which source is seen now.
pub(super) fn write_source(database: &str, source: &SourceIdentity) -> String {
    format!(
        "INSERT INTO {}.{} (singleton, system_identifier, timeline) VALUES (0, {}, {})",
        identifier(database),
        identifier(source_table_name()),
        literal(&source.system_identifier),
        source.timeline
    )
}

fn one_of(column: &str, literals: impl Iterator<Item = String>) -> String {
    format!("{column} IN ({})", literals.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_of_many_tenants_are_one_question() {
        let tenants: Vec<TenancyId> = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"]
            .map(|id| id.parse().unwrap())
            .to_vec();
        let mappings = ["users".parse().unwrap()];
        assert_eq!(
            read_cursors("raw", Selection::These(&tenants), Selection::These(&mappings)),
            "SELECT tenancy_id, mapping_name, max(last_synced_sequence_id) AS last\n\
             FROM `raw`.`_stack_sync_metadata`\n\
             WHERE tenancy_id IN (SELECT arrayJoin(['00000000-0000-4000-8000-000000000001',\
             '00000000-0000-4000-8000-000000000002']::Array(UUID))) \
             AND mapping_name IN ('users')\n\
             GROUP BY tenancy_id, mapping_name"
        );
        assert!(read_cursors("raw", Selection::All, Selection::All).contains("\nWHERE 1\n"));
    }
}
