//! How far the destination has come, as the source keeps it (`lockstep.destination`).

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::ServerStart;
use lockstep_mappings::postgres::inbox::HEAD;
use lockstep_mappings::postgres::{Target, quarantine};
use lockstep_schema::definitions::Known;
use lockstep_schema::locks::SessionLock;
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{DESTINATION, LocationsByTenancy, look_up, restarts, sweep_results};
use crate::mappings::Mappings;
use crate::metrics;
use crate::sweep::Found;

/// One sweep at a time, whichever worker does it: the bytes of `locksswp`.
pub const SWEEP_LOCK: i64 = i64::from_be_bytes(*b"locksswp");

/// It names the key, and so fails while there is none: in the middle of a dump's loading a row would keep the key from being
/// made.
const BEGIN: &str = "INSERT INTO lockstep.destination (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
const ADVANCE: &str =
    "UPDATE lockstep.destination SET passed = $2, passed_at = clock_timestamp() WHERE name = $1 AND passed < $2";
/// Whose rows, of which mappings, changed in ($1, $2], and the first and the last change of each.
const CHANGED: &str = "
SELECT tenancy_id, mapping, min(sequence), max(sequence) FROM lockstep.change WHERE sequence > $1 AND sequence <= $2 GROUP BY 1, 2";

/// The first and the last change of a mapping of a tenancy.
pub(crate) type Changed = HashMap<(TenancyId, MappingName), RangeInclusive<SequenceId>>;

/// A connection for sweeping. While it lives and holds the lock, no other worker sweeps.
pub(crate) struct ProgressSession {
    client: Client,
    mappings: HashMap<i32, MappingName>,
    known: Known,
    lock: SessionLock,
}

impl ProgressSession {
    pub(crate) async fn open(source: &Source, mappings: &Mappings) -> Result<Self, SourceError> {
        let client = source.connect(Session::Control).await?;
        client
            .batch_execute("SET statement_timeout = '60s'; SET enable_seqscan = off; SET synchronous_commit = off")
            .await?;
        client.execute(BEGIN, &[&DESTINATION]).await?;
        let known = mappings.known().clone();
        let mappings = mappings.iter().map(|mapping| (Target::row(mapping).id(), mapping.name.clone())).collect();
        Ok(Self { client, mappings, known, lock: SessionLock::new(SWEEP_LOCK) })
    }

    /// Tries to become the one worker that sweeps, and returns whether this is it: from then on as long as the connection lives.
    /// One that does not know all that is captured would pass over changes that nobody has shipped: it leaves it to others.
    pub(crate) async fn lead(&mut self) -> Result<bool, SourceError> {
        if self.known.are_captured(&self.client).await? {
            return self.lock.try_take(&self.client).await;
        }
        self.lock.give_up(&self.client).await?;
        Ok(false)
    }

    /// Through which number everything has been shipped, and the last that was given out.
    pub(crate) async fn position(&self) -> Result<(SequenceId, SequenceId), SourceError> {
        let position = format!("SELECT d.passed, {HEAD} FROM lockstep.destination d WHERE d.name = $1");
        let row = self.client.query_one(&position, &[&DESTINATION]).await?;
        Ok((SequenceId::new(row.try_get(0)?), SequenceId::new(row.try_get(1)?)))
    }

    /// Writes down that everything up to here has been shipped. It never moves back.
    pub(crate) async fn advance(&self, passed: SequenceId) -> Result<(), SourceError> {
        self.client.execute(ADVANCE, &[&DESTINATION, &passed.get()]).await?;
        Ok(())
    }

    /// For how long something may have waited when another swept last; `None` where nobody has swept.
    pub(crate) async fn before(&self) -> Result<Option<Duration>, SourceError> {
        sweep_results::before(&self.client).await
    }

    /// Writes down what was found.
    pub(crate) async fn write_result(&self, found: &Found) -> Result<(), SourceError> {
        sweep_results::write(&self.client, found).await
    }

    /// What changed above one number and up to another.
    pub(crate) async fn changed(&self, after: SequenceId, up_to: SequenceId) -> Result<Changed, SourceError> {
        let mut changed = Changed::new();
        for row in self.client.query(CHANGED, &[&after.get(), &up_to.get()]).await? {
            if let Some(name) = self.mappings.get(&row.try_get(1)?) {
                let changes = SequenceId::new(row.try_get(2)?)..=SequenceId::new(row.try_get(3)?);
                changed.insert((TenancyId::new(row.try_get(0)?), name.clone()), changes);
            }
        }
        Ok(changed)
    }

    /// Takes note of the destination's servers; returns how many were started again.
    pub(crate) async fn note_servers(&mut self, servers: &[ServerStart]) -> Result<usize, SourceError> {
        restarts::note_servers(&mut self.client, servers).await
    }

    /// Gives changes to some of the rows that a server may have lost; returns how many, `None` when none is left.
    pub(crate) async fn change_some_again(&mut self) -> Result<Option<u64>, SourceError> {
        restarts::change_some_again(&mut self.client).await
    }

    /// Forgets the destination's servers: it writes through.
    pub(crate) async fn forget_servers(&self) -> Result<(), SourceError> {
        restarts::forget_servers(&self.client).await
    }

    /// Notes how far the destination has come.
    pub(crate) async fn note_passed(&self) -> Result<(), SourceError> {
        restarts::note_passed(&self.client).await
    }

    /// Those of these tenancies that have something to ship.
    pub(crate) async fn known(&self, tenancies: &[TenancyId]) -> Result<LocationsByTenancy, SourceError> {
        look_up(&self.client, tenancies).await
    }

    /// Forgets rows in quarantine of which the destination has passed a later change, and tells how many there are.
    pub(crate) async fn look_through_quarantine(&self, passed: SequenceId) -> Result<(), SourceError> {
        const ENTRIES: &str =
            "SELECT DISTINCT mapping_name, tenancy_id FROM lockstep.quarantine WHERE destination = $1";
        let rows = self.client.query(ENTRIES, &[&DESTINATION]).await?;
        let of = |name: &str| self.mappings.iter().find(|(_, known)| known.as_str() == name).map(|(target, _)| *target);
        let entries: Vec<(String, i32, Uuid)> =
            rows.iter().filter_map(|row| Some((row.get(0), of(row.get(0))?, row.get(1)))).collect();
        let names: Vec<&str> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        let targets: Vec<i32> = entries.iter().map(|(_, target, _)| *target).collect();
        let tenancies: Vec<Uuid> = entries.iter().map(|(.., tenancy)| *tenancy).collect();
        let up_to = vec![passed.get(); entries.len()];
        let forget = quarantine::forget_superseded();
        self.client.execute(&forget, &[&DESTINATION, &names, &targets, &tenancies, &up_to]).await?;
        const COUNT: &str = "SELECT count(*) FROM lockstep.quarantine WHERE destination = $1 AND mapping_name = $2";
        for name in self.mappings.values() {
            let rows = self.client.query_one(COUNT, &[&DESTINATION, &name.as_str()]).await?.try_get(0)?;
            metrics::in_quarantine(name, rows);
        }
        Ok(())
    }
}
