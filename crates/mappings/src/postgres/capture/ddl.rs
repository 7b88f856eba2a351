//! What notices that a captured table was altered, where the role may create event triggers.

use super::super::names::{CONTROL_SCHEMA, literal};
use super::function::{DEFINER, bare_lines};
use super::{CaptureObject, Target, tables};
use crate::set::MappingSet;

/// The event triggers, each with its event. They call [`ddl_function`].
pub const DDL_TRIGGERS: [(&str, &str); 2] =
    [("lockstep_ddl_end", "ddl_command_end"), ("lockstep_ddl_drop", "sql_drop")];

/// Writes a line in the transaction of the migration itself, so that the sequencer looks at the catalog as soon as it is
/// committed. Never fails it.
pub fn ddl_function(set: &MappingSet) -> CaptureObject {
    let named: Vec<_> = tables(set).iter().map(|table| literal(&format!("{}.{}", table.schema, table.name))).collect();
    let body = format!(
        "DECLARE
  line_xid bigint;
  is_ours boolean;
BEGIN
  IF TG_EVENT = 'sql_drop' THEN
    SELECT EXISTS (SELECT 1 FROM pg_event_trigger_dropped_objects() d WHERE d.schema_name IS DISTINCT FROM 'pg_temp') INTO is_ours;
  ELSE
    SELECT EXISTS (SELECT 1 FROM pg_event_trigger_ddl_commands() d
      LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE d.object_type IN ('type', 'trigger') OR n.nspname || '.' || c.relname IN ({named})
        OR EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname LIKE 'lockstep\\_%')) INTO is_ours;
  END IF;
  IF is_ours AND to_regclass('{CONTROL_SCHEMA}.inbox_0') IS NOT NULL THEN
  line_xid := txid_current();
  {line}
  END IF;
EXCEPTION WHEN OTHERS THEN
  NULL;
END",
        named = named.join(", "),
        line = bare_lines(&[Target::catalog()]),
    );
    CaptureObject::function("ddl()".to_owned(), &format!("ddl() RETURNS event_trigger {DEFINER}"), &body)
}
