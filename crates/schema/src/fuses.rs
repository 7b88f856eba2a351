//! The fusebox, `lockstep.fuse`: what operators have stopped.

use std::collections::BTreeSet;

use lockstep_core::{DestinationId, MappingName, TenancyId};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::error::SourceError;

/// What can be stopped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FuseKind {
    /// Stamping, by whichever sequencer leads.
    Sequencer,
    /// All workers.
    Worker,
    /// One mapping.
    Mapping,
    /// One destination.
    Destination,
    /// One tenancy.
    Tenant,
}

impl FuseKind {
    /// As `lockstep.fuse.kind` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sequencer => "sequencer",
            Self::Worker => "worker",
            Self::Mapping => "mapping",
            Self::Destination => "destination",
            Self::Tenant => "tenant",
        }
    }

    /// Whether a fuse of this kind is for one of several, which it names.
    pub const fn is_named(self) -> bool {
        matches!(self, Self::Mapping | Self::Destination | Self::Tenant)
    }
}

/// The condition under which nothing is to be numbered, for the sequencer's one question.
pub const SEQUENCER_IS_STOPPED: &str = "EXISTS (SELECT 1 FROM lockstep.fuse WHERE kind = 'sequencer')";

/// The fuses that concern workers, at one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Fuses {
    /// How often anything was let go on, ever.
    pub mended: i64,
    workers: bool,
    destinations: BTreeSet<String>,
    mappings: BTreeSet<String>,
    tenants: BTreeSet<Uuid>,
}

impl Fuses {
    /// Reads them, in one snapshot.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub async fn read(client: &Client) -> Result<Self, SourceError> {
        const FUSES: &str =
            "SELECT m.times, f.kind, f.name FROM lockstep.fuse_mended m LEFT JOIN lockstep.fuse f ON TRUE";
        let mut fuses = Self::default();
        for row in client.query(FUSES, &[]).await? {
            fuses.mended = row.try_get(0)?;
            let (kind, name): (Option<&str>, Option<&str>) = (row.try_get(1)?, row.try_get(2)?);
            fuses.add(kind.unwrap_or_default(), name.unwrap_or_default());
        }
        Ok(fuses)
    }

    /// A kind that a newer version has stops nothing here.
    fn add(&mut self, kind: &str, name: &str) {
        match kind {
            "worker" => self.workers = true,
            "destination" => drop(self.destinations.insert(name.to_owned())),
            "mapping" => drop(self.mappings.insert(name.to_owned())),
            "tenant" => self.tenants.extend(Uuid::parse_str(name)),
            _ => {}
        }
    }

    /// Whether nothing is to be shipped to a destination, by any worker.
    pub fn stop_shipping_to(&self, destination: &DestinationId) -> bool {
        self.workers || self.destinations.contains(destination.as_str())
    }

    /// Whether a mapping is stopped.
    pub fn stop_mapping(&self, mapping: &MappingName) -> bool {
        self.mappings.contains(mapping.as_str())
    }

    /// Whether a tenancy is stopped.
    pub fn stop_tenancy(&self, tenancy: TenancyId) -> bool {
        self.tenants.contains(&tenancy.as_uuid())
    }

    /// Whether any tenancy is stopped.
    pub fn stop_some_tenancy(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// Whether some mapping or tenancy is stopped.
    pub fn stop_something(&self) -> bool {
        !self.mappings.is_empty() || !self.tenants.is_empty()
    }
}

/// A blown fuse, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlownFuse {
    /// What kind of part it stops.
    pub kind: String,
    /// Which one; empty where there is one only.
    pub name: String,
    /// Since when, in UTC.
    pub blown_at: String,
    /// Why, if anybody said.
    pub reason: String,
}

/// Every blown fuse, in order of kind and name.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn blown(client: &Client) -> Result<Vec<BlownFuse>, SourceError> {
    const BLOWN: &str = "
SELECT kind, name, to_char(blown_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), reason FROM lockstep.fuse ORDER BY kind, name";
    let fuse = |row: &Row| BlownFuse { kind: row.get(0), name: row.get(1), blown_at: row.get(2), reason: row.get(3) };
    Ok(client.query(BLOWN, &[]).await?.iter().map(fuse).collect())
}

/// Blows a fuse. False: it was blown before, and keeps its time and reason.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn stop(client: &Client, kind: FuseKind, name: &str, reason: &str) -> Result<bool, SourceError> {
    const STOP: &str = "INSERT INTO lockstep.fuse (kind, name, reason) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    Ok(client.execute(STOP, &[&kind.as_str(), &name, &reason]).await? == 1)
}

/// Puts a fuse back on. False: it was not blown.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn go(client: &Client, kind: FuseKind, name: &str) -> Result<bool, SourceError> {
    const GO: &str = "DELETE FROM lockstep.fuse WHERE kind = $1 AND name = $2";
    Ok(client.execute(GO, &[&kind.as_str(), &name]).await? == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_stops_what_it_names_and_nothing_else() {
        let tenancy = TenancyId::new(Uuid::from_u128(7));
        let mut fuses = Fuses::default();
        fuses.add("", "");
        fuses.add("sequencer", "");
        fuses.add("of a newer version", "users");
        fuses.add("tenant", "no id");
        assert_eq!(fuses, Fuses::default());
        fuses.add("mapping", "users");
        fuses.add("tenant", &tenancy.to_string());
        fuses.add("destination", "elsewhere");
        assert!(fuses.stop_mapping(&"users".parse().unwrap()) && !fuses.stop_mapping(&"teams".parse().unwrap()));
        assert!(fuses.stop_tenancy(tenancy) && fuses.stop_some_tenancy() && fuses.stop_something());
        assert!(fuses.stop_shipping_to(&"elsewhere".into()) && !fuses.stop_shipping_to(&DestinationId::clickhouse()));
        fuses.add("worker", "");
        assert!(fuses.stop_shipping_to(&DestinationId::clickhouse()));
    }
}
