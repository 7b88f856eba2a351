//! Few numbers about many rows of ClickHouse, and what it knows of keys besides their columns.

use std::collections::HashMap;

use bytes::{Buf, BytesMut};
use futures_util::TryStreamExt;
use lockstep_core::{Location, SequenceId};
use lockstep_mappings::clickhouse::{self as derived, Measure};
use lockstep_mappings::postgres::compare::{Grouping, Key, Scope};
use lockstep_mappings::row_hash::{Form, HashSeed, RowHasher};
use lockstep_mappings::{ColumnType, Mapping};

use super::compare::{MAX_ROW_BYTES, split_string};
use super::{ClickHouse, error};
use crate::compare::{Group, GroupTotals, Held, Totals};
use crate::error::{DestinationError, Failure};

/// A location and a key are shorter.
const MAX_KEY_ROW_BYTES: usize = 1024 * 1024;

pub(super) async fn totals(
    from: &ClickHouse,
    mapping: &Mapping,
    scope: Scope<'_>,
    measure: Measure,
    grouping: Grouping,
) -> Result<GroupTotals, DestinationError> {
    match measure {
        Measure::Versions { above, through } => {
            numbers(from, &derived::numbers(mapping, &from.databases, scope, above, through)).await
        }
        Measure::Content(seed) => {
            content(from, mapping, &derived::content(mapping, &from.databases, scope, grouping), seed).await
        }
    }
}

async fn numbers(from: &ClickHouse, sql: &str) -> Result<GroupTotals, DestinationError> {
    let mut found = GroupTotals::new();
    each(from, sql, MAX_KEY_ROW_BYTES, |fields| {
        let Some(location) = fields.location()? else { return Ok(None) };
        let Some(rows) = fields.fixed().map(u64::from_le_bytes) else { return Ok(None) };
        let Some(sum) = fields.fixed().map(i128::from_le_bytes) else { return Ok(None) };
        add(&mut found, Group { location, bucket: 0 }, Totals { rows, sum });
        Ok(Some(()))
    })
    .await?;
    Ok(found)
}

/// Hashes rows as they come: ClickHouse has no hash that Postgres has too and that is as quick as sending the row.
async fn content(
    from: &ClickHouse,
    mapping: &Mapping,
    sql: &str,
    seed: HashSeed,
) -> Result<GroupTotals, DestinationError> {
    // By the bytes that the group begins a row with.
    let mut found: HashMap<Vec<u8>, Totals> = HashMap::new();
    each(from, sql, MAX_ROW_BYTES, |fields| {
        let row = fields.rest;
        if fields.bytes()?.is_none() || fields.bytes()?.is_none() || fields.fixed::<1>().is_none() {
            return Ok(None);
        }
        let group = &row[..row.len() - fields.rest.len()];
        let mut hasher = RowHasher::new(seed);
        for column in &mapping.columns {
            if fields.hash(column.column_type, &mut hasher)?.is_none() {
                return Ok(None);
            }
        }
        let hash = i128::from(hasher.finish());
        match found.get_mut(group) {
            Some(totals) => *totals = Totals { rows: totals.rows + 1, sum: totals.sum.wrapping_add(hash) },
            None => drop(found.insert(group.to_vec(), Totals { rows: 1, sum: hash })),
        }
        Ok(Some(()))
    })
    .await?;
    let mut groups = GroupTotals::new();
    for (bytes, totals) in found {
        let mut fields = Fields { rest: &bytes };
        if let (Some(location), Some([bucket])) = (fields.location()?, fields.fixed::<1>()) {
            add(&mut groups, Group { location, bucket }, totals);
        }
    }
    Ok(groups)
}

/// Texts that are no UTF-8 may have become the same.
fn add(to: &mut GroupTotals, group: Group, more: Totals) {
    let totals = to.entry(group).or_default();
    *totals = Totals { rows: totals.rows + more.rows, sum: totals.sum.wrapping_add(more.sum) };
}

pub(super) async fn held(
    from: &ClickHouse,
    mapping: &Mapping,
    keys: &[Key],
) -> Result<HashMap<Key, Held>, DestinationError> {
    let mut found = HashMap::new();
    each(from, &derived::versions(mapping, &from.databases, keys), MAX_KEY_ROW_BYTES, |fields| {
        let Some(key) = fields.key(mapping)? else { return Ok(None) };
        let Some(version) = fields.fixed().map(i64::from_le_bytes) else { return Ok(None) };
        let Some([is_deleted]) = fields.fixed::<1>() else { return Ok(None) };
        let Some(copies) = fields.fixed().map(u64::from_le_bytes) else { return Ok(None) };
        found.insert(key, Held { version: SequenceId::new(version), is_deleted: is_deleted != 0, copies });
        Ok(Some(()))
    })
    .await?;
    Ok(found)
}

pub(super) async fn ahead(
    from: &ClickHouse,
    mapping: &Mapping,
    scope: Scope<'_>,
    head: SequenceId,
    limit: usize,
) -> Result<Vec<(Key, SequenceId)>, DestinationError> {
    let mut found = Vec::new();
    each(from, &derived::ahead(mapping, &from.databases, scope, head, limit), MAX_KEY_ROW_BYTES, |fields| {
        let Some(key) = fields.key(mapping)? else { return Ok(None) };
        let Some(version) = fields.fixed().map(i64::from_le_bytes) else { return Ok(None) };
        found.push((key, SequenceId::new(version)));
        Ok(Some(()))
    })
    .await?;
    Ok(found)
}

/// Reads an answer row by row. `take` returns `None` where more has to come first, and is then called again with all of the row.
async fn each(
    from: &ClickHouse,
    sql: &str,
    max_row_bytes: usize,
    mut take: impl FnMut(&mut Fields<'_>) -> Result<Option<()>, DestinationError>,
) -> Result<(), DestinationError> {
    let mut chunks = std::pin::pin!(from.stream(sql));
    let mut buffer = BytesMut::new();
    while let Some(chunk) = chunks.try_next().await? {
        buffer.extend_from_slice(&chunk);
        let mut used = 0;
        while used < buffer.len() {
            let mut fields = Fields { rest: &buffer[used..] };
            if take(&mut fields)?.is_none() {
                break;
            }
            used = buffer.len() - fields.rest.len();
        }
        buffer.advance(used);
        if buffer.len() > max_row_bytes {
            return Err(error(Failure::TooLarge, format!("a row is larger than {} MiB", max_row_bytes / 1024 / 1024)));
        }
    }
    if buffer.is_empty() { Ok(()) } else { Err(error(Failure::Unexpected, "its answer is cut")) }
}

/// What is left of a row of `RowBinary`. Each of its values is `None` where more of it has to come.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*value)
    }

    fn bytes(&mut self) -> Result<Option<&'a [u8]>, DestinationError> {
        let Some((value, rest)) = split_string(self.rest)? else { return Ok(None) };
        self.rest = rest;
        Ok(Some(value))
    }

    /// Hashes a column.
    fn hash(&mut self, column_type: ColumnType, hasher: &mut RowHasher) -> Result<Option<()>, DestinationError> {
        if column_type.nullable {
            let Some([is_null]) = self.fixed() else { return Ok(None) };
            if is_null != 0 {
                hasher.null();
                return Ok(Some(()));
            }
        }
        match Form::of(column_type) {
            Form::Bytes => {
                let Some(value) = self.bytes()? else { return Ok(None) };
                hasher.value(value);
            }
            Form::Number(bytes) => {
                let Some((value, rest)) = self.rest.split_at_checked(bytes) else { return Ok(None) };
                self.rest = rest;
                let mut number = [0; 8];
                number[..bytes].copy_from_slice(value);
                number[..bytes].reverse();
                hasher.value(&number[..bytes]);
            }
            Form::Uuid => {
                let Some(mut uuid) = self.fixed::<16>() else { return Ok(None) };
                uuid[..8].reverse();
                uuid[8..].reverse();
                hasher.value(&uuid);
            }
        }
        Ok(Some(()))
    }

    /// A text. What is no UTF-8 becomes a text with NUL, which none in the source is.
    fn text(&mut self) -> Result<Option<String>, DestinationError> {
        let Some(value) = self.bytes()? else { return Ok(None) };
        let text = String::from_utf8(value.to_vec());
        Ok(Some(text.unwrap_or_else(|bytes| format!("\0{}", String::from_utf8_lossy(bytes.as_bytes())))))
    }

    fn location(&mut self) -> Result<Option<Location>, DestinationError> {
        let Some(project_id) = self.text()? else { return Ok(None) };
        let Some(branch_id) = self.text()? else { return Ok(None) };
        Ok(Some(Location { project_id, branch_id }))
    }

    fn key(&mut self, mapping: &Mapping) -> Result<Option<Key>, DestinationError> {
        let Some(location) = self.location()? else { return Ok(None) };
        let mut values = Vec::with_capacity(mapping.key.len());
        for _ in &mapping.key {
            let Some(value) = self.text()? else { return Ok(None) };
            values.push(value);
        }
        Ok(Some(Key { location, values }))
    }
}
