//! The flag triggers: a row that is written waits to be stamped.

use std::collections::BTreeSet;

use super::{CaptureObject, DEFINER, any_changed, function, trigger};
use crate::mapping::{Mapping, SourceTable};
use crate::postgres::facts::{SourceFacts, TableFacts};
use crate::postgres::names::{FLAG_COLUMN, SEQUENCE_COLUMN, STAMPING_SETTING, deleted_row_table};
use crate::set::MappingSet;

/// A BEFORE trigger fires in the order of names: ours last, so that it sees what other triggers made of the row.
const INSERT_TRIGGER: &str = "zz_lockstep_flag_insert";
const UPDATE_TRIGGER: &str = "zz_lockstep_flag_update";
const FUNCTION: &str = "flag_row";

pub(super) fn objects(set: &MappingSet, facts: &SourceFacts) -> Vec<CaptureObject> {
    let mut objects = vec![flag_row()];
    for (source, mappings) in set.by_source() {
        objects.extend(triggers(source, &read_by(&mappings, facts.get(source)), facts.get(source)));
    }
    // A tombstone never changes; its triggers only keep its flag and sequence from being written by others.
    objects.extend(triggers(&deleted_row_table(), &BTreeSet::new(), None));
    objects
}

/// Numbers come from Lockstep's sequencer alone: a row that arrives with one, or is given one by somebody else, is
/// stamped again under the ordering lock (SEQ-1), and that it happened is written down once a transaction.
fn flag_row() -> CaptureObject {
    let body = format!(
        r#"  IF TG_OP = 'INSERT' THEN
    NEW."{SEQUENCE_COLUMN}" := NULL;
  ELSIF NEW."{SEQUENCE_COLUMN}" IS DISTINCT FROM OLD."{SEQUENCE_COLUMN}" THEN
    NEW."{SEQUENCE_COLUMN}" := OLD."{SEQUENCE_COLUMN}";
    IF current_setting('lockstep.foreign_stamp_noted', true) IS DISTINCT FROM pg_current_xact_id()::text || TG_TABLE_NAME THEN
      INSERT INTO lockstep.foreign_stamp (table_name, application_name) VALUES (TG_TABLE_NAME, current_setting('application_name'));
      PERFORM set_config('lockstep.foreign_stamp_noted', pg_current_xact_id()::text || TG_TABLE_NAME, true);
    END IF;
  END IF;
  NEW."{FLAG_COLUMN}" := TRUE;
  RETURN NEW;"#
    );
    function(FUNCTION, DEFINER, &body)
}

fn triggers(source: &SourceTable, read: &BTreeSet<String>, live: Option<&TableFacts>) -> [CaptureObject; 2] {
    // New rows come flagged by the column's default, so a bulk load pays for the condition only.
    let inserted = format!("FOR EACH ROW WHEN (NOT NEW.\"{FLAG_COLUMN}\" OR NEW.\"{SEQUENCE_COLUMN}\" IS NOT NULL)");
    let mut changed = any_changed(read, live);
    if !changed.is_empty() {
        changed = format!(" OR {changed}");
    }
    // A row that was never stamped is flagged by any update: it may have moved out of the block range in which the base
    // snapshot would look for it. A tombstone has no base.
    let base = if read.is_empty() { String::new() } else { format!("OLD.\"{SEQUENCE_COLUMN}\" IS NULL OR ") };
    let updated = format!(
        "FOR EACH ROW WHEN (current_setting('{STAMPING_SETTING}', true) IS DISTINCT FROM 'on' AND ({base}NEW.\"{SEQUENCE_COLUMN}\" IS DISTINCT FROM OLD.\"{SEQUENCE_COLUMN}\" OR (OLD.\"{FLAG_COLUMN}\" AND NOT NEW.\"{FLAG_COLUMN}\"){changed}))"
    );
    [
        trigger(source, INSERT_TRIGGER, "BEFORE INSERT", &inserted, FUNCTION),
        trigger(source, UPDATE_TRIGGER, "BEFORE UPDATE", &updated, FUNCTION),
    ]
}

/// The columns that any mapping of the table reads. A BEFORE trigger cannot see generated columns: what they are
/// generated from stands for them.
fn read_by(mappings: &[&Mapping], live: Option<&TableFacts>) -> BTreeSet<String> {
    let mut read = BTreeSet::new();
    for name in mappings.iter().flat_map(|mapping| mapping.source_columns()) {
        match live.and_then(|live| live.get(&name)) {
            Some(column) if !column.generated_from.is_empty() => read.extend(column.generated_from.iter().cloned()),
            _ => drop(read.insert(name)),
        }
    }
    read
}
