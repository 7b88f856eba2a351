//! The oracle itself, judged against both services: it must find rows equal that are, and everything that is not.

use std::fmt::Write;

use lockstep_testkit::databases::{TestDatabase, services, unique_suffix};
use lockstep_testkit::{attached, data};
use tokio_postgres::Client;

use crate::clickhouse_http::lines;
use crate::{Endpoint, Rows, VIEWS, View, compare, expected, found};

/// Where this database is; the testkit's own type is that of the library, and this is its test build.
pub(crate) fn endpoint(view_database: String) -> Endpoint {
    let services = services().unwrap();
    let (url, user, password) = (services.clickhouse_url, services.clickhouse_user, services.clickhouse_password);
    Endpoint { url, user, password, view_database }
}

/// A ClickHouse database with tables in place of the views, filled with what the oracle expects of the source.
async fn filled(client: &Client) -> Endpoint {
    let endpoint = endpoint(format!("lockstep_oracle_{}", unique_suffix()));
    run(&endpoint, &format!("CREATE DATABASE {}", endpoint.view_database)).await;
    for view in &VIEWS {
        let rows = expected(client, view.name).await.unwrap();
        assert!(!rows.is_empty(), "{} has no rows to compare", view.name);
        let columns = view
            .columns
            .iter()
            .map(|(name, kind)| format!("`{name}` {}", kind.clickhouse))
            .collect::<Vec<_>>()
            .join(", ");
        let table = format!("{}.`{}`", endpoint.view_database, view.name);
        run(&endpoint, &format!("CREATE TABLE {table} ({columns}) ENGINE = MergeTree ORDER BY tuple()")).await;
        run(&endpoint, &insertion(&table, view, &rows)).await;
    }
    endpoint
}

fn insertion(table: &str, view: &View, rows: &Rows) -> String {
    let values = view.columns.iter().enumerate().map(|(column, (_, kind))| {
        if kind.clickhouse.contains("DateTime64") {
            format!("fromUnixTimestamp64Milli(CAST(c{column} AS Nullable(Int64)), 'UTC')")
        } else {
            format!("CAST(c{column} AS {})", kind.clickhouse)
        }
    });
    let values = values.collect::<Vec<_>>().join(", ");
    let input: Vec<_> = (0..view.columns.len()).map(|column| format!("c{column} Nullable(String)")).collect();
    let mut text =
        format!("INSERT INTO {table} SELECT {values} FROM input('{}') FORMAT JSONCompactEachRow\n", input.join(", "));
    for row in rows.values() {
        writeln!(text, "{}", serde_json::to_string(row).unwrap()).unwrap();
    }
    text
}

async fn run(endpoint: &Endpoint, statement: &str) {
    lines(endpoint, statement, |_| Ok(())).await.unwrap();
}

async fn end(database: TestDatabase, endpoint: &Endpoint) {
    run(endpoint, &format!("DROP DATABASE {} SYNC", endpoint.view_database)).await;
    database.remove().await.unwrap();
}

#[tokio::test]
async fn rows_that_are_equal_are_found_equal_whatever_they_hold() {
    let database = TestDatabase::standalone().await.unwrap();
    let client = database.connect().await.unwrap();
    data::seed(&client, data::Shape { tenants: 5, rows: 40, seed: 5 }).await.unwrap();
    data::ownerless(&client, 5).await.unwrap();
    let tenancy = client.query_one(r#"SELECT "id" FROM "Tenancy" ORDER BY "id" LIMIT 1"#, &[]).await.unwrap();
    data::hostile(&client, tenancy.get(0)).await.unwrap();
    let endpoint = filled(&client).await;
    let report = compare(&client, &endpoint).await.unwrap();
    assert!(report.equal(), "{report}");
    assert_eq!(report.mappings[0].source_rows, 5 * 40 + 24, "rows without a tenancy count for nothing");
    assert_eq!(expected(&client, "users").await.unwrap(), found(&endpoint, "users").await.unwrap());
    end(database, &endpoint).await;
}

#[tokio::test]
async fn whatever_differs_is_found_with_its_key_and_column() {
    let database = TestDatabase::create().await.unwrap();
    let client = database.connect().await.unwrap();
    attached::bare(&client).await.unwrap();
    let endpoint = filled(&client).await;
    assert!(compare(&client, &endpoint).await.unwrap().equal());
    let changed = r#"UPDATE "Team" SET "displayName" = 'renamed', "createdAt" = "createdAt" + interval '1 millisecond'
        WHERE "teamId" = (SELECT min("teamId"::text)::uuid FROM "Team" JOIN "Tenancy" ON "id" = "tenancyId");
        DELETE FROM "SessionReplay" WHERE "id" = (SELECT min("id"::text)::uuid FROM "SessionReplay");
        UPDATE "ProjectUser" SET "displayName" = '' WHERE "displayName" IS NULL"#;
    client.batch_execute(changed).await.unwrap();
    let nulls =
        format!("INSERT INTO {0}.refresh_tokens SELECT * FROM {0}.refresh_tokens LIMIT 1", endpoint.view_database);
    run(&endpoint, &nulls).await;
    run(&endpoint, &format!("TRUNCATE TABLE {}.connected_accounts", endpoint.view_database)).await;
    run(&endpoint, &format!("ALTER TABLE {}.project_permissions ADD COLUMN sync_x UInt8", endpoint.view_database))
        .await;
    let report = compare(&client, &endpoint).await.unwrap();
    let of = |name| report.mappings.iter().find(|mapping| mapping.mapping == name).unwrap();
    assert_eq!(of("teams").different[0].columns, ["display_name", "created_at"]);
    assert_eq!(of("session_replays").unexpected.len(), 1);
    assert!(of("users").different.iter().all(|row| row.columns == ["display_name"]) && of("users").different.len() > 5);
    assert_eq!(of("refresh_tokens").unexpected.len(), 1, "a row shown twice is one too many");
    assert_eq!(of("connected_accounts").missing.len(), of("connected_accounts").source_rows);
    assert_eq!(of("project_permissions").wrong_columns, ["sync_x should not be there"]);
    let different = report.mappings.iter().filter(|mapping| !mapping.equal()).count();
    // The invitations of the team that was renamed differ too, if it has any.
    assert!(different == 6 || (different == 7 && !of("team_invitations").equal()), "{report}");
    end(database, &endpoint).await;
}
