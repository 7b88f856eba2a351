//! The application: four clients, each in its own transactions of one row, or one client with one large statement.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_postgres::Client;
use uuid::Uuid;

use super::case::Case;
use lockstep_testkit::databases::TestDatabase;

const CLIENTS: usize = 4;
/// Of a round of small transactions: many thousands of them, and still many rounds in a run.
const ROUND: Duration = Duration::from_millis(1_200);

/// A tenancy, and the id of a row of it.
type Key = (Uuid, Uuid);

/// Rows that are there in all databases.
pub(super) struct Keys {
    users: Vec<Key>,
    tokens: Vec<Key>,
}

impl Keys {
    pub(super) async fn read(client: &Client) -> anyhow::Result<Self> {
        let users = r#"SELECT "tenancyId", "projectUserId" FROM "ProjectUser""#;
        let tokens = r#"SELECT "tenancyId", "id" FROM "ProjectUserRefreshToken""#;
        Ok(Self { users: keys(client, users).await?, tokens: keys(client, tokens).await? })
    }

    fn draw(&self, case: Case, rng: &mut StdRng) -> Key {
        let keys = if case == Case::Narrow { &self.tokens } else { &self.users };
        let (tenancy, id) = keys[rng.random_range(0..keys.len())];
        (tenancy, if case == Case::Insert { Uuid::from_u128(rng.random()) } else { id })
    }
}

async fn keys(client: &Client, sql: &str) -> anyhow::Result<Vec<Key>> {
    Ok(client.query(sql, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The application's connections to one database.
pub(super) struct Application {
    clients: Vec<Client>,
}

impl Application {
    pub(super) async fn connect(database: &TestDatabase) -> anyhow::Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let client = database.connect().await?;
            // Otherwise the disk is what is measured.
            client.batch_execute("SET synchronous_commit = off").await?;
            clients.push(client);
        }
        Ok(Self { clients })
    }

    /// Changes, and seconds.
    pub(super) async fn round(&self, keys: &Keys, case: Case, number: u32) -> anyhow::Result<(u64, f64)> {
        match case.rows() {
            Some(rows) => self.statement(case, number, rows).await,
            None => self.transactions(keys, case, number).await,
        }
    }

    async fn statement(&self, case: Case, number: u32, rows: u32) -> anyhow::Result<(u64, f64)> {
        let client = self.clients.first().context("an application without connections")?;
        let statement = client.prepare(case.statement()).await?;
        let began = Instant::now();
        let changed = client.execute(&statement, &[&i64::from(number)]).await?;
        let seconds = began.elapsed().as_secs_f64();
        let expected = if case == Case::Cascade { 1 } else { u64::from(rows) };
        ensure!(changed == expected, "{case:?} changed {changed} rows, not {expected}");
        Ok((u64::from(rows), seconds))
    }

    async fn transactions(&self, keys: &Keys, case: Case, number: u32) -> anyhow::Result<(u64, f64)> {
        let mut statements = Vec::new();
        for client in &self.clients {
            statements.push(client.prepare(case.statement()).await?);
        }
        let began = Instant::now();
        let loops = self.clients.iter().zip(&statements).enumerate().map(async |(index, (client, statement))| {
            // The same rows in the same round of each database.
            let mut rng = StdRng::seed_from_u64(u64::from(number) * CLIENTS as u64 + index as u64);
            let mut value = i64::from(number) * 100_000_000 + i64::try_from(index)?;
            let mut made = 0_u64;
            while began.elapsed() < ROUND {
                let (tenancy, id) = keys.draw(case, &mut rng);
                // Numbers of rounds and of clients do not meet, so that each update changes its row.
                value += i64::try_from(CLIENTS)?;
                let changed = client.execute(statement, &[&tenancy, &id, &value]).await?;
                ensure!(changed == 1, "{case:?} changed {changed} rows, not one");
                made += 1;
            }
            Ok(made)
        });
        let made = try_join_all(loops).await?.into_iter().sum();
        Ok((made, began.elapsed().as_secs_f64()))
    }
}
