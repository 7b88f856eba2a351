//! The comparison with a tenant's own Postgres, judged against a real one.

use lockstep_testkit::data;
use lockstep_testkit::databases::TestDatabase;
use tokio_postgres::Client;

use crate::{Report, VIEWS, compare_tenant, expected_of};

/// Tables as a destination makes them, by hand, with what the oracle expects in them: texts are cast by Postgres.
async fn filled(source: &Client, tenancy: &str, own: &Client, mappings: &[&str]) {
    for view in VIEWS.iter().filter(|view| mappings.contains(&view.name)) {
        let columns: Vec<_> = view.columns[2..].iter().collect();
        let defined = columns.iter().map(|(name, kind)| {
            format!(r#""{name}" {}{}"#, kind.postgres, if kind.is_nullable { "" } else { " NOT NULL" })
        });
        let key: Vec<_> = columns[..view.key - 2].iter().map(|(name, _)| format!(r#""{name}""#)).collect();
        let table = format!(
            r#"CREATE TABLE "{0}" ({1}, PRIMARY KEY ({2})); GRANT SELECT ON "{0}" TO PUBLIC"#,
            view.name,
            defined.collect::<Vec<_>>().join(", "),
            key.join(", ")
        );
        own.batch_execute(&table).await.unwrap();
        for row in expected_of(source, tenancy, view.name).await.unwrap().into_values() {
            let values = columns.iter().zip(row).map(|((_, kind), value)| literal(kind.postgres, value));
            let values = values.collect::<Vec<_>>().join(", ");
            own.batch_execute(&format!(r#"INSERT INTO "{}" VALUES ({values})"#, view.name)).await.unwrap();
        }
    }
}

fn literal(kind: &str, value: Option<String>) -> String {
    let Some(value) = value else { return "NULL".to_owned() };
    match kind {
        "boolean" => format!("'{value}'::boolean"),
        "timestamp without time zone" => {
            // Seconds and the rest: as one number, Postgres would round it.
            format!(
                "timestamp '1970-01-01' + ({value} / 1000) * interval '1 second' + ({value} % 1000) * interval '1 millisecond'"
            )
        }
        _ => format!("'{}'::{kind}", value.replace('\'', "''")),
    }
}

async fn world() -> (TestDatabase, Client, Vec<String>) {
    let database = TestDatabase::standalone().await.unwrap();
    let client = database.connect().await.unwrap();
    data::seed(&client, data::Shape { tenants: 5, rows: 20, seed: 5 }).await.unwrap();
    let ids = client.query(r#"SELECT "id"::text FROM "Tenancy" ORDER BY "organizationId" NULLS LAST, 1"#, &[]).await;
    let ids: Vec<String> = ids.unwrap().iter().map(|row| row.get(0)).collect();
    (database, client, ids)
}

fn all() -> Vec<&'static str> {
    VIEWS.iter().map(|view| view.name).collect()
}

fn findings(report: &Report) -> Vec<String> {
    report.to_string().lines().skip(1 + report.mappings.len()).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_tenants_tables_are_found_equal_and_those_of_another_are_not() {
    let (source, client, ids) = world().await;
    let tenancy: uuid::Uuid = ids[1].parse().unwrap();
    data::hostile(&client, tenancy).await.unwrap();
    let own = TestDatabase::create().await.unwrap();
    let own_client = own.connect().await.unwrap();
    filled(&client, &ids[1], &own_client, &all()).await;
    let report = compare_tenant(&client, &ids[1], &own_client, &all()).await.unwrap();
    assert!(report.equal(), "{report}");
    assert_eq!(report.mappings[0].source_rows, 20 + 24);
    // An organisation shares project and branch with its neighbour, and has rows of its own.
    let report = compare_tenant(&client, &ids[0], &own_client, &all()).await.unwrap();
    assert!(!report.equal() && report.mappings[0].missing.len() == 20 && report.mappings[0].unexpected.len() == 44);
    client.execute(r#"DELETE FROM "Tenancy" WHERE "id" = $1"#, &[&tenancy]).await.unwrap();
    let report = compare_tenant(&client, &ids[1], &own_client, &all()).await.unwrap();
    assert!(report.mappings.iter().all(|mapping| mapping.source_rows == 0), "a tenancy that is gone has no rows");
    own.remove().await.unwrap();
    source.remove().await.unwrap();
}

#[tokio::test]
async fn whatever_differs_in_a_tenants_table_is_named() {
    let (source, client, ids) = world().await;
    let own = TestDatabase::create().await.unwrap();
    let own_client = own.connect().await.unwrap();
    let mappings = ["users", "teams", "project_permissions"];
    filled(&client, &ids[0], &own_client, &mappings).await;
    own_client
        .batch_execute(
            r#"UPDATE "users" SET "client_metadata" = '{"a": 1.0}' WHERE "id" = (SELECT min("id"::text)::uuid FROM "users");
               UPDATE "users" SET "signed_up_at" = 'infinity' WHERE "id" = (SELECT max("id"::text)::uuid FROM "users");
               ALTER TABLE "users" ADD COLUMN "theirs" text;
               UPDATE "teams" SET "created_at" = "created_at" + interval '1 microsecond';
               GRANT INSERT ON "teams" TO PUBLIC;
               ALTER TABLE "project_permissions" DROP CONSTRAINT "project_permissions_pkey", ADD COLUMN "sync_is_deleted" smallint;
               ALTER TABLE "project_permissions" ALTER COLUMN "created_at" TYPE timestamptz, ALTER COLUMN "permission_id" DROP NOT NULL"#,
        )
        .await
        .unwrap();
    let report = compare_tenant(&client, &ids[0], &own_client, &mappings).await.unwrap();
    let of = |name| report.mappings.iter().find(|mapping| mapping.mapping == name).unwrap();
    let columns: Vec<_> = of("users").different.iter().flat_map(|row| row.columns.clone()).collect();
    assert_eq!(columns.len(), 2, "{report}");
    assert!(columns.contains(&"client_metadata") && columns.contains(&"signed_up_at"));
    assert!(of("users").wrong_columns.is_empty(), "what a tenant adds is the tenant's");
    assert!(of("teams").different.iter().all(|row| row.columns == ["created_at"]));
    assert_eq!(of("teams").wrong_table, ["lets everybody INSERT, SELECT, not SELECT alone"]);
    assert_eq!(
        of("project_permissions").wrong_columns,
        [
            "created_at is timestamp with time zone, not timestamp without time zone",
            "sync_is_deleted should not be there"
        ]
    );
    assert_eq!(of("project_permissions").wrong_table, ["has the key (), not (user_id, permission_id)"]);
    // A mapping that does not go there has no table there, and one that does has.
    let report = compare_tenant(&client, &ids[0], &own_client, &["users", "refresh_tokens"]).await.unwrap();
    let findings = findings(&report).join("\n");
    assert!(findings.contains("teams: the table should not be there"), "{findings}");
    assert!(findings.contains("refresh_tokens: the table is not there"), "{findings}");
    own.remove().await.unwrap();
    source.remove().await.unwrap();
}
