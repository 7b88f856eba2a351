//! Two of the demo's tenants have a Postgres of their own.

use anyhow::{Context, ensure};
use lockstep_testkit::installation::Installation;
use lockstep_testkit::tenant_database::TenantDatabase;
use std::sync::{Mutex, PoisonError};
use tokio_postgres::Client;
use uuid::Uuid;

/// How many tenants have one, or all of them where there are fewer.
const TENANTS: i64 = 2;

/// The databases, and whose they are once that is known.
pub(super) struct OwnDatabases {
    databases: Vec<TenantDatabase>,
    tenancies: Mutex<Vec<String>>,
}

impl OwnDatabases {
    /// Empty ones.
    pub(super) async fn create() -> anyhow::Result<Self> {
        let mut databases = Vec::new();
        for _ in 0..TENANTS {
            databases.push(TenantDatabase::create().await?);
        }
        Ok(Self { databases, tenancies: Mutex::default() })
    }

    /// Gives them to the first tenants.
    pub(super) async fn register(&self, installation: &Installation, source: &Client) -> anyhow::Result<()> {
        let first = source.query(r#"SELECT "id" FROM "Tenancy" ORDER BY "id" LIMIT $1"#, &[&TENANTS]).await?;
        for (row, database) in first.iter().zip(&self.databases) {
            let tenancy = row.get::<_, Uuid>(0).to_string();
            let arguments = ["destination", "add", "--tenant", &tenancy, "-"];
            let added = installation.run_with_input("lockstep", &arguments, &database.connection_string()).await?;
            ensure!(added.code == Some(0), "a tenant's database was not added:\n{}{}", added.stdout, added.stderr);
            self.tenancies.lock().unwrap_or_else(PoisonError::into_inner).push(tenancy);
        }
        Ok(())
    }

    /// Where the database of a tenant is, without a password.
    pub(super) fn shown(&self, tenancy: &str) -> String {
        let tenancies = self.tenancies.lock().unwrap_or_else(PoisonError::into_inner);
        let place = tenancies.iter().position(|known| known == tenancy);
        let database = place.and_then(|place| self.databases.get(place));
        database
            .map_or_else(String::new, |database| format!("127.0.0.1:{}/{}", database.proxy().port(), database.name()))
    }

    /// Drops them.
    pub(super) async fn remove(self) -> anyhow::Result<()> {
        for database in self.databases {
            database.remove().await.context("dropping a tenant's database")?;
        }
        Ok(())
    }
}
