//! Few numbers about many rows of ClickHouse, and what it knows of keys besides their columns.

use std::collections::HashMap;

use bytes::BytesMut;
use futures_util::TryStreamExt;
use lockstep_core::{Location, SequenceId};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::{self as derived, Measure};
use lockstep_mappings::postgres::compare::{Grouping, Key, Scope};

use super::compare::split_string;
use super::{ClickHouse, error};
use crate::compare::{Group, GroupTotals, Held, Totals};
use crate::error::{DestinationError, Failure};

/// A location and a key are shorter.
const MAX_ROW_BYTES: usize = 1024 * 1024;

pub(super) async fn totals(
    from: &ClickHouse,
    mapping: &Mapping,
    scope: Scope<'_>,
    measure: Measure,
    grouping: Grouping,
) -> Result<GroupTotals, DestinationError> {
    let mut found = GroupTotals::new();
    each(from, &derived::totals(mapping, &from.databases, scope, measure, grouping), |fields| {
        let Some(location) = fields.location()? else { return Ok(None) };
        let Some([bucket]) = fields.fixed::<1>() else { return Ok(None) };
        let Some(rows) = fields.fixed().map(u64::from_le_bytes) else { return Ok(None) };
        let Some(sum) = fields.fixed().map(i128::from_le_bytes) else { return Ok(None) };
        // Texts that are no UTF-8 may have become the same.
        let totals: &mut Totals = found.entry(Group { location, bucket }).or_default();
        *totals = Totals { rows: totals.rows + rows, sum: totals.sum.wrapping_add(sum) };
        Ok(Some(()))
    })
    .await?;
    Ok(found)
}

pub(super) async fn held(
    from: &ClickHouse,
    mapping: &Mapping,
    keys: &[Key],
) -> Result<HashMap<Key, Held>, DestinationError> {
    let mut found = HashMap::new();
    each(from, &derived::versions(mapping, &from.databases, keys), |fields| {
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
    each(from, &derived::ahead(mapping, &from.databases, scope, head, limit), |fields| {
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
    mut take: impl FnMut(&mut Fields<'_>) -> Result<Option<()>, DestinationError>,
) -> Result<(), DestinationError> {
    let mut chunks = std::pin::pin!(from.stream(sql));
    let mut buffer = BytesMut::new();
    while let Some(chunk) = chunks.try_next().await? {
        buffer.extend_from_slice(&chunk);
        loop {
            let mut fields = Fields { rest: &buffer };
            if fields.rest.is_empty() || take(&mut fields)?.is_none() {
                break;
            }
            let used = buffer.len() - fields.rest.len();
            drop(buffer.split_to(used));
        }
        if buffer.len() > MAX_ROW_BYTES {
            return Err(error(Failure::TooLarge, format!("a row is larger than {} MiB", MAX_ROW_BYTES / 1024 / 1024)));
        }
    }
    if buffer.is_empty() { Ok(()) } else { Err(error(Failure::Unexpected, "its answer is cut")) }
}

/// What is left of a row of `RowBinary`. Each of its values is `None` where more of it has to come.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*value)
    }

    /// A text. What is no UTF-8 becomes a text with NUL, which none in the source is.
    fn text(&mut self) -> Result<Option<String>, DestinationError> {
        let Some((value, rest)) = split_string(self.rest)? else { return Ok(None) };
        self.rest = rest;
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
