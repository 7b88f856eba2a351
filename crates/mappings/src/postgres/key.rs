//! Keys in the control schema: every mapping's key columns in the same eight columns, narrow and typed.

use super::names::{identifier, literal};
use crate::column_type::BaseType;
use crate::mapping::{Column, Mapping};

/// How many key columns of type uuid, and how many others, a mapping can have.
pub(crate) const MAX_OF_A_KIND: usize = 4;

/// The columns that hold keys in `lockstep.inbox`, `lockstep.change` and `lockstep.quarantine`, in order.
pub(super) const KEY_COLUMNS: &str = "uuid_1, uuid_2, uuid_3, uuid_4, text_1, text_2, text_3, text_4";

/// A key column of a mapping, and where the control schema holds its values.
pub(super) struct Slot<'a> {
    pub(super) column: &'a Column,
    /// The column of the source table.
    pub(super) source: &'a str,
    /// One of [`KEY_COLUMNS`].
    pub(super) name: String,
}

impl Slot<'_> {
    pub(super) fn base(&self) -> BaseType {
        self.column.column_type.base
    }

    /// The type of the slot: numbers are kept as text.
    pub(super) fn slot_type(&self) -> &'static str {
        slot_type(self.base())
    }

    /// The value in the type of the column, read from the row `alias` of a table with [`KEY_COLUMNS`].
    pub(super) fn value(&self, alias: &str) -> String {
        let cast = self.base().postgres_cast();
        if cast == self.slot_type() {
            format!("{alias}.{}", self.name)
        } else {
            format!("({alias}.{})::{cast}", self.name)
        }
    }
}

/// A value of a key as an application's own session writes it down, for a slot. A cast of a day to text would follow the
/// `DateStyle` of that session.
pub(super) fn noted(base: BaseType, value: &str) -> String {
    if base == BaseType::Date {
        format!("pg_catalog.to_jsonb({value}) OPERATOR(pg_catalog.#>>) '{{}}'")
    } else {
        value.to_owned()
    }
}

/// `uuid` or `text`.
pub(super) fn slot_type(base: BaseType) -> &'static str {
    if base == BaseType::Uuid { "uuid" } else { "text" }
}

/// Where the values of a mapping's key are.
pub(super) fn slots(mapping: &Mapping) -> Vec<Slot<'_>> {
    let (mut uuids, mut texts) = (0, 0);
    mapping
        .key_sources()
        .map(|(column, source)| {
            let kind = slot_type(column.column_type.base);
            let count = if kind == "uuid" { &mut uuids } else { &mut texts };
            *count += 1;
            Slot { column, source, name: format!("{kind}_{count}") }
        })
        .collect()
}

/// The key of the source row `alias`, for [`slot_names`].
pub(super) fn slot_values(mapping: &Mapping, alias: &str) -> String {
    let value = |slot: Slot<'_>| format!("({alias}.{})::{}", identifier(slot.source), slot.slot_type());
    slots(mapping).into_iter().map(value).collect::<Vec<_>>().join(", ")
}

/// The slots that a mapping uses, in the order of its key.
pub(super) fn slot_names(mapping: &Mapping) -> String {
    slots(mapping).into_iter().map(|slot| slot.name).collect::<Vec<_>>().join(", ")
}

/// The condition that the source row `row` has the key that the row `key` of the control schema holds.
pub(super) fn same_key(mapping: &Mapping, row: &str, key: &str) -> String {
    let same = |slot: Slot<'_>| {
        format!("({row}.{})::{} = {}", identifier(slot.source), slot.base().postgres_cast(), slot.value(key))
    };
    slots(mapping).into_iter().map(same).collect::<Vec<_>>().join(" AND ")
}

/// The key that the row `alias` of the control schema holds, as a JSON object of the destination's columns.
pub(super) fn key_object(mapping: &Mapping, alias: &str) -> String {
    let pair = |slot: Slot<'_>| format!("{}, {}", literal(&slot.column.name), slot.value(alias));
    let pairs: Vec<_> = slots(mapping).into_iter().map(pair).collect();
    format!("jsonb_build_object({})", pairs.join(", "))
}

/// The columns of a tombstone of the key that the row `alias` of the control schema holds: blanks where it has no value.
pub(super) fn tombstone_columns(mapping: &Mapping, alias: &str) -> String {
    let slots = slots(mapping);
    let value = |column: &Column| {
        let value = match slots.iter().find(|slot| slot.column.name == column.name) {
            Some(slot) => slot.value(alias),
            None => column.column_type.blank(),
        };
        format!("{value} AS {}", identifier(&column.name))
    };
    mapping.columns.iter().map(value).collect::<Vec<_>>().join(", ")
}
