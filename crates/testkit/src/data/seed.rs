//! Realistic rows, in any number, within seconds.

use anyhow::Context;
use tokio_postgres::Client;

use super::Table;

/// Counters that one statement covers: long enough to be fast, short enough that its transaction stays small.
const COUNTERS_PER_STATEMENT: u64 = 100_000;

/// How much to seed. The other tables follow in natural proportion: about six rows for each user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Tenancies. Of each five, one shares its project with a branch beside it, and one is an organisation that shares
    /// project and branch with its neighbour.
    pub tenants: u32,
    /// Users in each tenancy.
    pub rows: u32,
    /// Another seed gives other rows, with other ids: both fit into one database.
    pub seed: u32,
}

impl Shape {
    const fn users(self) -> u64 {
        self.tenants as u64 * self.rows as u64
    }

    /// Teams in each tenancy.
    const fn teams(self) -> u32 {
        if self.rows < 10 { 1 } else { self.rows / 10 }
    }

    const fn counters(self, table: Table) -> u64 {
        match table {
            Table::Teams => self.tenants as u64 * self.teams() as u64,
            _ => self.users(),
        }
    }

    fn fill(self, statement: &str) -> String {
        statement
            .replace("{tenants}", &self.tenants.to_string())
            .replace("{rows}", &self.rows.to_string())
            .replace("{teams}", &self.teams().to_string())
            .replace("{seed}", &self.seed.to_string())
    }
}

/// Seeds projects, tenancies and every source table, for a source schema of our own or of another tool.
///
/// # Errors
/// When the database refuses; for instance the same seed a second time. Rows written until then stay.
pub async fn seed(client: &Client, shape: Shape) -> anyhow::Result<()> {
    seed_tables(client, shape, &Table::ALL).await
}

/// As [`seed`], but of the source tables only these, which must be in the order of [`Table::ALL`]. The rows of a table are
/// the same as when all are seeded.
///
/// # Errors
/// As [`seed`], and when a table is asked for without those that its foreign keys need.
pub async fn seed_tables(client: &Client, shape: Shape, tables: &[Table]) -> anyhow::Result<()> {
    if shape.users() == 0 {
        return Ok(());
    }
    prepare(client, shape).await?;
    client.batch_execute(&shape.fill(include_str!("sql/tenancies.sql"))).await.context("seeding tenancies")?;
    for &table in tables {
        let statement = shape.fill(table.statement());
        let end = shape.counters(table);
        for from in (0..end).step_by(usize::try_from(COUNTERS_PER_STATEMENT)?) {
            let to = (from + COUNTERS_PER_STATEMENT).min(end) - 1;
            let statement = statement.replace("{from}", &from.to_string()).replace("{to}", &to.to_string());
            client.batch_execute(&statement).await.with_context(|| format!("seeding {}", table.name()))?;
        }
        // Without statistics the first plans over a fresh table are guesses.
        client.batch_execute(&format!(r#"ANALYZE "{}""#, table.name())).await?;
        tracing::debug!(table = table.name(), counters = end, "seeded");
    }
    Ok(())
}

/// Rows whose tenancy does not exist: they must reach no destination. 10 users with a channel and a token each, a team, and
/// 10 invitations.
///
/// # Errors
/// When the database refuses; for instance the same seed a second time.
pub async fn ownerless(client: &Client, seed: u32) -> anyhow::Result<()> {
    let shape = Shape { tenants: 1, rows: 10, seed };
    prepare(client, shape).await?;
    client.batch_execute(&shape.fill(include_str!("sql/ownerless.sql"))).await.context("seeding ownerless rows")
}

/// The functions that the statements draw with, for this session.
async fn prepare(client: &Client, shape: Shape) -> anyhow::Result<()> {
    client.batch_execute(&shape.fill(include_str!("sql/functions.sql"))).await.context("preparing to seed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databases::TestDatabase;

    async fn number(client: &Client, query: &str) -> i64 {
        client.query_one(query, &[]).await.unwrap().get(0)
    }

    #[tokio::test]
    async fn every_table_is_filled_and_every_status_is_reached() {
        let database = TestDatabase::standalone().await.unwrap();
        let client = database.connect().await.unwrap();
        seed(&client, Shape { tenants: 5, rows: 200, seed: 1 }).await.unwrap();
        seed(&client, Shape { tenants: 2, rows: 3, seed: 2 }).await.unwrap();
        ownerless(&client, 1).await.unwrap();
        for table in Table::ALL {
            let rows = number(&client, &format!(r#"SELECT count(*) FROM "{}""#, table.name())).await;
            assert!(rows > 30, "{} has only {rows} rows", table.name());
        }
        assert_eq!(number(&client, r#"SELECT count(*) FROM "ProjectUser""#).await, 5 * 200 + 2 * 3 + 10);
        let reached = r#"SELECT count(DISTINCT "status") FROM "EmailOutbox""#;
        assert_eq!(number(&client, reached).await, 15);
        let shared =
            r#"SELECT count(*) FROM (SELECT FROM "Tenancy" GROUP BY "projectId", "branchId" HAVING count(*) > 1)"#;
        assert_eq!(number(&client, &format!("{shared} AS locations")).await, 1);
        database.remove().await.unwrap();
    }

    #[tokio::test]
    async fn the_same_seed_gives_the_same_rows() {
        let digest = r#"SELECT md5(string_agg(u::text, '|' ORDER BY u."projectUserId")) FROM "ProjectUser" AS u"#;
        let mut digests = Vec::new();
        for tables in [&Table::ALL[..], &[Table::Users]] {
            let database = TestDatabase::standalone().await.unwrap();
            let client = database.connect().await.unwrap();
            seed_tables(&client, Shape { tenants: 3, rows: 50, seed: 9 }, tables).await.unwrap();
            digests.push(client.query_one(digest, &[]).await.unwrap().get::<_, String>(0));
            database.remove().await.unwrap();
        }
        assert_eq!(digests[0], digests[1]);
    }
}
