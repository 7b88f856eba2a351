//! The watch: looks at the catalog every half minute, and at once after a migration where an event trigger tells (CAP-1).
//!
//! What can go past triggers is noticed here. A mapping whose table no longer fits its definition is paused alone, and resumed
//! by itself when it fits again. A table whose rows may have changed without a row trigger (it was rewritten, a column was
//! replaced, an enum's label renamed) has its mappings filled again. So has one that got a trigger which may change rows on
//! the way: ours is installed anew. A trigger that is missing or disabled is said loudly: `lockstep migrate` puts it back, and
//! has the mappings filled again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lockstep_core::DestinationId;
use lockstep_mappings::{Mapping, MappingSet, SourceTable};
use lockstep_schema::attach::{
    Flaw, Live, apply, flaws, inspect_catalog, mappings_of, may_have_changed, outflanked, shape,
};
use lockstep_schema::tasks::{Ran, Task};
use lockstep_schema::{Control, Session, Source, SourceError, pauses, refills};

use crate::metrics;

/// Noticed within a minute, with room for a look that fails.
const EVERY: Duration = Duration::from_secs(20);

/// Looks at the catalog.
pub(crate) struct Watch {
    pub(crate) mappings: Arc<MappingSet>,
}

impl Task for Watch {
    const NAME: &'static str = "watch";
    const TIMEOUT: Duration = Duration::from_secs(60);
    type Session = Control;
    type Error = SourceError;

    async fn open(&self, source: &Source) -> Result<Control, SourceError> {
        source.connect_diesel(Session::Control).await
    }

    async fn run(&mut self, source: &Source, control: &mut Control) -> Result<Ran, SourceError> {
        let mut live = inspect_catalog(source, &self.mappings).await?;
        if live.captured.is_empty() {
            return Ok(Ran::did(0, EVERY));
        }
        if !self.is_set_up(&live) {
            // What others have set up would be taken for what somebody has altered.
            tracing::warn!(
                "LS-0515: `lockstep migrate` was last run with other definitions: nobody looks for migrations of the platform until this sequencer has the same"
            );
            return Ok(Ran::waits("LS-0515: `lockstep migrate` was last run with other definitions", EVERY));
        }
        if self.mend_outflanked(source, control, &live).await? {
            live = inspect_catalog(source, &self.mappings).await?;
        }
        let flawed = self.tell_flaws(&live);
        let changed = self.changed_tables(&live);
        let fitting = self.pause_misfits(control, &live).await?;
        let paused = pauses::paused_automatically(control).await?;
        let wanted = refills::wanted(control).await?;
        let destination_needs_it = refills::is_due(control, &DestinationId::clickhouse()).await?;
        let mut due = Vec::new();
        for mapping in fitting {
            let name = mapping.name.as_str();
            let tables: Vec<_> = mapping.joins.iter().map(|join| &join.table).chain([&mapping.source]).collect();
            let reason = if let Some(reason) = wanted.get(name) {
                reason.as_str()
            } else if paused.contains(name) {
                "it fits its table again"
            } else if tables.iter().any(|table| changed.contains(*table)) {
                "its table was altered, and rows may have changed without a trigger"
            } else if destination_needs_it {
                "changes that it had not passed were dropped"
            } else {
                continue;
            };
            // While a trigger is away more may be missed: `lockstep migrate` has it filled when it is back.
            if tables.iter().any(|table| flawed.contains(*table)) {
                continue;
            }
            due.push((mapping, reason));
        }
        // Written down first: a fill that has begun notes what its tables are now, and others of the same tables would not be
        // found again.
        refills::want(control, &due).await?;
        let mut filled = 0;
        for (mapping, reason) in due {
            // One that cannot be filled at the moment does not keep the others from it; it is looked at again.
            match self.refill(control, &live, mapping, reason).await {
                Ok(()) => filled += 1,
                Err(error) => tracing::warn!(mapping = %mapping.name, %error, "a mapping cannot be filled again yet"),
            }
        }
        Ok(Ran::did(filled, EVERY))
    }
}

impl Watch {
    /// Whether all mappings are set up as this program knows them.
    fn is_set_up(&self, live: &Live) -> bool {
        let is_set_up =
            |mapping: &Mapping| live.definitions.get(mapping.name.as_str()).is_some_and(|found| found.is_of(mapping));
        self.mappings.iter().all(is_set_up) && live.definitions.len() == self.mappings.iter().count()
    }

    /// Installs triggers anew that do not see what a newer trigger of somebody else's changes on the way, and has filled again
    /// what may have been missed. Returns whether there were any.
    async fn mend_outflanked(&self, source: &Source, control: &Control, live: &Live) -> Result<bool, SourceError> {
        let (steps, tables) = outflanked(&self.mappings, live);
        let reason = "a trigger came that may change its rows on the way";
        let missed: Vec<_> = tables
            .iter()
            .flat_map(|table| mappings_of(&self.mappings, table).map(|mapping| (mapping, reason)))
            .collect();
        // Written down first: afterwards nothing tells that there was something to miss.
        refills::want(control, &missed).await?;
        apply(source, &steps, |_| {}).await?;
        Ok(!steps.is_empty())
    }

    async fn refill(
        &self,
        control: &mut Control,
        live: &Live,
        mapping: &Mapping,
        reason: &str,
    ) -> Result<(), SourceError> {
        let shapes: Vec<_> = self
            .captured(live)
            .filter(|(table, ..)| mappings_of(&self.mappings, table).any(|other| other.name == mapping.name))
            .collect();
        refills::begin(control, mapping, &DestinationId::clickhouse(), reason, &shapes).await?;
        tracing::warn!(mapping = %mapping.name, reason, "a mapping is filled again");
        Ok(())
    }

    /// The captured tables, each with its shape now, and whether its triggers name no column.
    fn captured<'a>(&'a self, live: &'a Live) -> impl Iterator<Item = (&'a SourceTable, String, bool)> {
        live.captured.iter().filter_map(|(table, captured)| {
            let facts = live.facts.get(table)?;
            Some((table, shape(&self.mappings, table, facts), captured.relaxed))
        })
    }

    fn changed_tables<'a>(&'a self, live: &'a Live) -> BTreeSet<&'a SourceTable> {
        let changed = |(table, now, _): (&'a SourceTable, String, bool)| {
            may_have_changed(&live.captured[table].shape, &now).then_some(table)
        };
        self.captured(live).filter_map(changed).collect()
    }

    /// Says which triggers are not as they must be; returns the tables of which changes may be missed.
    fn tell_flaws(&self, live: &Live) -> BTreeSet<SourceTable> {
        let found = flaws(&self.mappings, live);
        let missing: Vec<&Flaw> = found.iter().filter(|flaw| flaw.kind.may_have_missed()).collect();
        metrics::set(metrics::FLAWED_TRIGGERS, missing.len());
        for Flaw { table, name, kind } in &missing {
            let table = table.as_ref().map_or("", |table| table.name.as_str());
            tracing::error!(
                table,
                name,
                ?kind,
                "LS-0509: changes may go unnoticed: run `lockstep migrate`, which puts it right and fills again what it concerns"
            );
        }
        missing.into_iter().filter_map(|flaw| flaw.table.clone()).collect()
    }

    /// Pauses mappings that do not fit; returns the others.
    async fn pause_misfits(&self, control: &Control, live: &Live) -> Result<Vec<&Mapping>, SourceError> {
        let mut fitting = Vec::new();
        for mapping in self.mappings.iter() {
            let misfits = live.misfits_of(mapping);
            let Some(first) = misfits.first() else {
                fitting.push(mapping);
                continue;
            };
            let reason = format!("LS-0508: {first}; {}", pauses::after_misfit());
            if pauses::pause_automatically(control, &mapping.name, &reason).await? {
                tracing::error!(mapping = %mapping.name, reason, "a mapping no longer fits its table and is paused; the others go on");
            }
        }
        metrics::set(metrics::MISFITS, self.mappings.iter().count() - fitting.len());
        Ok(fitting)
    }
}

#[cfg(test)]
mod tests {
    use lockstep_core::secret::SecretUrl;
    use lockstep_schema::attach;
    use lockstep_testkit::databases::{SOURCE_SCHEMA, TestDatabase};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_look_at_the_catalog_asks_for_no_tenancy() {
        let database = TestDatabase::create().await.unwrap();
        let client = database.connect().await.unwrap();
        client.batch_execute(SOURCE_SCHEMA).await.unwrap();
        let source = Source::new(&SecretUrl::new(database.url()), None).unwrap();
        let mappings = Arc::new(MappingSet::built_in());
        let live = attach::inspect(&source, &mappings).await.unwrap();
        let steps = attach::plan(&mappings, &live, &attach::Wishes::default()).unwrap();
        apply(&source, &steps, |_| {}).await.unwrap();
        // However many there are: whoever reads where they are fails.
        client.batch_execute("ALTER TABLE lockstep.tenancy_location RENAME TO away").await.unwrap();
        assert!(attach::inspect(&source, &mappings).await.is_err());
        let mut watch = Watch { mappings };
        let mut control = watch.open(&source).await.unwrap();
        watch.run(&source, &mut control).await.unwrap();
        drop((control, client));
        database.remove().await.unwrap();
    }
}
