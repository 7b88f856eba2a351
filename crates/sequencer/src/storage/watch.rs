//! What the watch writes down: which mappings are paused, filled again, and what tables were when they were looked at.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::DestinationId;
use lockstep_core::destination_id::CLICKHOUSE;
use lockstep_mappings::postgres::literal;
use lockstep_mappings::{Mapping, SourceTable};
use lockstep_schema::attach::{note_shape, note_tenancies};
use lockstep_schema::fills;
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::Client;

/// The connection of the watch.
pub(crate) struct WatchSession {
    client: Client,
}

impl WatchSession {
    pub(crate) async fn open(source: &Source) -> Result<Self, SourceError> {
        Ok(Self { client: source.connect(Session::Control).await? })
    }

    /// Pauses a mapping that does not fit, unless it is paused already. Returns whether that is new.
    pub(crate) async fn pause(&self, mapping: &Mapping, reason: &str) -> Result<bool, SourceError> {
        const PAUSE: &str = "INSERT INTO lockstep.pause (kind, name, reason, automatic) VALUES ('mapping', $1, $2, TRUE) ON CONFLICT (kind, name) DO NOTHING";
        Ok(self.client.execute(PAUSE, &[&mapping.name.as_str(), &reason]).await? == 1)
    }

    /// Mappings that were paused so.
    pub(crate) async fn paused(&self) -> Result<BTreeSet<String>, SourceError> {
        const PAUSED: &str = "SELECT name FROM lockstep.pause WHERE kind = 'mapping' AND automatic";
        Ok(self.client.query(PAUSED, &[]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// Mappings that are to be filled again, each with the reason.
    pub(crate) async fn wanted_refills(&self) -> Result<BTreeMap<String, String>, SourceError> {
        const WANTED: &str = "SELECT mapping_name, reason FROM lockstep.refill";
        Ok(self.client.query(WANTED, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Has mappings filled again, each for a reason, as soon as they can be.
    pub(crate) async fn want_refills(&self, mappings: &[(&Mapping, &str)]) -> Result<(), SourceError> {
        const WANT: &str = "INSERT INTO lockstep.refill (mapping_name, reason) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING";
        if mappings.is_empty() {
            return Ok(());
        }
        let (names, reasons): (Vec<_>, Vec<_>) =
            mappings.iter().map(|(mapping, reason)| (mapping.name.as_str(), *reason)).unzip();
        self.client.execute(WANT, &[&names, &reasons]).await?;
        Ok(())
    }

    /// Whether a destination lost changes that it had not passed.
    pub(crate) async fn needs_refill(&self) -> Result<bool, SourceError> {
        const NEEDS: &str =
            "SELECT EXISTS (SELECT 1 FROM lockstep.destination WHERE name = $1 AND needs_refill_since IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM lockstep.fill f WHERE f.destination = $1 AND f.started_at > needs_refill_since))";
        Ok(self.client.query_one(NEEDS, &[&CLICKHOUSE]).await?.try_get(0)?)
    }

    /// Begins to fill a mapping again, notes the shapes of its tables, and resumes it if it was paused, in one
    /// transaction.
    pub(crate) async fn refill(
        &self,
        mapping: &Mapping,
        reason: &str,
        shapes: &[(&SourceTable, String, bool)],
    ) -> Result<(), SourceError> {
        // A row is shown only where its tenancy is known to be.
        let mut statements = vec![note_tenancies()];
        statements.extend(fills::begin(mapping, &DestinationId::clickhouse(), reason));
        statements.extend(shapes.iter().map(|(table, shape, relaxed)| note_shape(table, shape, *relaxed)));
        let name = literal(mapping.name.as_str());
        statements.push(format!("DELETE FROM lockstep.refill WHERE mapping_name = {name}"));
        statements.push(format!("DELETE FROM lockstep.pause WHERE kind = 'mapping' AND automatic AND name = {name}"));
        let statements = statements.join(";\n");
        if let Err(error) = self.client.batch_execute(&format!("BEGIN;\n{statements};\nCOMMIT")).await {
            self.client.batch_execute("ROLLBACK").await?;
            return Err(error.into());
        }
        Ok(())
    }
}
