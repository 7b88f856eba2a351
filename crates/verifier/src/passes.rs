//! The first look at a mapping, at the level that is asked for: range by range, each in a snapshot of its own.

use lockstep_core::Location;
use lockstep_destinations::Destination;
use lockstep_destinations::compare::Compare;
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::Measure;
use lockstep_mappings::postgres::compare::{Grouping, Key, Projects, Scope};

use crate::error::VerifyError;
use crate::first_pass::{self, FirstPass};
use crate::level::Level;
use crate::look::Sides;
use crate::narrow::Narrowing;
use crate::service::VerifyOptions;
use crate::storage::{self, Head};
use crate::totals;
use crate::whose::Whose;
use crate::{progress::Progress, ranges};

/// A part of a mapping that was looked at in one snapshot of the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Looked {
    /// The projects, where not places were named.
    pub(crate) projects: Option<Projects>,
    /// The last number that the snapshot knows.
    pub(crate) head: Head,
    /// Rows of the source in it.
    pub(crate) rows: u64,
}

/// What the first look at a mapping came to.
#[derive(Default, Debug)]
pub(crate) struct MappingPass {
    pub(crate) found: FirstPass,
    pub(crate) looked: Vec<Looked>,
    /// Ranges that were left out, for the time was up, and whether each was proven lately.
    pub(crate) left_out: Vec<bool>,
    /// Keys that the destination has with a number that the source has not given out.
    pub(crate) ahead: Vec<Key>,
}

/// Looks at one mapping.
pub(crate) struct Passes<'a, D> {
    pub(crate) sides: &'a Sides<'a, D>,
    pub(crate) mapping: &'a Mapping,
    pub(crate) options: &'a VerifyOptions,
    pub(crate) progress: &'a Progress,
}

impl<D: Destination + Compare> Passes<'_, D> {
    /// Looks at all of it, or at these places.
    pub(crate) async fn all(&self, places: Option<&[Location]>) -> Result<MappingPass, VerifyError> {
        let mut pass = MappingPass::default();
        match (places, self.sides.whose) {
            (Some(places), Whose::Everybodys) => self.part(Scope::Locations(places), None, &mut pass).await?,
            (_, Whose::Own(_)) => self.part(Scope::All, None, &mut pass).await?,
            (None, Whose::Everybodys) => {
                for projects in self.ranges().await? {
                    self.range(&projects, &mut pass).await?;
                }
            }
        }
        Ok(pass)
    }

    /// The ranges that it is looked at in.
    pub(crate) async fn ranges(&self) -> Result<Vec<Projects>, VerifyError> {
        ranges::of_mapping(self.sides.source, self.mapping).await
    }

    /// Looks at one of its ranges.
    pub(crate) async fn range(&self, projects: &Projects, pass: &mut MappingPass) -> Result<(), VerifyError> {
        self.part(Scope::Projects(projects), Some(projects), pass).await
    }

    async fn part(
        &self,
        scope: Scope<'_>,
        projects: Option<&Projects>,
        pass: &mut MappingPass,
    ) -> Result<(), VerifyError> {
        let Self { sides, mapping, progress, .. } = *self;
        storage::begin_snapshot(sides.source).await?;
        let head = storage::head(sides.source).await?;
        let left = self.options.max_doubts.saturating_sub(pass.found.differing.len());
        let before = pass.found.source_rows;
        let totals = match self.measure().await? {
            None => None,
            Some(measure) => match totals::both(sides, mapping, scope, measure, Grouping::Location, progress).await {
                Err(error) if error.may_be_of_row() => {
                    storage::go_on(sides.source).await?;
                    None
                }
                totals => Some((measure, totals?)),
            },
        };
        match totals {
            Some((measure, totals)) => {
                storage::end_snapshot(sides.source).await?;
                self.narrow(measure, &totals, &mut pass.found).await?;
            }
            None => {
                pass.found.add(first_pass::compare_all(sides, mapping, scope, left, progress).await?);
                storage::end_snapshot(sides.source).await?;
            }
        }
        let rows = pass.found.source_rows - before;
        let (ahead, impossible) = self.ahead(scope).await?;
        pass.ahead.extend(ahead);
        pass.found.unjudged_anywhere |= impossible;
        pass.looked.push(Looked { projects: projects.cloned(), head, rows });
        Ok(())
    }

    async fn narrow(
        &self,
        measure: Measure,
        totals: &totals::BothTotals,
        found: &mut FirstPass,
    ) -> Result<(), VerifyError> {
        let Self { sides, mapping, progress, .. } = *self;
        let (source_rows, destination_rows) = totals.rows();
        let (alike, unlike) = totals.compare();
        found.source_rows += source_rows;
        found.destination_rows += destination_rows;
        found.equal_rows += alike;
        let limit = self.options.max_doubts;
        Narrowing { sides, mapping, measure, limit, progress }.all(&unlike, found).await
    }

    /// What is added up, where the level is not that of rows. The source is in the snapshot that is added up.
    async fn measure(&self) -> Result<Option<Measure>, VerifyError> {
        Ok(match self.options.level {
            Level::Rows => None,
            Level::Content => Some(totals::of_content()),
            Level::Versions => {
                let to = self.sides.destination.id();
                let (above, through) = storage::numbers_between(self.sides.source, self.mapping, &to).await?;
                Some(Measure::Versions { above, through })
            }
        })
    }

    /// Keys with a number that the destination has and the source, asked later, has not given out: then it was given out by another source,
    /// or by this one before it was set back. Then whether a key has one that Postgres cannot hold.
    async fn ahead(&self, scope: Scope<'_>) -> Result<(Vec<Key>, bool), VerifyError> {
        let Self { sides, mapping, .. } = *self;
        let before = storage::last_drawn(sides.source).await?;
        let found = sides.destination.ahead(mapping, scope, before, self.options.max_doubts).await?;
        if found.is_empty() {
            return Ok((Vec::new(), false));
        }
        let last = storage::last_drawn(sides.source).await?;
        let ahead = found.into_iter().filter(|(_, version)| *version > last).map(|(key, _)| key);
        // What Postgres cannot hold it cannot be asked for; it is counted where the totals are unlike.
        let (possible, impossible): (Vec<_>, Vec<_>) = ahead.partition(Key::is_possible);
        Ok((possible, !impossible.is_empty()))
    }
}
