//! Tenants' own databases in a test: registered as an operator does it, waited for, and judged.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockstep_oracle::{Report, VIEWS};
use lockstep_testkit::data::{Shape, seed};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::{Finished, Installation, Program};
use lockstep_testkit::tenant_database::{TenantDatabase, register};
use serde_json::Value;
use tokio_postgres::Client;

use crate::stage::Stage;

/// For a database that was in trouble to be visited again: the worker gives up a statement after half a minute, and then
/// waits for some seconds.
pub(crate) const RECOVERED: Duration = Duration::from_secs(120);

/// A database that one tenancy is shipped to.
pub(crate) struct OwnDatabase {
    /// The destination's id.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) tenancy: String,
    pub(crate) database: TenantDatabase,
    /// A connection past the proxy, as somebody who may do everything.
    pub(crate) own: Client,
    mappings: Vec<&'static str>,
}

impl OwnDatabase {
    /// Runs statements there.
    pub(crate) async fn sql(&self, statements: &str) -> Result<()> {
        self.own.batch_execute(statements).await.with_context(|| format!("in a tenant's database: {statements}"))
    }

    /// The one number that a query there answers.
    pub(crate) async fn number(&self, query: &str) -> Result<i64> {
        let row = self.own.query_one(query, &[]).await;
        Ok(row.with_context(|| format!("asking a tenant's database {query}"))?.try_get(0)?)
    }
}

/// Every mapping.
pub(crate) fn all_mappings() -> Vec<&'static str> {
    VIEWS.iter().map(|view| view.name).collect()
}

impl Stage {
    /// As [`Stage::small`], with leave to reach tenants' databases on this machine.
    pub(crate) async fn small_with_tenants() -> Result<Self> {
        let stage = Self::with_tenants().await?;
        stage.sql(include_str!("world.sql")).await?;
        Ok(stage)
    }

    /// As [`Stage::seeded`], with the same leave.
    pub(crate) async fn seeded_with_tenants(shape: Shape) -> Result<Self> {
        let stage = Self::with_tenants().await?;
        seed(&stage.client, shape).await?;
        Ok(stage)
    }

    async fn with_tenants() -> Result<Self> {
        let stage = Self::of(Installation::create().await?.with_tenant_databases()?).await?;
        stage.migrate(&["--standalone"]).await?;
        Ok(stage)
    }

    /// The id of what `world.sql` has under a name.
    pub(crate) async fn id(&self, name: &str) -> Result<String> {
        Ok(self.client.query_one("SELECT id($1)::text", &[&name]).await?.get(0))
    }

    /// Registers a new database of a tenancy for these mappings; for all, where none is named.
    pub(crate) async fn add_destination(&self, tenancy: &str, mappings: &[&'static str]) -> Result<OwnDatabase> {
        let database = TenantDatabase::create().await?;
        let connection = database.connection_string();
        self.add_database(tenancy, mappings, database, &connection, &[]).await
    }

    /// Registers a database that is there, reached by this connection string.
    pub(crate) async fn add_database(
        &self,
        tenancy: &str,
        mappings: &[&'static str],
        database: TenantDatabase,
        connection: &str,
        more: &[&str],
    ) -> Result<OwnDatabase> {
        let id = register(&self.installation, tenancy, mappings, connection, more).await?;
        let own = database.connect().await?;
        let mappings = if mappings.is_empty() { all_mappings() } else { mappings.to_vec() };
        Ok(OwnDatabase { id, tenancy: tenancy.to_owned(), database, own, mappings })
    }

    /// Runs `lockstep destination …`.
    pub(crate) async fn destination(&self, arguments: &[&str]) -> Result<Finished> {
        self.installation.run("lockstep", &[&["destination"], arguments].concat()).await
    }

    /// What `lockstep destination show` says.
    pub(crate) async fn shown(&self, own: &OwnDatabase) -> Result<Value> {
        let shown = self.destination(&["show", &own.id, "--output", "json"]).await?;
        serde_json::from_str(&shown.stdout).with_context(|| format!("no JSON: {shown:?}"))
    }

    /// What the oracle finds in a tenant's database.
    pub(crate) async fn judged(&self, own: &OwnDatabase) -> Result<Report> {
        lockstep_oracle::compare_tenant(&self.client, &own.tenancy, &own.own, &own.mappings).await
    }

    /// Its tables hold what the source holds.
    pub(crate) async fn assert_tenant_equal(&self, own: &OwnDatabase) -> Result<Report> {
        let report = self.judged(own).await?;
        ensure!(report.equal(), "the destination {} differs\n{report}", own.id);
        Ok(report)
    }

    /// Waits with `lockstep wait`. After that ClickHouse and these databases hold what the source holds, at once.
    pub(crate) async fn all_equal(&self, databases: &[&OwnDatabase]) -> Result<()> {
        self.equal().await?;
        for own in databases {
            self.assert_tenant_equal(own).await?;
        }
        Ok(())
    }

    /// Waits until ClickHouse and these databases hold what the source holds, whatever is said of others. Nobody may edit.
    pub(crate) async fn until_equal(&self, databases: &[&OwnDatabase]) -> Result<()> {
        eventually("ClickHouse and the other tenants' databases to be equal", RECOVERED, async || {
            let report = lockstep_oracle::compare(&self.client, &self.installation.endpoint()).await?;
            ensure!(report.equal(), "ClickHouse differs\n{report}");
            for own in databases {
                self.assert_tenant_equal(own).await?;
            }
            Ok(true)
        })
        .await
    }

    /// Waits until the registry has this to say of a destination: a condition on `lockstep.tenant_destination d`.
    pub(crate) async fn until_registered(&self, own: &OwnDatabase, what: &str, condition: &str) -> Result<()> {
        let query =
            format!("SELECT count(*) FROM lockstep.tenant_destination d WHERE d.id = '{}' AND ({condition})", own.id);
        let state = "SELECT concat_ws(' ', 'failures', d.failures, d.error_code, d.error, 'known', d.known, 'passed', d.passed, 'unfinished', d.unfinished) FROM lockstep.tenant_destination d WHERE d.id::text = $1";
        let reached = eventually(what, RECOVERED, async || Ok(self.number(&query).await? == 1)).await;
        let state = self.client.query_opt(state, &[&own.id]).await?.map(|row| row.get::<_, String>(0));
        reached.with_context(|| format!("the registry says: {state:?}"))
    }

    /// Waits until one mapping of a destination is in a state.
    pub(crate) async fn until_mapping(&self, own: &OwnDatabase, mapping: &str, state: &str) -> Result<()> {
        let what = format!("{mapping} to be {state}");
        let exists = format!(
            "EXISTS (SELECT FROM lockstep.tenant_mapping m WHERE m.destination_id = d.id AND m.mapping_name = '{mapping}' AND m.state = '{state}')"
        );
        self.until_registered(own, &what, &exists).await
    }

    /// As [`Stage::end`], with tenants' databases; and nothing that any program has said names one of their passwords.
    pub(crate) async fn end_with(
        self,
        programs: impl IntoIterator<Item = Program>,
        databases: impl IntoIterator<Item = OwnDatabase>,
    ) -> Result<()> {
        for program in programs {
            program.stop().await?;
        }
        let (said, stored) = (self.installation.said()?, self.stored().await?);
        for own in databases {
            let password = own.database.password().to_owned();
            ensure!(!said.contains(&password), "a program has said the password of a tenant's database");
            ensure!(!stored.contains(&password), "the password of a tenant's database is stored in the clear");
            drop(own.own);
            own.database.remove().await?;
        }
        self.end([]).await
    }

    /// All that the registry holds, as text.
    async fn stored(&self) -> Result<String> {
        let all = "SELECT concat((SELECT string_agg(concat_ws(' ', d::text, encode(d.connection, 'escape')), ' ') FROM lockstep.tenant_destination d),
            (SELECT string_agg(m::text, ' ') FROM lockstep.tenant_mapping m), (SELECT string_agg(t::text, ' ') FROM lockstep.task t))";
        Ok(self.client.query_one(all, &[]).await?.get(0))
    }
}
