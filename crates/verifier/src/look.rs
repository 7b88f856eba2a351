//! One look at a few keys: cursors, then the source in one snapshot, then the destination. The order is what [`crate::judge`]
//! argues from.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;

use futures_util::TryStreamExt;
use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_destinations::compare::{Compare, Row, Shape};
use lockstep_destinations::{Destination, Selection};
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::{Key, Part, Scope};
use lockstep_mappings::postgres::fetch::ReadFrom;
use lockstep_operations::claims::Claim;
use tokio_postgres::Client;

use crate::error::VerifyError;
use crate::judge::{Kind, Look};
use crate::source_rows::SourceRows;
use crate::storage;
use crate::whose::Whose;

/// Both sides, as looks and passes use them.
pub(crate) struct Sides<'a, D> {
    /// In no transaction.
    pub(crate) source: &'a Client,
    pub(crate) destination: &'a D,
    pub(crate) whose: Whose,
}

/// What a look found at a key, for judging and for telling.
pub(crate) struct Seen {
    pub(crate) look: Look,
    /// Where both sides have the row: the columns that differ.
    pub(crate) columns: Vec<String>,
    /// Whose row it is, where that is known.
    pub(crate) tenancy: Option<TenancyId>,
    /// Whether it is in quarantine for the destination.
    pub(crate) quarantined: bool,
}

/// What the source knows of a key that the destination may lack.
#[derive(Default)]
struct Known {
    claims: Vec<Claim>,
    quarantined: bool,
}

/// Every tenancy that is or was at the place of one of these keys.
async fn tenancies_at(source: &Client, keys: &[Key]) -> Result<Vec<TenancyId>, VerifyError> {
    let locations: BTreeSet<&Location> = keys.iter().map(|key| &key.location).collect();
    storage::tenancies_at(source, &locations.into_iter().collect::<Vec<_>>()).await
}

type RowsByKey = HashMap<Key, Vec<Row>>;

/// Looks at keys of one mapping.
pub(crate) struct Looker<'a> {
    pub(crate) mapping: &'a Mapping,
    shape: Shape,
    /// Cursors as the first look found them: changes above them are told, so that no later one goes unnoticed.
    first_cursors: HashMap<TenancyId, SequenceId>,
}

impl<'a> Looker<'a> {
    pub(crate) fn new(mapping: &'a Mapping) -> Self {
        Self { mapping, shape: Shape::of(mapping), first_cursors: HashMap::new() }
    }

    /// One answer for each key, in their order.
    pub(crate) async fn look<D: Destination + Compare>(
        &mut self,
        sides: &Sides<'_, D>,
        keys: &[Key],
    ) -> Result<Vec<Seen>, VerifyError> {
        let tenancies = match sides.whose {
            Whose::Everybodys => tenancies_at(sides.source, keys).await?,
            Whose::Own(tenancy) => vec![tenancy],
        };
        let cursors = self.cursors(sides.destination, &tenancies).await?;
        storage::begin_look(sides.source).await?;
        let living = self.source_rows(sides, keys).await?;
        let mut known = self.known(sides, keys, &tenancies, &cursors).await?;
        let filled = storage::is_filled(sides.source, self.mapping, &sides.destination.id(), sides.whose).await?;
        // A database of its own has a cursor only of what is filled.
        let filled = filled && (sides.whose == Whose::Everybodys || !cursors.is_empty());
        storage::end_snapshot(sides.source).await?;
        let held = self.destination_rows(sides.destination, keys).await?;
        let none = Vec::new();
        let seen = keys.iter().map(|key| {
            let (living, held) = (living.get(key).unwrap_or(&none), held.get(key).unwrap_or(&none));
            self.seen(living, held, known.remove(key).unwrap_or_default(), filled)
        });
        Ok(seen.collect())
    }

    async fn cursors(
        &mut self,
        destination: &impl Destination,
        tenancies: &[TenancyId],
    ) -> Result<HashMap<TenancyId, SequenceId>, VerifyError> {
        let name = self.mapping.name.clone();
        let found = destination.cursors(Selection::These(tenancies), Selection::These(&[name])).await?;
        let found: HashMap<_, _> = found.into_iter().map(|((tenancy, _), cursor)| (tenancy, cursor)).collect();
        for &tenancy in tenancies {
            let cursor = found.get(&tenancy).copied().unwrap_or_default();
            self.first_cursors.entry(tenancy).or_insert(cursor);
        }
        Ok(found)
    }

    async fn source_rows<D>(&self, sides: &Sides<'_, D>, keys: &[Key]) -> Result<RowsByKey, VerifyError> {
        let sql = sides.whose.rows(self.mapping, Scope::Keys(keys), Part::Without(&[]));
        let mut rows = SourceRows::open(sides.source, &sql, &self.shape).await?;
        let mut found = RowsByKey::new();
        while let Some(row) = rows.next().await? {
            self.keep(&mut found, row);
        }
        Ok(found)
    }

    async fn destination_rows(&self, destination: &impl Compare, keys: &[Key]) -> Result<RowsByKey, VerifyError> {
        let mut rows = pin!(destination.rows(self.mapping, Scope::Keys(keys)));
        let mut found = RowsByKey::new();
        while let Some(row) = rows.try_next().await? {
            self.keep(&mut found, row);
        }
        Ok(found)
    }

    fn keep(&self, found: &mut RowsByKey, row: Row) {
        // Only keys that can be written as text were asked for.
        if let Some(key) = self.shape.key(&row) {
            found.entry(key).or_default().push(row);
        }
    }

    async fn known<D: Destination>(
        &self,
        sides: &Sides<'_, D>,
        keys: &[Key],
        tenancies: &[TenancyId],
        cursors: &HashMap<TenancyId, SequenceId>,
    ) -> Result<HashMap<Key, Known>, VerifyError> {
        let mut found: HashMap<Key, Known> = HashMap::new();
        let first = |tenancy: &TenancyId| self.first_cursors.get(tenancy).copied().unwrap_or_default();
        let after: Vec<_> =
            tenancies.iter().map(|tenancy| ReadFrom { tenancy: *tenancy, after: first(tenancy) }).collect();
        let fields = self.mapping.key.len();
        let sql = sides.whose.claims(self.mapping, &sides.destination.id(), keys, &after);
        for row in sides.source.query(&sql, &[]).await? {
            let location = Location { project_id: row.get(0), branch_id: row.get(1) };
            let values = (0..fields).map(|index| row.get(2 + index)).collect();
            let known = found.entry(Key { location, values }).or_default();
            known.claims.push(Claim::read(&row, 2 + fields, cursors));
            known.quarantined |= row.get::<_, bool>(6 + fields);
        }
        Ok(found)
    }

    fn seen(&self, living: &[Row], held: &[Row], known: Known, filled: bool) -> Seen {
        let Known { claims, quarantined } = known;
        let (kind, columns) = self.compare(living, held);
        let last = claims.iter().filter(|claim| claim.sequence.is_some() || claims.len() == 1);
        let last = last.max_by_key(|claim| claim.sequence).map(|claim| claim.tenancy);
        let tenancy = living.first().and_then(|row| row.tenancy).or(last);
        Seen { look: Look { kind, claims, filled }, columns, tenancy, quarantined }
    }

    fn compare(&self, living: &[Row], held: &[Row]) -> (Option<Kind>, Vec<String>) {
        match (living, held) {
            ([], []) => (None, Vec::new()),
            ([source], [destination]) if source.is_like(destination) => (None, Vec::new()),
            ([source], [destination]) => {
                let columns = self.shape.differing(source, destination).into_iter().map(ToOwned::to_owned);
                (Some(Kind::Different), columns.collect())
            }
            // A key that is there twice has a row too many on that side, whatever the other holds.
            _ if living.len() >= held.len() => (Some(Kind::Missing), Vec::new()),
            _ => (Some(Kind::Unexpected), Vec::new()),
        }
    }
}
