//! Finding out how rows that differ came to: what the destination holds of them, what was numbered, what was written when.

use std::collections::{HashMap, HashSet};

use lockstep_core::{DestinationId, Location, SequenceId, TenancyId};
use lockstep_destinations::Destination;
use lockstep_destinations::compare::Compare;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::{self, Key};
use tokio_postgres::{Client, Row};

use crate::class::{Class, Evidence};
use crate::error::VerifyError;
use crate::judge::Kind;
use crate::look::Sides;
use crate::recheck::{Doubt, Outcome, chunk_length};
use crate::storage;
use crate::whose::Whose;

/// Keys in one statement.
const KEYS_AT_A_TIME: usize = 200;

/// What a finding tells besides the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) class: Class,
    /// The number that the destination shows.
    pub(crate) version: Option<SequenceId>,
    /// The number of the last change that is known.
    pub(crate) last_change: Option<SequenceId>,
}

/// Tells of every doubt that turned out to be real how it came to.
pub(crate) async fn classify<D: Destination + Compare>(
    sides: &Sides<'_, D>,
    mapping: &Mapping,
    doubts: &mut [Doubt],
) -> Result<(), VerifyError> {
    let mut real: Vec<_> = doubts.iter_mut().filter(|doubt| doubt.outcome() == Outcome::Real).collect();
    if real.is_empty() {
        return Ok(());
    }
    let fill = storage::fill(sides.source, mapping, &sides.destination.id(), sides.whose).await?;
    let mut rest = real.as_mut_slice();
    while !rest.is_empty() {
        let (chunk, others) = rest.split_at_mut(chunk_length(rest, KEYS_AT_A_TIME));
        rest = others;
        let keys: Vec<_> = chunk.iter().map(|doubt| doubt.key.clone()).collect();
        let held = sides.destination.held(mapping, &keys).await?;
        let last_drawn = storage::last_drawn(sides.source).await?;
        let changes = last_changes(sides, mapping, &keys).await?;
        let mut all: Vec<_> = chunk
            .iter()
            .map(|doubt| Evidence {
                kind: doubt.kind,
                held: held.get(&doubt.key).copied(),
                last_change: changes.get(&doubt.key).copied(),
                fill,
                last_drawn,
                is_written_later: false,
                is_elsewhere: false,
            })
            .collect();
        let later = written_later(sides, mapping, &keys, &all).await?;
        let elsewhere = elsewhere(sides, mapping, &keys, &all).await?;
        for ((doubt, evidence), key) in chunk.iter_mut().zip(&mut all).zip(&keys) {
            evidence.is_written_later = later.contains(key);
            evidence.is_elsewhere = elsewhere.contains(key);
            doubt.told = Some(Told {
                class: evidence.class(),
                version: evidence.held.map(|held| held.version),
                last_change: evidence.last_change,
            });
        }
    }
    Ok(())
}

/// Tells of the first doubts that are on their way since when.
pub(crate) async fn date(source: &Client, doubts: &mut [Doubt], most: usize) -> Result<(), VerifyError> {
    let waits =
        doubts.iter_mut().filter(|doubt| matches!(doubt.outcome(), Outcome::InFlight(_)) && doubt.waits_for.is_some());
    let mut waits: Vec<_> = waits.take(most).collect();
    let numbers: Vec<_> = waits.iter().filter_map(|doubt| doubt.waits_for.map(SequenceId::get)).collect();
    for (doubt, since) in waits.iter_mut().zip(storage::passed_at(source, &numbers).await?) {
        doubt.since = since;
    }
    Ok(())
}

/// The key of a row that begins with a location and canonical texts.
fn key(row: &Row, mapping: &Mapping) -> Key {
    let location = Location { project_id: row.get(0), branch_id: row.get(1) };
    Key { location, values: (0..mapping.key.len()).map(|index| row.get(2 + index)).collect() }
}

async fn last_changes<D: Destination>(
    sides: &Sides<'_, D>,
    mapping: &Mapping,
    keys: &[Key],
) -> Result<HashMap<Key, SequenceId>, VerifyError> {
    let to: DestinationId = sides.destination.id();
    let mut found: HashMap<Key, SequenceId> = HashMap::new();
    for row in sides.source.query(&sides.whose.claims(mapping, &to, keys, &[]), &[]).await? {
        if let Some(sequence) = row.get::<_, Option<i64>>(4 + mapping.key.len()).map(SequenceId::new) {
            let last = found.entry(key(&row, mapping)).or_insert(sequence);
            *last = sequence.max(*last);
        }
    }
    Ok(found)
}

/// Keys whose rows were written by transactions that came after the numbers that the destination should hold.
async fn written_later<D>(
    sides: &Sides<'_, D>,
    mapping: &Mapping,
    keys: &[Key],
    all: &[Evidence],
) -> Result<HashSet<Key>, VerifyError> {
    let expected: HashMap<&Key, SequenceId> = keys.iter().zip(all.iter().map(Evidence::expected)).collect();
    let in_source: Vec<_> =
        keys.iter().zip(all).filter(|(_, one)| one.kind != Kind::Unexpected).map(|(key, _)| key.clone()).collect();
    if in_source.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = sides.source.query(&sides.whose.written(mapping, &in_source), &[]).await?;
    let written: Vec<(Key, i64)> = rows.iter().map(|row| (key(row, mapping), row.get(2 + mapping.key.len()))).collect();
    let (keys, xids): (Vec<Key>, Vec<i64>) = written.into_iter().unzip();
    let numbers: Vec<i64> = keys.iter().map(|key| expected.get(key).map_or(0, |number| number.get())).collect();
    let later = sides.source.query(&compare::not_seen(), &[&xids, &numbers]).await?;
    let place = |row: &Row| usize::try_from(row.get::<_, i64>(0) - 1).ok();
    Ok(later.iter().filter_map(|row| keys.get(place(row)?).cloned()).collect())
}

/// Keys that only the destination has there, and that the source has elsewhere.
async fn elsewhere<D>(
    sides: &Sides<'_, D>,
    mapping: &Mapping,
    keys: &[Key],
    all: &[Evidence],
) -> Result<HashSet<Key>, VerifyError> {
    let unexpected: Vec<_> =
        keys.iter().zip(all).filter(|(_, one)| one.kind == Kind::Unexpected).map(|(key, _)| key.clone()).collect();
    if unexpected.is_empty() {
        return Ok(HashSet::new());
    }
    let is_other = |row: &Row| {
        let owner = TenancyId::new(row.get(2 + mapping.key.len()));
        sides.whose != Whose::Own(owner)
    };
    // How a row came to is told where it can be; that it differs is known. A table that takes too long to read says nothing.
    let rows = match owners(sides.source, mapping, &unexpected).await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::warn!(mapping = %mapping.name, %error, "whose rows these are elsewhere was not found out");
            storage::give_up_look(sides.source).await?;
            Vec::new()
        }
    };
    Ok(rows.iter().filter(|row| is_other(row)).map(|row| key(row, mapping)).collect())
}

/// Without the tenancy no index of the platform may serve.
async fn owners(source: &Client, mapping: &Mapping, keys: &[Key]) -> Result<Vec<Row>, VerifyError> {
    storage::let_read_whole(source).await?;
    let rows = source.query(&compare::owners(mapping, keys), &[]).await?;
    storage::end_snapshot(source).await?;
    Ok(rows)
}
