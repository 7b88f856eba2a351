//! Source databases that another tool owns, with rows in them: what `lockstep migrate` attaches to.

use anyhow::Context;
use tokio_postgres::Client;

use crate::data::{self, Shape};

/// What is in the tables before Lockstep comes.
const ROWS: Shape = Shape { tenants: 6, rows: 60, seed: 4242 };

/// A platform that never synced: other column order, columns and tables that no mapping knows. 6 tenancies of 60 users, the
/// rest in proportion, and rows without a tenancy.
///
/// # Errors
/// When the database refuses; it must be empty.
pub async fn bare(client: &Client) -> anyhow::Result<()> {
    platform(client).await?;
    rows(client).await
}

/// The same platform as its former in-app sync left it, all of which Lockstep neither reads nor writes: its columns
/// `"sequenceId"` and `"shouldUpdateSequenceId"`, its own indexes and checks, a sequence that increments by 11, rows stamped,
/// flagged, both and neither, and former tombstones: with `{tenancyId, id}` as their key, of rows that exist again, and
/// broken ones.
///
/// # Errors
/// When the database refuses; it must be empty.
pub async fn former_sync(client: &Client) -> anyhow::Result<()> {
    platform(client).await?;
    client.batch_execute(include_str!("attached/sql/former_columns.sql")).await.context("adding the former sync")?;
    rows(client).await?;
    client.batch_execute(include_str!("attached/sql/former_state.sql")).await.context("leaving the former sync's state")
}

/// The platform after its former sync, with the ten indexes that its users table has in production, and no rows.
///
/// # Errors
/// When the database refuses; it must be empty.
pub async fn indexed(client: &Client) -> anyhow::Result<()> {
    platform(client).await?;
    for statements in [include_str!("attached/sql/former_columns.sql"), include_str!("attached/sql/user_indexes.sql")] {
        client.batch_execute(statements).await.context("adding the platform's indexes")?;
    }
    Ok(())
}

async fn platform(client: &Client) -> anyhow::Result<()> {
    for statements in [include_str!("attached/sql/platform.sql"), include_str!("attached/sql/platform_more.sql")] {
        client.batch_execute(statements).await.context("creating the platform's schema")?;
    }
    Ok(())
}

async fn rows(client: &Client) -> anyhow::Result<()> {
    data::seed(client, ROWS).await?;
    data::ownerless(client, ROWS.seed).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databases::TestDatabase;

    async fn holds(client: &Client, condition: &str) -> bool {
        client.query_one(&format!("SELECT {condition}"), &[]).await.unwrap().get(0)
    }

    #[tokio::test]
    async fn a_bare_platform_has_rows_and_nothing_of_a_former_sync() {
        let database = TestDatabase::create().await.unwrap();
        let client = database.connect().await.unwrap();
        bare(&client).await.unwrap();
        let tenancies = client.query(r#"SELECT "id" FROM "Tenancy""#, &[]).await.unwrap();
        data::hostile(&client, tenancies[0].get(0)).await.unwrap();
        let columns = "NOT EXISTS (SELECT FROM information_schema.columns WHERE column_name = 'sequenceId')";
        assert!(holds(&client, columns).await);
        assert!(holds(&client, "to_regclass('global_seq_id') IS NULL").await);
        assert!(holds(&client, r#"(SELECT count(*) = 6 * 60 + 10 + 24 FROM "ProjectUser")"#).await);
        database.remove().await.unwrap();
    }

    #[tokio::test]
    async fn the_indexed_platform_has_ten_indexes_on_its_users() {
        let database = TestDatabase::create().await.unwrap();
        let client = database.connect().await.unwrap();
        indexed(&client).await.unwrap();
        assert!(holds(&client, "(SELECT count(*) = 10 FROM pg_indexes WHERE tablename = 'ProjectUser')").await);
        database.remove().await.unwrap();
    }

    #[tokio::test]
    async fn a_former_sync_leaves_rows_in_every_state() {
        let database = TestDatabase::create().await.unwrap();
        let client = database.connect().await.unwrap();
        former_sync(&client).await.unwrap();
        for table in data::Table::ALL {
            let states = format!(
                r#"(SELECT count(DISTINCT ("sequenceId" IS NULL, "shouldUpdateSequenceId")) = 4 FROM "{}")"#,
                table.name()
            );
            assert!(holds(&client, &states).await, "{} has not all four states", table.name());
        }
        let names = r#"(SELECT count(DISTINCT "tableName") = 13 FROM "DeletedRow")"#;
        assert!(holds(&client, names).await);
        let again = r#"EXISTS (SELECT FROM "DeletedRow" AS d JOIN "ProjectUserDirectPermission" AS p
            ON p."id"::text = d."primaryKey" ->> 'id')"#;
        assert!(holds(&client, again).await);
        database.remove().await.unwrap();
    }
}
