//! What a view shows does not depend on the settings of whoever reads it.

use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::{Comments, create_databases, raw_table, view};

use crate::fixture::{Fixture, with_database};

/// Settings that would show old versions and deleted rows, hide others, or cut what is read short. An answer of the right
/// rows is right, and so is an error.
const HOSTILE: [&str; 16] = [
    "final = 1",
    "optimize_move_to_prewhere_if_final = 1",
    "optimize_move_to_prewhere_if_final = 1, enable_analyzer = 0",
    "do_not_merge_across_partitions_select_final = 1",
    "additional_table_filters = {'RAW.users': 'display_name = \\'old\\''}",
    "additional_table_filters = {'RAW.users': '0'}, enable_analyzer = 0",
    "max_rows_to_read = 60000, read_overflow_mode = 'break', max_threads = 1",
    "max_rows_to_read_leaf = 60000, read_overflow_mode_leaf = 'break', max_threads = 1",
    "join_use_nulls = 1",
    "group_by_use_nulls = 1, transform_null_in = 1, aggregate_functions_null_for_empty = 1",
    "prefer_column_name_to_alias = 1",
    "session_timezone = 'Asia/Tokyo'",
    "use_query_condition_cache = 1",
    "use_query_cache = 1",
    "cast_keep_nullable = 1",
    "compatibility = '23.3'",
];

/// Each row has an old version, and every third is deleted since.
const ROWS: u64 = 50_000;

async fn filled(fixture: &Fixture) {
    let set = MappingSet::built_in();
    let users = set.get(&"users".parse().unwrap()).unwrap();
    let databases = fixture.clickhouse.databases();
    let mut statements = create_databases(databases);
    statements.extend(raw_table(users, databases).create());
    statements.push(view(users, databases, &Comments::default()));
    let table = format!("{}.users", fixture.raw);
    // Conditions are moved before versions are compared where columns are in files of their own.
    statements.push(format!("ALTER TABLE {table} MODIFY SETTING min_bytes_for_wide_part = 0"));
    statements.push(format!("SYSTEM STOP MERGES {table}"));
    let insert =
        format!("INSERT INTO {table} (project_id, branch_id, id, display_name, sync_sequence_id, sync_is_deleted)");
    let id = "reinterpretAsUUID(sipHash128(number))";
    statements.push(format!("{insert} SELECT 'p', 'main', {id}, 'old', 1, 0 FROM numbers({ROWS})"));
    statements.push(format!("{insert} SELECT 'p', 'main', {id}, 'new', 2, number % 3 = 0 FROM numbers({ROWS})"));
    for statement in statements {
        fixture.clickhouse.execute(&statement).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_right_under_every_setting_of_its_reader() {
    with_database(|fixture| async move {
        filled(&fixture).await;
        let views = fixture.clickhouse.databases().views.clone();
        let queries = [
            format!("SELECT count(), countIf(display_name = 'new'), uniqExact(id) FROM {views}.users"),
            format!("SELECT count() FROM {views}.users WHERE display_name = 'old'"),
            format!(
                "SELECT count(), min(ifNull(v.display_name, '')) FROM {views}.users u JOIN {views}.users v USING (id)"
            ),
        ];
        let live = ROWS - ROWS.div_ceil(3);
        let right = [format!("{live}\t{live}\t{live}\n"), "0\n".to_owned(), format!("{live}\tnew\n")];
        for hostile in std::iter::once("max_threads = 2").chain(HOSTILE) {
            let hostile = hostile.replace("RAW", &fixture.raw);
            for (query, right) in queries.iter().zip(&right) {
                match fixture.clickhouse.fetch_text(&format!("{query} SETTINGS {hostile}")).await {
                    Ok(answer) => assert_eq!(&answer, right, "{query} SETTINGS {hostile}"),
                    // TOO_MANY_ROWS.
                    Err(refused) => assert_eq!(refused.server_code(), Some(158), "{hostile}: {refused}"),
                }
            }
        }
        fixture.clickhouse.execute(&format!("DROP DATABASE {views} SYNC")).await.unwrap();
    })
    .await;
}
