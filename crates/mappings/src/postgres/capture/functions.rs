//! `lockstep.touch` and `lockstep.record_deletion`: for callers that want to say it explicitly, in any language.

use super::tombstones::key_columns;
use super::{CONTROL_SCHEMA, CaptureObject, DEFINER};
use crate::mapping::{Mapping, SourceTable};
use crate::postgres::names::{FLAG_COLUMN, deleted_row_table, tenancy_table};
use crate::postgres::quote::{literal, table};
use crate::postgres::row;
use crate::set::MappingSet;

pub(super) fn explicit(set: &MappingSet) -> Vec<CaptureObject> {
    vec![touch(set), record_deletion(set)]
}

fn declared(name: &str, arguments: &str, types: &str, returns: &str, body: &str) -> CaptureObject {
    CaptureObject {
        table: None,
        name: format!("{name}({types})"),
        definition: format!(
            "CREATE OR REPLACE FUNCTION {CONTROL_SCHEMA}.{name}({arguments}) RETURNS {returns} {definer} AS $lockstep$\n{body}\n$lockstep$",
            definer = DEFINER,
        ),
    }
}

const UNKNOWN_TABLE: &str = "  ELSE
    RAISE EXCEPTION 'LS-0021: no mapping reads a table %', table_name
      USING HINT = 'Give the name of a source table as its definition has it, such as ProjectUser.';
  END CASE;";

/// `lockstep.touch(table, tenancy, key)`: ships the rows of a tenancy again whose columns equal those in `key`
/// (all its rows where `key` is null). Returns how many rows were flagged.
fn touch(set: &MappingSet) -> CaptureObject {
    let cases: Vec<_> = set
        .by_source()
        .into_iter()
        .map(|(source, mappings)| {
            let belongs = mappings.first().map_or_else(String::new, |mapping| row::belongs(mapping, "s"));
            format!(
                "  WHEN {name} THEN\n    statement := {update};",
                name = literal(&source.name),
                update = literal(&format!(
                    "UPDATE {} s SET \"{FLAG_COLUMN}\" = TRUE FROM {} t WHERE t.\"id\" = $1 AND {belongs}",
                    table(source),
                    table(&tenancy_table())
                )),
            )
        })
        .collect();
    let body = format!(
        "DECLARE\n  statement text;\n  item record;\n  flagged bigint;\nBEGIN\n  CASE table_name\n{}\n{UNKNOWN_TABLE}
  FOR item IN SELECT * FROM jsonb_each_text(COALESCE(key, '{{}}')) LOOP
    statement := statement || format(' AND s.%I = %L', item.key, item.value);
  END LOOP;
  EXECUTE statement USING tenancy_id;
  GET DIAGNOSTICS flagged = ROW_COUNT;
  RETURN flagged;
END",
        cases.join("\n")
    );
    let arguments = "table_name text, tenancy_id uuid, key jsonb DEFAULT NULL";
    declared("touch", arguments, "text, uuid, jsonb", "bigint", &body)
}

/// `lockstep.record_deletion(table, tenancy, key)`: a tombstone for a key (an object of source columns). A tombstone
/// whose key lives in the source is never shipped (DEL-1), so calling this too often does no harm.
fn record_deletion(set: &MappingSet) -> CaptureObject {
    let cases: Vec<_> = set.by_source().into_iter().map(|(source, mappings)| key_case(source, &mappings)).collect();
    let body = format!(
        "DECLARE\n  names text[];\nBEGIN\n  CASE table_name\n{}\n{UNKNOWN_TABLE}
  IF NOT COALESCE(key, '{{}}') ?& names THEN
    RAISE EXCEPTION 'LS-0022: the key of % must have the columns %', table_name, names;
  END IF;
  INSERT INTO {deleted} (\"id\", \"tenancyId\", \"tableName\", \"primaryKey\", \"deletedAt\")
  VALUES (gen_random_uuid(), tenancy_id, table_name,
    (SELECT jsonb_object_agg(k.key, k.value) FROM jsonb_each(key) k WHERE k.key = ANY(names))
      || jsonb_build_object('tenancyId', tenancy_id), now() AT TIME ZONE 'UTC');
END",
        cases.join("\n"),
        deleted = table(&deleted_row_table()),
    );
    declared("record_deletion", "table_name text, tenancy_id uuid, key jsonb", "text, uuid, jsonb", "void", &body)
}

fn key_case(source: &SourceTable, mappings: &[&Mapping]) -> String {
    let names: Vec<_> = key_columns(mappings).into_iter().map(literal).collect();
    format!("  WHEN {} THEN\n    names := ARRAY[{}];", literal(&source.name), names.join(", "))
}
