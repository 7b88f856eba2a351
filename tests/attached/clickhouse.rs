//! Tables in ClickHouse that another system left are never written to.

use anyhow::Result;
use lockstep_testkit::data::{Shape, seed};

use super::{Platform, catalog, platform};
use crate::stage::Stage;

/// How many of the two databases exist.
pub(super) async fn databases(stage: &Stage) -> Result<u64> {
    let count = "SELECT count() FROM system.databases WHERE name IN ('{raw}', '{views}')";
    Ok(stage.seen(count).await?.parse()?)
}

/// What the former sync made: months as partitions, no tombstones, a column of another name.
const FORMER_TABLES: [&str; 4] = [
    "CREATE DATABASE {raw}",
    "CREATE TABLE {raw}.users (project_id String, branch_id String, id UUID, display_name Nullable(String), signed_up_at DateTime64(3, 'UTC'),
       sync_sequence_id Int64, sync_is_deleted UInt8, sync_created_at DateTime64(3, 'UTC') DEFAULT now64(3))
     ENGINE = ReplacingMergeTree(sync_sequence_id) PARTITION BY toYYYYMM(signed_up_at) ORDER BY (project_id, branch_id, id)",
    "CREATE TABLE {raw}.project_permissions (project_id String, branch_id String, user_id UUID, id String, created_at DateTime64(3, 'UTC'),
       sync_sequence_id Int64, sync_is_deleted UInt8, sync_created_at DateTime64(3, 'UTC') DEFAULT now64(3))
     ENGINE = ReplacingMergeTree(sync_sequence_id) ORDER BY (project_id, branch_id, user_id, id)",
    "INSERT INTO {raw}.project_permissions (project_id, id) VALUES ('engines', 'publish')",
];

#[tokio::test]
async fn attached_clickhouse_tables_of_another_shape_are_refused_with_their_differences() -> Result<()> {
    let stage = platform(Platform::Bare).await?;
    for statement in FORMER_TABLES {
        stage.in_clickhouse(statement).await?;
    }
    let before = catalog::lines(&stage.client).await?;
    let refused = stage.installation.run("lockstep", &["migrate"]).await?;
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    assert!(refused.stderr.starts_with("LS-0016"), "{}", refused.stderr);
    for difference in [
        ".users: engine is ReplacingMergeTree(sync_sequence_id), must be ReplacingMergeTree(sync_sequence_id, sync_is_deleted)",
        ".users: partition key is toYYYYMM(signed_up_at), must be none",
        ".users: column is_anonymous is missing, must be UInt8",
        ".project_permissions: column permission_id is missing, must be String",
        ".project_permissions: column id is String, must be none",
    ] {
        assert!(refused.stderr.contains(difference), "{difference:?} is not in\n{}", refused.stderr);
    }
    assert_eq!(catalog::lines(&stage.client).await?, before, "the source was changed");
    assert_eq!(stage.seen("SELECT count() FROM system.tables WHERE database = '{raw}'").await?, "2");
    assert_eq!(stage.seen("SELECT count() FROM {raw}.project_permissions").await?, "1");
    stage.end([]).await
}

#[tokio::test]
async fn attached_views_that_read_something_else_are_swapped_only_when_asked() -> Result<()> {
    let stage = Stage::before_capture().await?;
    seed(&stage.client, Shape { tenants: 2, rows: 5, seed: 1 }).await?;
    stage.in_clickhouse("CREATE DATABASE {views}").await?;
    stage.in_clickhouse("CREATE VIEW {views}.users AS SELECT 'former' AS display_name").await?;
    let refused = stage.installation.run("lockstep", &["migrate"]).await?;
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    assert!(refused.stderr.starts_with("LS-0017"), "{}", refused.stderr);
    assert_eq!(stage.seen("SELECT display_name FROM {views}.users").await?, "former");
    stage.migrate(&["--replace-views"]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.end(programs).await
}
