//! `lockstep.touch`: for callers that want to say explicitly that rows changed, in any language.

use super::super::inbox::{INBOXES, TURN_TRANSACTIONS};
use super::super::key::slots;
use super::super::names::{CONTROL_SCHEMA, literal};
use super::function::DEFINER;
use super::{CaptureObject, Target};
use crate::mapping::{Mapping, SourceTable};
use crate::set::MappingSet;

/// `lockstep.touch(table, tenancy, key)`: the row of a tenancy with this key (an object of source columns), or all its rows
/// where `key` is null, are exported again; a row that is not there vanishes. Returns how many lines were written.
pub(super) fn function(set: &MappingSet) -> CaptureObject {
    let mut cases: Vec<_> = set.by_source().into_iter().map(|(source, mappings)| case(source, &mappings)).collect();
    cases.push(
        "    ELSE
      RAISE EXCEPTION 'LS-0021: no mapping reads a table %', table_name
        USING HINT = 'Give the name of a source table as its definition has it, such as ProjectUser.';"
            .to_owned(),
    );
    let body = format!(
        "DECLARE
  line_xid bigint := txid_current();
  written bigint := 0;
BEGIN
  CASE table_name
{}
  END CASE;
  RETURN written;
END",
        cases.join("\n")
    );
    let head = format!("touch(table_name text, tenancy_id uuid, key jsonb DEFAULT NULL) RETURNS bigint {DEFINER}");
    CaptureObject::function("touch(text, uuid, jsonb)".to_owned(), &head, &body)
}

fn case(source: &SourceTable, mappings: &[&Mapping]) -> String {
    let each: Vec<_> = mappings.iter().map(|mapping| lines(mapping)).collect();
    format!("    WHEN {} THEN\n{}", literal(&source.name), each.join("\n"))
}

fn lines(mapping: &Mapping) -> String {
    let slots = slots(mapping);
    let wanted: Vec<_> = slots.iter().map(|slot| literal(slot.source)).collect();
    let names: Vec<_> = slots.iter().map(|slot| slot.name.as_str()).collect();
    let values: Vec<_> =
        slots.iter().map(|slot| format!("(key ->> {})::{}", literal(slot.source), slot.slot_type())).collect();
    let into = |columns: &str, values: &str| {
        let insert = |inbox: &str| {
            format!(
                "INSERT INTO {CONTROL_SCHEMA}.{inbox} (xid, target, tenancy_id{columns}) VALUES (line_xid, {values});"
            )
        };
        format!("IF line_xid & {TURN_TRANSACTIONS} = 0 THEN {} ELSE {} END IF;", insert(INBOXES[0]), insert(INBOXES[1]))
    };
    format!(
        "      written := written + 1;
      IF key IS NULL THEN
        {all}
      ELSE
        IF NOT key ?& ARRAY[{wanted}] THEN
          RAISE EXCEPTION 'LS-0022: the key of % must have the columns %', table_name, ARRAY[{wanted}];
        END IF;
        {one}
      END IF;",
        all = into("", &format!("{}, touch.tenancy_id", Target::all_rows(mapping).id())),
        wanted = wanted.join(", "),
        one = into(
            &format!(", {}", names.join(", ")),
            &format!("{}, touch.tenancy_id, {}", Target::row(mapping).id(), values.join(", "))
        ),
    )
}
