//! How the source finds the rows of one tenancy.

use lockstep_core::TenancyId;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::{Part, Scope, own_rows};
use lockstep_testkit::data::{Shape, seed};
use serde_json::Value;
use uuid::Uuid;

use crate::fixture::Fixture;

/// Rows of a table that were looked at and left out, and whether all of it was read, in a plan and all below it.
fn looked_at(plan: &Value, table: &str, found: &mut Vec<String>) {
    if plan["Relation Name"] == table {
        let left_out = plan["Rows Removed by Filter"].as_i64().unwrap_or(0)
            + plan["Rows Removed by Index Recheck"].as_i64().unwrap_or(0);
        if left_out > 0 || plan["Node Type"] == "Seq Scan" {
            found.push(format!("{} leaves out {left_out}: {}", plan["Node Type"], plan["Filter"]));
        }
    }
    plan["Plans"].as_array().into_iter().flatten().for_each(|below| looked_at(below, table, found));
}

/// What the plan looks at besides rows of the tenancy.
async fn others(fixture: &Fixture, mapping: &Mapping, tenancy: Uuid) -> Vec<String> {
    let sql = own_rows(mapping, TenancyId::new(tenancy), Scope::All, Part::Without(&[]));
    let query = sql.strip_prefix("COPY (").and_then(|rest| rest.strip_suffix(") TO STDOUT (FORMAT binary)")).unwrap();
    let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) {query}");
    let plan: Value = fixture.client.query_one(&explain, &[]).await.unwrap().get(0);
    let mut found = Vec::new();
    looked_at(&plan[0]["Plan"], &mapping.source.name, &mut found);
    for join in &mapping.joins {
        looked_at(&plan[0]["Plan"], &join.table.name, &mut found);
    }
    // What else a filter leaves out are rows of the tenancy itself.
    found.retain(|left_out: &String| left_out.contains("tenancyId") || left_out.contains("projectId"));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_tenants_no_row_of_another_tenancy_is_looked_at() {
    let fixture = Fixture::create("", None).await.unwrap();
    seed(&fixture.client, Shape { tenants: 20, rows: 100, seed: 9 }).await.unwrap();
    // As the verifier's own session has it.
    fixture.run("ANALYZE; SET enable_seqscan = off").await.unwrap();
    let rows = fixture.client.query(r#"SELECT "id" FROM "Tenancy" ORDER BY "id" OFFSET 7 LIMIT 1"#, &[]).await.unwrap();
    let tenancy: Uuid = rows[0].get(0);
    for mapping in fixture.set.iter() {
        let found = others(&fixture, mapping, tenancy).await;
        assert!(found.is_empty(), "{}: {found:?}", mapping.name);
    }
}
