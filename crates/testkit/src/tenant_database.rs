//! A Postgres of a tenant's own: a database with a role of its own, behind a network that fails on command.

mod key_file;
mod registered;

use anyhow::Context;
use tokio_postgres::Client;

pub(crate) use self::key_file::KEY;
pub use self::key_file::KeyFile;
pub use self::registered::{RegisteredDatabase, register};
use crate::databases::{TestDatabase, connect, services, unique_suffix};
use crate::proxy::Proxy;

/// What the password of every tenant's database begins with, so that it is found wherever one is said.
pub(crate) const PASSWORD_MARK: &str = "markedpw";

/// A database whose owner Lockstep will be. [`TenantDatabase::remove`] takes it away; a test that fails leaves its role.
///
/// It is reached through a proxy, always: the server is also that of the source, whose own address is refused.
pub struct TenantDatabase {
    database: TestDatabase,
    proxy: Proxy,
    admin_url: String,
    role: String,
    password: String,
}

impl TenantDatabase {
    /// An empty one on the tests' server.
    ///
    /// # Errors
    /// When the server refuses, or no port is free.
    pub async fn create() -> anyhow::Result<Self> {
        Self::create_on(&services()?.source_url).await
    }

    /// An empty one beside the database that `admin_url` names.
    ///
    /// # Errors
    /// As [`TenantDatabase::create`].
    pub async fn create_on(admin_url: &str) -> anyhow::Result<Self> {
        let database = TestDatabase::create_on(admin_url.to_owned()).await?;
        let (role, password) =
            (format!("lockstep_tenant_{}", unique_suffix()), format!("{PASSWORD_MARK}{}", unique_suffix()));
        let admin = connect(admin_url).await?;
        let statements = format!(
            "CREATE ROLE {role} LOGIN PASSWORD '{password}'; ALTER DATABASE {} OWNER TO {role}",
            database.name()
        );
        for statement in statements.split("; ") {
            admin.batch_execute(statement).await.context("making a tenant's role")?;
        }
        // Of a version that lets nobody but the owner of the schema create there, this is all that is needed.
        let own = database.connect().await?;
        own.batch_execute(&format!("GRANT CREATE, USAGE ON SCHEMA public TO {role}")).await?;
        let (proxy, _) = Proxy::before(database.url()).await.context("a proxy before a tenant's database")?;
        Ok(Self { database, proxy, admin_url: admin_url.to_owned(), role, password })
    }

    /// What its tenant would hand over.
    pub fn connection_string(&self) -> String {
        self.connection_string_with(&self.password, "sslmode=prefer")
    }

    /// The same with another password, or other parameters.
    pub fn connection_string_with(&self, password: &str, parameters: &str) -> String {
        let Self { role, proxy, database, .. } = self;
        format!("postgres://{role}:{password}@127.0.0.1:{}/{}?{parameters}", proxy.port(), database.name())
    }

    /// The password, which nothing may print.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The role that owns it.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        self.database.name()
    }

    /// The way that everybody but the test takes to it.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// A connection past the proxy, as somebody who may do everything.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        self.database.connect().await
    }

    /// Ends every session of its role, as a server does that is started again.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn end_sessions(&self) -> anyhow::Result<()> {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
        connect(&self.admin_url).await?.execute(end, &[&self.role]).await?;
        Ok(())
    }

    /// How many sessions its role has.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn sessions(&self) -> anyhow::Result<i64> {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
        Ok(connect(&self.admin_url).await?.query_one(count, &[&self.role]).await?.get(0))
    }

    /// Drops it and its role, whoever is still connected.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn remove(self) -> anyhow::Result<()> {
        self.proxy.stop().await;
        self.database.remove().await?;
        let admin = connect(&self.admin_url).await?;
        admin.batch_execute(&format!("DROP ROLE {}", self.role)).await.context("dropping a tenant's role")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tenants_database_is_reached_through_its_proxy_by_its_owner() {
        let tenant = TenantDatabase::create().await.unwrap();
        let through = connect(&tenant.connection_string().replace("prefer", "disable")).await.unwrap();
        through.batch_execute("CREATE TABLE t (n bigint)").await.unwrap();
        let owner = tenant.connect().await.unwrap();
        let owner: String =
            owner.query_one("SELECT tableowner::text FROM pg_tables WHERE tablename = 't'", &[]).await.unwrap().get(0);
        assert_eq!(owner, tenant.role());
        assert_eq!(tenant.sessions().await.unwrap(), 1);
        tenant.end_sessions().await.unwrap();
        assert!(through.batch_execute("SELECT 1").await.is_err());
        tenant.remove().await.unwrap();
    }
}
