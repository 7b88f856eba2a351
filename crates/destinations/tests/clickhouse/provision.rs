//! Real tables: the ones we create pass, others are described.

use crate::fixture::with_database;
use lockstep_destinations::clickhouse::{TableShape, differences};
use lockstep_destinations::{Provision, Wanted};
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::{IN_TIME, TableDefinition, cursor_table, raw_table};

#[tokio::test]
async fn every_table_we_create_has_the_shape_we_expect() {
    with_database(|fixture| async move {
        let set = MappingSet::built_in();
        let databases = fixture.clickhouse.databases();
        let mut tables: Vec<TableDefinition> = set.iter().map(|mapping| raw_table(mapping, databases)).collect();
        tables.push(cursor_table(databases));
        for statement in tables.iter().flat_map(TableDefinition::create) {
            fixture.clickhouse.execute(&statement).await.unwrap();
        }
        let mut names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
        names.push("absent");
        let found = fixture.clickhouse.table_shapes(&names).await.unwrap();
        assert_eq!(found.len(), tables.len());
        for table in &tables {
            assert_eq!(differences(&TableShape::from(table), &found[&table.name]), [], "{}", table.name);
        }
    })
    .await;
}

#[tokio::test]
async fn a_table_that_takes_rows_at_any_time_is_constrained() {
    with_database(|fixture| async move {
        let set = MappingSet::built_in();
        let users = raw_table(set.iter().next().unwrap(), fixture.clickhouse.databases());
        for statement in users.create() {
            fixture.clickhouse.execute(&statement).await.unwrap();
        }
        let drop = format!("ALTER TABLE {}.{} DROP CONSTRAINT {IN_TIME}", fixture.raw, users.name);
        fixture.clickhouse.execute(&drop).await.unwrap();
        let is_in_time =
            || async { fixture.clickhouse.table_shapes(&[&users.name]).await.unwrap()[&users.name].is_in_time };
        assert!(!is_in_time().await);
        let plan = fixture.clickhouse.plan(&set, &Wanted::default()).await.unwrap();
        let step = plan.steps.iter().find(|step| step.what.starts_with("constrain table")).unwrap();
        fixture.clickhouse.apply(step).await.unwrap();
        assert!(is_in_time().await);
    })
    .await;
}

#[tokio::test]
async fn a_table_of_another_shape_is_described() {
    with_database(|fixture| async move {
        let create = format!(
            "CREATE TABLE {}.users (id UUID, at DateTime64(3, 'UTC') MATERIALIZED now64(3)) \
             ENGINE = ReplacingMergeTree PARTITION BY toYYYYMM(at) ORDER BY id",
            fixture.raw
        );
        fixture.clickhouse.execute(&create).await.unwrap();
        let found = fixture.clickhouse.table_shapes(&["users", "absent"]).await.unwrap();
        assert_eq!(found.len(), 1);
        let found = &found["users"];
        let expected = TableShape {
            engine_full: "ReplacingMergeTree(v)".to_owned(),
            partition_key: String::new(),
            ..found.clone()
        };
        let said: Vec<_> = differences(&expected, found).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "engine is ReplacingMergeTree, must be ReplacingMergeTree(v)",
                "partition key is toYYYYMM(at), must be none"
            ]
        );
        assert_eq!(found.columns[1].2, "MATERIALIZED now64(3)");
    })
    .await;
}

#[tokio::test]
async fn a_server_says_whether_access_can_be_managed() {
    with_database(|fixture| async move {
        fixture.clickhouse.ping().await.unwrap();
        let role = format!("{}_role", fixture.raw);
        let tried = fixture.clickhouse.execute(&format!("CREATE ROLE {role}")).await;
        let can = fixture.clickhouse.can_manage_access().await.unwrap();
        match tried {
            Ok(()) => {
                fixture.clickhouse.execute(&format!("DROP ROLE {role}")).await.unwrap();
                assert!(can);
            }
            Err(error) if error.server_code() == Some(514) => assert!(!can),
            // This user may not, whatever the server could.
            Err(error) => assert_eq!(error.server_code(), Some(497)),
        }
    })
    .await;
}
