//! Values that hurt, in every column that can take them.

use anyhow::Context;
use tokio_postgres::Client;
use uuid::Uuid;

/// Adds rows to a tenancy that exists: emoji, quotes, tabs, newlines, backslashes, control characters, empty beside NULL,
/// JSON null beside NULL, nested nulls, large numbers, keys beyond ASCII, 1 MB texts, and timestamps before 1970, at and
/// beyond the limits of `DateTime64(3)`, infinite ones included. 24 rows in each table, 48 invitations (none in a tenancy
/// of an organisation).
///
/// # Errors
/// When the database refuses; for instance the same tenancy a second time. Rows written until then stay.
pub async fn hostile(client: &Client, tenancy: Uuid) -> anyhow::Result<()> {
    for statements in [include_str!("sql/hostile_values.sql"), include_str!("sql/hostile_rows.sql")] {
        let statements = statements.replace("{tenancy}", &tenancy.to_string());
        client.batch_execute(&statements).await.context("writing values that hurt")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Shape, seed};
    use super::*;
    use crate::databases::TestDatabase;

    #[tokio::test]
    async fn every_tenancy_can_take_values_that_hurt() {
        let database = TestDatabase::standalone().await.unwrap();
        let client = database.connect().await.unwrap();
        seed(&client, Shape { tenants: 5, rows: 10, seed: 3 }).await.unwrap();
        for row in client.query(r#"SELECT "id" FROM "Tenancy""#, &[]).await.unwrap() {
            hostile(&client, row.get(0)).await.unwrap();
        }
        let long = r#"SELECT count(*) FROM "ProjectUser" WHERE octet_length("displayName") = 1000000"#;
        assert_eq!(client.query_one(long, &[]).await.unwrap().get::<_, i64>(0), 5);
        database.remove().await.unwrap();
    }
}
