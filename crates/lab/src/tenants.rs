//! Databases of their own for some tenants of an installation.

use anyhow::ensure;
use lockstep_testkit::installation::Installation;
use lockstep_testkit::tenant_database::RegisteredDatabase;
use tokio_postgres::Client;

/// Edits reach all of them; these are the same with every run of a seed.
const FIRST: &str = r#"SELECT "id"::text FROM "Tenancy" ORDER BY "id" LIMIT $1"#;

/// Gives so many tenancies a database of their own, and registers it.
pub(crate) async fn with_databases(
    installation: &Installation,
    source: &Client,
    count: usize,
) -> anyhow::Result<Vec<RegisteredDatabase>> {
    let rows = source.query(FIRST, &[&i64::try_from(count)?]).await?;
    ensure!(rows.len() == count, "there are no {count} tenancies");
    let mut registered = Vec::new();
    for row in rows {
        registered.push(RegisteredDatabase::create(installation, row.get(0)).await?);
    }
    Ok(registered)
}
