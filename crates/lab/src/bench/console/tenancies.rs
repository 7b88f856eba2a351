//! Very many tenancies, made in the database itself, and changes of all of them that wait.

use anyhow::Context;
use tokio_postgres::Client;

/// Tenancies of one project.
const OF_A_PROJECT: u32 = 1_000;

/// Before anything is captured. Foreign keys are not looked at one by one.
pub(super) async fn make(client: &Client, count: u32) -> anyhow::Result<()> {
    let sql = format!(
        r#"SET session_replication_role = replica; SET synchronous_commit = off;
INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt")
SELECT 'project-' || n, 'Many', TRUE, now() FROM generate_series(0, {count} / {OF_A_PROJECT}) n;
INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
SELECT md5(n::text)::uuid, 'project-' || n / {OF_A_PROJECT}, 'branch-' || n, 'TRUE', now() FROM generate_series(1, {count}) n;
RESET session_replication_role;
ANALYZE "Project", "Tenancy""#
    );
    client.batch_execute(&sql).await.context("making tenancies")
}

/// Nothing runs any more. Each tenancy gets a line that has its number, which no index covers yet, the change of that number, which
/// nobody has shipped, and another line that has none.
pub(super) async fn leave_all_waiting(client: &Client) -> anyhow::Result<()> {
    const CHANGES: &str = r#"INSERT INTO lockstep.change (sequence, tenancy_id, mapping, uuid_1)
SELECT nextval('lockstep.sequence'), t."id", (SELECT id FROM lockstep.target WHERE name = 'users'), t."id" FROM "Tenancy" t"#;
    const PASS: &str = "INSERT INTO lockstep.pass (last_sequence, consumed) SELECT max(sequence), pg_current_snapshot() FROM lockstep.change";
    lines(client).await?;
    client.batch_execute(CHANGES).await.context("making changes")?;
    client.batch_execute(PASS).await?;
    lines(client).await?;
    // What automatic vacuum would do by and by.
    client.batch_execute("VACUUM ANALYZE lockstep.change").await.context("vacuuming")
}

/// A line of each tenancy, in the inbox whose turn it is.
async fn lines(client: &Client) -> anyhow::Result<()> {
    for (inbox, turn) in [("inbox_0", 0), ("inbox_1", 1)] {
        let sql = format!(
            r#"INSERT INTO lockstep.{inbox} (target, tenancy_id, uuid_1)
SELECT (SELECT id FROM lockstep.target WHERE name = 'users'), t."id", t."id" FROM "Tenancy" t WHERE (txid_current() >> 15) & 1 = {turn}"#
        );
        client.batch_execute(&sql).await.context("making lines")?;
    }
    Ok(())
}

/// What is asked for, by the name of its figure.
pub(super) async fn pages(client: &Client, count: u32) -> anyhow::Result<[(&'static str, String); 7]> {
    let middle = count / 2;
    let id = client.query_one("SELECT md5($1::text)::uuid::text", &[&middle.to_string()]).await?;
    Ok([
        ("overview_ms", "/".to_owned()),
        ("mappings_ms", "/mappings".to_owned()),
        ("operations_ms", "/operations".to_owned()),
        ("tenants_ms", "/tenants".to_owned()),
        ("all_tenants_ms", "/tenants?all=1".to_owned()),
        ("search_ms", format!("/tenants?q=project-{}", middle / OF_A_PROJECT)),
        ("tenant_ms", format!("/tenants/{}", id.get::<_, String>(0))),
    ])
}
