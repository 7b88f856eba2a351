//! A tenant's database that an installation ships to.

use anyhow::{Context, ensure};
use lockstep_oracle::{Report, VIEWS, compare_tenant};
use tokio_postgres::Client;

use super::TenantDatabase;
use crate::installation::Installation;

/// Registers a database as an operator does, with the connection string on standard input, and returns the destination's id.
/// No mappings are all of them.
///
/// # Errors
/// When the command refuses.
pub async fn register(
    installation: &Installation,
    tenancy: &str,
    mappings: &[&str],
    connection: &str,
    more: &[&str],
) -> anyhow::Result<String> {
    let mut arguments = vec!["destination", "add", "-", "--tenant", tenancy, "--output", "json"];
    arguments.extend(mappings.iter().flat_map(|mapping| ["--mapping", mapping]));
    arguments.extend(more);
    let added = installation.run_with_input("lockstep", &arguments, connection).await?;
    ensure!(added.code == Some(0), "a tenant's database was not added: {added:?}");
    let report: serde_json::Value =
        serde_json::from_str(&added.stdout).with_context(|| format!("no JSON: {}", added.stdout))?;
    Ok(report["id"].as_str().with_context(|| format!("it has no id: {report}"))?.to_owned())
}

/// A database that is filled with every mapping of one tenancy.
pub struct RegisteredDatabase {
    /// The destination's id.
    pub id: String,
    /// Whose it is.
    pub tenancy: String,
    /// The database.
    pub database: TenantDatabase,
}

impl RegisteredDatabase {
    /// Makes one, and registers it.
    ///
    /// # Errors
    /// When the server or the command refuses.
    pub async fn create(installation: &Installation, tenancy: &str) -> anyhow::Result<Self> {
        let database = TenantDatabase::create().await?;
        let id = register(installation, tenancy, &[], &database.connection_string(), &[]).await?;
        Ok(Self { id, tenancy: tenancy.to_owned(), database })
    }

    /// What the oracle finds there. `source`: a client of the source database.
    ///
    /// # Errors
    /// When either side cannot be read.
    pub async fn judged(&self, source: &Client) -> anyhow::Result<Report> {
        let mappings: Vec<_> = VIEWS.iter().map(|view| view.name).collect();
        compare_tenant(source, &self.tenancy, &self.database.connect().await?, &mappings).await
    }
}
