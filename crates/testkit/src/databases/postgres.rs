//! A Postgres database of its own for one test.

use std::time::Duration;

use anyhow::Context;
use tokio_postgres::{Client, Config, NoTls};

use super::services;

/// The statements of the standalone source schema, as `lockstep migrate --standalone` runs them.
pub const SOURCE_SCHEMA: &str = include_str!("../../../../migrations/source/2026-01-01-000000_source_schema/up.sql");

/// Opening a connection takes milliseconds; a server that needs this long does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A database that nothing else uses. [`TestDatabase::remove`] drops it; a test that fails drops it on the way out.
pub struct TestDatabase {
    name: String,
    url: String,
    admin_url: String,
    removed: bool,
}

impl TestDatabase {
    /// An empty database beside the one that `LOCKSTEP_SOURCE_URL` names.
    ///
    /// # Errors
    /// When no services are known, or the server refuses.
    pub async fn create() -> anyhow::Result<Self> {
        Self::create_on(services()?.source_url).await
    }

    /// An empty database beside the one that `admin_url` names.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_on(admin_url: String) -> anyhow::Result<Self> {
        Self::create_from("template0", admin_url).await
    }

    /// Another database with what is in this one now, file by file; nobody may be connected to this one.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn copy(&self) -> anyhow::Result<Self> {
        Self::create_from(&format!("{} STRATEGY file_copy", self.name), self.admin_url.clone()).await
    }

    async fn create_from(template: &str, admin_url: String) -> anyhow::Result<Self> {
        let name = format!("lockstep_test_{}", uuid::Uuid::new_v4().simple());
        let url = with_database(&admin_url, &name)?;
        on_server(&admin_url, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        Ok(Self { name, url, admin_url, removed: false })
    }

    /// A database with the standalone source schema, without capture and without rows.
    ///
    /// # Errors
    /// As [`TestDatabase::create`].
    pub async fn standalone() -> anyhow::Result<Self> {
        let database = Self::create().await?;
        database.connect().await?.batch_execute(SOURCE_SCHEMA).await.context("creating the source schema")?;
        Ok(database)
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A new connection to it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        connect(&self.url).await
    }

    /// Drops it, whoever is still connected.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn remove(mut self) -> anyhow::Result<()> {
        self.removed = true;
        on_server(&self.admin_url, &drop_statement(&self.name)).await
    }
}

impl Drop for TestDatabase {
    /// Best effort, for tests that fail before `remove`: the thread is there because a destructor cannot await.
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let (admin_url, statement) = (self.admin_url.clone(), drop_statement(&self.name));
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(on_server(&admin_url, &statement))
        });
        if !matches!(dropping.join(), Ok(Ok(()))) {
            tracing::warn!(database = %self.name, "a test database was left behind");
        }
    }
}

/// Connects without TLS and drives the connection in a task that ends with the client.
///
/// # Errors
/// When the server refuses.
pub async fn connect(url: &str) -> anyhow::Result<Client> {
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, tokio_postgres::connect(url, NoTls));
    let (client, connection) =
        connecting.await.context("PostgreSQL does not answer")?.context("connecting to PostgreSQL")?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a test's connection ended");
        }
    });
    Ok(client)
}

/// One statement outside any transaction, on the server that `admin_url` names.
async fn on_server(admin_url: &str, statement: &str) -> anyhow::Result<()> {
    let client = connect(admin_url).await?;
    client.batch_execute(statement).await.with_context(|| format!("running {statement:?}"))
}

fn drop_statement(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")
}

/// The same server, user and options, another database.
fn with_database(url: &str, database: &str) -> anyhow::Result<String> {
    url.parse::<Config>().context("LOCKSTEP_SOURCE_URL is no PostgreSQL URL")?;
    let (address, options) = match url.split_once('?') {
        Some((address, options)) => (address, format!("?{options}")),
        None => (url, String::new()),
    };
    let after_scheme = address.find("://").context("LOCKSTEP_SOURCE_URL must start with postgres://")? + 3;
    let end = address[after_scheme..].find('/').map_or(address.len(), |slash| after_scheme + slash);
    Ok(format!("{}/{database}{options}", &address[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_of_a_url_is_replaced() {
        let of = |url| with_database(url, "new").unwrap();
        assert_eq!(of("postgres://u:p@h:5/old?sslmode=disable"), "postgres://u:p@h:5/new?sslmode=disable");
        assert_eq!(of("postgres://u@h"), "postgres://u@h/new");
        assert!(with_database("host=h dbname=old", "new").is_err());
    }

    #[tokio::test]
    async fn a_test_database_is_empty_then_gone() {
        let database = TestDatabase::create().await.unwrap();
        let name = database.name().to_owned();
        let count = |client: Client, name: String| async move {
            let row = client.query_one("SELECT count(*) FROM pg_database WHERE datname = $1", &[&name]).await;
            row.unwrap().get::<_, i64>(0)
        };
        assert_eq!(count(database.connect().await.unwrap(), name.clone()).await, 1);
        drop(database);
        let server = connect(&services().unwrap().source_url).await.unwrap();
        assert_eq!(count(server, name).await, 0);
    }
}
