//! Reading a destination back, to compare it with the source: rows as canonical text, ordered by location and key.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;

use futures_util::Stream;
use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::Measure;
use lockstep_mappings::postgres::compare::{Grouping, Key, Scope};

use crate::error::DestinationError;

/// Fields in front of the mapping's columns: project and branch.
const LOCATION_FIELDS: usize = 2;
/// A longer key is not asked for: no index of Postgres holds one, and ClickHouse parses 256 KiB of a statement.
const MAX_KEY_BYTES: usize = 32 * 1024;

/// A destination that can be read back.
pub trait Compare: Send + Sync {
    /// Every live row in the scope: location, then each column as canonical text
    /// ([`lockstep_mappings::postgres::compare`] says what that is), in the order of the bytes of location and key.
    ///
    /// # Errors
    /// Each item may be one; the stream ends after it. An answer that broke off is never taken for a whole one.
    fn rows<'a>(
        &self,
        mapping: &'a Mapping,
        scope: Scope<'a>,
    ) -> impl Stream<Item = Result<Row, DestinationError>> + Send + 'a;

    /// The live rows in the scope by groups: how many each has, and a sum of what `measure` says. A group without a row may be left out.
    ///
    /// A destination without versions counts rows where their numbers are asked for.
    ///
    /// # Errors
    /// It could not be asked, or its answer broke off.
    fn totals(
        &self,
        mapping: &Mapping,
        scope: Scope<'_>,
        measure: Measure,
        grouping: Grouping,
    ) -> impl Future<Output = Result<GroupTotals, DestinationError>> + Send;

    /// What it holds of these keys besides their columns, tombstones included; nothing where it has no versions.
    ///
    /// # Errors
    /// It could not be asked, or its answer broke off.
    fn held(
        &self,
        mapping: &Mapping,
        keys: &[Key],
    ) -> impl Future<Output = Result<HashMap<Key, Held>, DestinationError>> + Send;

    /// Keys in the scope with a version above `head`, each with it, `limit` at most; none where it has no versions.
    ///
    /// # Errors
    /// It could not be asked, or its answer broke off.
    fn ahead(
        &self,
        mapping: &Mapping,
        scope: Scope<'_>,
        head: SequenceId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Key, SequenceId)>, DestinationError>> + Send;
}

/// Rows that are added up together: those at a location, or of one bucket there.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Group {
    /// Where they are; empty in a database of one tenancy's own.
    pub location: Location,
    /// 0 where they are not told apart by it.
    pub bucket: u8,
}

/// What a group of rows comes to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    /// Live rows.
    pub rows: u64,
    /// The sum of their hashes, or of the numbers of all rows.
    pub sum: i128,
}

/// What each group comes to.
pub type GroupTotals = HashMap<Group, Totals>;

/// What a destination with versions holds of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The highest.
    pub version: SequenceId,
    /// Whether that is a tombstone.
    pub is_deleted: bool,
    /// Live rows that readers see of it.
    pub copies: u64,
}

/// Which fields there are and which of them are the key. The same for both sides.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Indices of fields: location first, then the key's columns in order.
    key: Vec<usize>,
    columns: Vec<String>,
    nullable: Vec<bool>,
}

impl Shape {
    /// The shape of a mapping's rows.
    pub fn of(mapping: &Mapping) -> Self {
        Self {
            key: (0..LOCATION_FIELDS).chain(mapping.key.iter().map(|index| index + LOCATION_FIELDS)).collect(),
            columns: mapping.columns.iter().map(|column| column.name.clone()).collect(),
            nullable: mapping.columns.iter().map(|column| column.column_type.nullable).collect(),
        }
    }

    /// How many fields a row has.
    pub const fn fields(&self) -> usize {
        LOCATION_FIELDS + self.columns.len()
    }

    /// Whether this field can be null.
    pub fn is_nullable(&self, field: usize) -> bool {
        field.checked_sub(LOCATION_FIELDS).is_some_and(|column| self.nullable[column])
    }

    /// Orders rows as both sides send them: by the bytes of location and key. A key holds no null.
    pub fn order(&self, one: &Row, other: &Row) -> Ordering {
        let mut fields = self.key.iter().map(|&field| one.field(field).cmp(&other.field(field)));
        fields.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// The columns whose values differ.
    pub fn differing(&self, one: &Row, other: &Row) -> Vec<&str> {
        let columns = self.columns.iter().zip(LOCATION_FIELDS..);
        let differ = columns.filter(|(_, field)| one.field(*field) != other.field(*field));
        differ.map(|(name, _)| name.as_str()).collect()
    }

    /// The bytes of location and key, in order.
    pub fn key_bytes<'r>(&self, row: &'r Row) -> impl Iterator<Item = &'r [u8]> + use<'r, '_> {
        self.key.iter().map(|&field| row.field(field).unwrap_or_default())
    }

    /// Whether location and key are texts that Postgres could hold: UTF-8 without NUL.
    pub fn is_text(&self, row: &Row) -> bool {
        self.key_bytes(row).all(|bytes| std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')))
    }

    /// The key as text that both sides can be asked for; `None` where it is no text, or too long to ask for.
    pub fn key(&self, row: &Row) -> Option<Key> {
        let mut texts = Vec::with_capacity(self.key.len());
        for bytes in self.key_bytes(row) {
            texts.push(std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))?.to_owned());
        }
        let values = texts.split_off(LOCATION_FIELDS);
        let branch_id = texts.pop()?;
        let project_id = texts.pop()?;
        let key = Key { location: Location { project_id, branch_id }, values };
        (key_bytes(&key) <= MAX_KEY_BYTES).then_some(key)
    }
}

/// How much of a statement a key takes, about.
pub fn key_bytes(key: &Key) -> usize {
    let values: usize = key.values.iter().map(String::len).sum();
    key.location.project_id.len() + key.location.branch_id.len() + values
}

/// One row.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Row {
    bytes: Vec<u8>,
    fields: Vec<Option<Range<usize>>>,
    /// Whose it is; a destination may know the location only.
    pub tenancy: Option<TenancyId>,
}

impl Row {
    /// A row without fields yet, with room for so many.
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), fields: Vec::with_capacity(fields), tenancy: None }
    }

    /// Adds the next field; `None` is NULL.
    pub fn push(&mut self, value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.fields.push(value.map(|_| start..self.bytes.len()));
    }

    /// Whether location and all columns are alike, nulls included.
    pub fn is_like(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.fields == other.fields
    }

    /// A field by its index.
    pub fn field(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.fields.get(index)?.clone()?)
    }
}
