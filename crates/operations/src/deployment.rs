//! A deployment of Lockstep as operations reach it.

use std::sync::OnceLock;

use lockstep_core::settings::Settings;
use lockstep_core::{MappingName, SequenceId};
use lockstep_destinations::ClickHouse;
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::identity::last_sequence;
use lockstep_schema::{Control, Session, Source};
use tokio::try_join;
use tokio_postgres::Client;

use crate::error::OperationError;

/// Settings, definitions, and connections to the source database.
pub struct Deployment<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) mappings: &'a MappingSet,
    /// For statements of our own.
    pub(crate) client: Client,
    /// For typed reads and writes of Lockstep's own tables, where they are there.
    control: Option<Control>,
    /// Once it was asked for.
    clickhouse: OnceLock<ClickHouse>,
}

impl<'a> Deployment<'a> {
    /// Connects to the source database, which has to have Lockstep's own tables.
    ///
    /// # Errors
    /// When the settings cannot be used, Postgres cannot be reached, or `lockstep migrate` has not run there.
    pub async fn connect(settings: &'a Settings, mappings: &'a MappingSet) -> Result<Self, OperationError> {
        let deployment = Self::connect_before_migrate(settings, mappings).await?;
        deployment.control()?;
        Ok(deployment)
    }

    /// The same where it is told what there is, whether or not `lockstep migrate` has run.
    ///
    /// # Errors
    /// When the settings cannot be used, or Postgres cannot be reached.
    pub async fn connect_before_migrate(
        settings: &'a Settings,
        mappings: &'a MappingSet,
    ) -> Result<Self, OperationError> {
        let source = Source::of(settings)?;
        let (client, control) = try_join!(source.connect(Session::Control), source.connect_diesel(Session::Control))?;
        let is_migrated = client.query_one("SELECT to_regclass('lockstep.task') IS NOT NULL", &[]).await?.get(0);
        Ok(Self {
            settings,
            mappings,
            client,
            control: Some(control).filter(|_| is_migrated),
            clickhouse: OnceLock::new(),
        })
    }

    /// Whether a connection has ended; then every question fails.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// For Lockstep's own tables.
    pub(crate) fn control(&self) -> Result<&Control, OperationError> {
        self.control.as_ref().ok_or(OperationError::NotMigrated)
    }

    /// The same, for what is done in a transaction.
    pub(crate) fn control_mut(&mut self) -> Result<&mut Control, OperationError> {
        self.control.as_mut().ok_or(OperationError::NotMigrated)
    }

    /// Nothing is sent before the first question. Its connections are kept.
    pub(crate) fn clickhouse(&self) -> Result<ClickHouse, OperationError> {
        if let Some(clickhouse) = self.clickhouse.get() {
            return Ok(clickhouse.clone());
        }
        let clickhouse = ClickHouse::connect(&self.settings.clickhouse, self.settings.tls_ca_file.as_deref())?;
        Ok(self.clickhouse.get_or_init(|| clickhouse).clone())
    }

    /// The same once it has answered, within some seconds: one that hangs is not waited for with what may take long.
    ///
    /// # Errors
    /// Why it does not answer.
    pub(crate) async fn answering_clickhouse(&self) -> Result<ClickHouse, OperationError> {
        let clickhouse = self.clickhouse()?;
        clickhouse.ping().await?;
        Ok(clickhouse)
    }

    /// The last number that was given out.
    pub(crate) async fn last_sequence(&self) -> Result<SequenceId, OperationError> {
        last_sequence(&self.client).await.map_err(OperationError::unless_migrated)
    }

    pub(crate) fn mapping_names(&self) -> Vec<MappingName> {
        self.mappings.iter().map(|mapping| mapping.name.clone()).collect()
    }

    /// Fails unless there is a mapping of this name.
    pub(crate) fn must_have_mapping(&self, name: &str) -> Result<(), OperationError> {
        self.mapping(name).map(drop)
    }

    /// The mapping of this name.
    pub(crate) fn mapping(&self, name: &str) -> Result<&Mapping, OperationError> {
        let found = self.mappings.iter().find(|mapping| mapping.name.as_str() == name);
        found.ok_or_else(|| OperationError::unknown_mapping(name, self.mappings))
    }
}
