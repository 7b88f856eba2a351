//! What operators have paused (`lockstep.pause`).
//!
//! Each question fails where Postgres cannot be asked.

use std::collections::BTreeSet;
use std::fmt;

use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;
use lockstep_core::{DestinationId, MappingName, TenancyId};
use serde::Serialize;
use uuid::Uuid;

use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::{UTC, pause, resumed, to_char};

/// The condition under which nothing is to be numbered, for the sequencer's one question.
pub const SEQUENCER_IS_PAUSED: &str = "EXISTS (SELECT 1 FROM lockstep.pause WHERE kind = 'sequencer')";

/// What can be paused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Changes get no numbers; they stay in the inbox.
    Sequencer,
    /// No worker ships anything.
    Workers,
    /// One mapping is not shipped.
    Mapping(String),
    /// Nothing is shipped to one destination.
    Destination(String),
    /// One tenancy is not shipped; nor is anything filled, as ranges hold rows of all tenancies.
    Tenancy(TenancyId),
}

impl Part {
    /// `sequencer`, `workers`, `mapping`, `destination` or `tenancy`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sequencer => "sequencer",
            Self::Workers => "workers",
            Self::Mapping(_) => "mapping",
            Self::Destination(_) => "destination",
            Self::Tenancy(_) => "tenancy",
        }
    }

    /// Which mapping, destination or tenancy; empty where there is one only.
    pub fn name(&self) -> String {
        match self {
            Self::Sequencer | Self::Workers => String::new(),
            Self::Mapping(name) | Self::Destination(name) => name.clone(),
            Self::Tenancy(id) => id.to_string(),
        }
    }
}

/// What is left to do once definitions have changed.
pub const RESTART: &str =
    "restart lockstep-sequencer, lockstep-worker and lockstep console: they hold the definitions they started with";

/// What lets a mapping go on that Lockstep paused as it does not fit its table.
pub fn after_misfit() -> String {
    format!("mend the table, which is enough; or correct the definition, run `lockstep migrate`, and {RESTART}")
}

/// A part that is paused.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Serialize)]
pub struct PausedPart {
    /// As [`Part::kind`] has it.
    pub kind: String,
    /// As [`Part::name`] has it.
    pub name: String,
    /// Since when, in UTC.
    pub since: String,
    /// Why, if anybody said.
    pub reason: String,
}

impl PausedPart {
    /// Whether Lockstep paused it as it does not fit its table.
    pub fn is_of_misfit(&self) -> bool {
        self.kind == "mapping" && self.reason.starts_with("LS-0508")
    }
}

impl fmt::Display for PausedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.name.is_empty() { "" } else { " " };
        write!(f, "{}{space}{} paused since {}", self.kind, self.name, self.since)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

/// Everything that is paused, in order of kind and name.
pub async fn paused(control: &Control) -> Result<Vec<PausedPart>, SourceError> {
    let since = to_char(pause::paused_at.nullable(), UTC).assume_not_null();
    let parts = pause::table.select((pause::kind, pause::name, since, pause::reason));
    Ok(parts.order((pause::kind, pause::name)).load(&mut &*control).await?)
}

/// Pauses a part. Returns false where it was paused before; then it keeps its time and reason.
pub async fn pause(control: &Control, part: &Part, reason: &str) -> Result<bool, SourceError> {
    insert(control, part, reason, false).await
}

/// Pauses a mapping until it fits its table again. Returns false where it was paused before.
pub async fn pause_automatically(control: &Control, mapping: &MappingName, why: &str) -> Result<bool, SourceError> {
    insert(control, &Part::Mapping(mapping.to_string()), why, true).await
}

async fn insert(control: &Control, part: &Part, reason: &str, automatic: bool) -> Result<bool, SourceError> {
    let (kind, name) = (pause::kind.eq(part.kind()), pause::name.eq(part.name()));
    let row = (kind, name, pause::reason.eq(reason), pause::automatic.eq(automatic));
    let insert = diesel::insert_into(pause::table).values(row).on_conflict_do_nothing();
    Ok(insert.execute(&mut &*control).await? == 1)
}

/// The mappings that [`pause_automatically`] has paused.
pub async fn paused_automatically(control: &Control) -> Result<BTreeSet<String>, SourceError> {
    let mappings = pause::table.filter(pause::kind.eq("mapping").and(pause::automatic)).select(pause::name);
    Ok(mappings.load(&mut &*control).await?.into_iter().collect())
}

/// Lets a mapping go on that [`pause_automatically`] has paused.
pub(crate) async fn resume_automatically(control: &mut Control, mapping: &MappingName) -> Result<(), SourceError> {
    let row = pause::table.find(("mapping", mapping.as_str())).filter(pause::automatic);
    diesel::delete(row).execute(control).await?;
    Ok(())
}

/// Lets a part go on. Returns false where it was not paused.
pub async fn resume(control: &Control, part: &Part) -> Result<bool, SourceError> {
    let row = pause::table.find((part.kind(), part.name()));
    Ok(diesel::delete(row).execute(&mut &*control).await? == 1)
}

/// What is paused, for workers, at one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pauses {
    /// How often anything was resumed, ever.
    pub resumed: i64,
    workers: bool,
    destinations: BTreeSet<String>,
    mappings: BTreeSet<String>,
    tenancies: BTreeSet<Uuid>,
}

impl Pauses {
    /// Reads them, in one snapshot.
    pub async fn read(control: &mut Control) -> Result<Self, SourceError> {
        let rows: Vec<(i64, Option<(String, String)>)> = resumed::table
            .left_join(pause::table.on(true.into_sql::<Bool>()))
            .select((resumed::times, (pause::kind, pause::name).nullable()))
            .load(control)
            .await?;
        let mut pauses = Self::default();
        for (times, part) in rows {
            pauses.resumed = times;
            if let Some((kind, name)) = part {
                pauses.add(&kind, &name);
            }
        }
        Ok(pauses)
    }

    /// A kind that a newer version has pauses nothing here.
    fn add(&mut self, kind: &str, name: &str) {
        match kind {
            "workers" => self.workers = true,
            "destination" => drop(self.destinations.insert(name.to_owned())),
            "mapping" => drop(self.mappings.insert(name.to_owned())),
            "tenancy" => self.tenancies.extend(Uuid::parse_str(name)),
            _ => {}
        }
    }

    /// Whether nothing is to be shipped to a destination, by any worker.
    pub fn is_shipping_paused(&self, destination: &DestinationId) -> bool {
        self.workers || self.destinations.contains(destination.as_str())
    }

    /// Whether a mapping is paused.
    pub fn is_mapping_paused(&self, mapping: &MappingName) -> bool {
        self.mappings.contains(mapping.as_str())
    }

    /// Whether a tenancy is paused.
    pub fn is_tenancy_paused(&self, tenancy: TenancyId) -> bool {
        self.tenancies.contains(&tenancy.as_uuid())
    }

    /// Whether any tenancy is paused.
    pub fn is_some_tenancy_paused(&self) -> bool {
        !self.tenancies.is_empty()
    }

    /// Whether some mapping or tenancy is paused.
    pub fn is_some_part_paused(&self) -> bool {
        !self.mappings.is_empty() || !self.tenancies.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_pauses_what_it_names_and_nothing_else() {
        let tenancy = TenancyId::new(Uuid::from_u128(7));
        let mut pauses = Pauses::default();
        pauses.add("", "");
        pauses.add("sequencer", "");
        pauses.add("of a newer version", "users");
        pauses.add("tenancy", "no id");
        assert_eq!(pauses, Pauses::default());
        pauses.add("mapping", "users");
        for part in [Part::Tenancy(tenancy), Part::Destination("elsewhere".to_owned())] {
            pauses.add(part.kind(), &part.name());
        }
        assert!(pauses.is_mapping_paused(&"users".parse().unwrap()));
        assert!(!pauses.is_mapping_paused(&"teams".parse().unwrap()));
        assert!(pauses.is_tenancy_paused(tenancy) && pauses.is_some_tenancy_paused() && pauses.is_some_part_paused());
        assert!(pauses.is_shipping_paused(&"elsewhere".into()));
        assert!(!pauses.is_shipping_paused(&DestinationId::clickhouse()));
        pauses.add(Part::Workers.kind(), "");
        assert!(pauses.is_shipping_paused(&DestinationId::clickhouse()));
    }
}
