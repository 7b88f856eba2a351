//! The trigger functions: one line a row, whatever happened to it.

use std::collections::BTreeSet;

use super::super::facts::TableFacts;
use super::super::inbox::{INBOXES, TURN_TRANSACTIONS};
use super::super::names::{CONTROL_SCHEMA, identifier, table};
use super::subject::{LineColumn, Subject};
use super::{CaptureObject, Target};

/// Functions write as their owner: the application's role needs no right in the control schema. Everything in them is
/// looked up in `pg_catalog`, so that nobody can put something else in its place.
pub(super) const DEFINER: &str = "LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp";

/// The same for a function that names the schema of everything in it, operators too. A setting of its own would cost more
/// than the line that it writes.
const DEFINER_OF_ROWS: &str = "LANGUAGE plpgsql SECURITY DEFINER";

pub(super) fn functions(subject: &Subject<'_>, live: Option<&TableFacts>, relaxed: bool) -> [CaptureObject; 2] {
    [of_rows(subject, live, relaxed), of_truncate(subject)]
}

fn function(name: &str, language: &str, body: &str) -> CaptureObject {
    let name = format!("{}()", identifier(name));
    let head = format!("{name} RETURNS trigger {language}");
    CaptureObject::function(name, &head, body)
}

/// Writes into the inbox whose turn it is for the transaction `line_xid`: `what` follows the name of the table.
pub(super) fn into_inbox(what: &str) -> String {
    format!(
        "IF line_xid OPERATOR(pg_catalog.&) {TURN_TRANSACTIONS} OPERATOR(pg_catalog.=) 0 THEN\n    INSERT INTO {CONTROL_SCHEMA}.{} {what};\n  ELSE\n    INSERT INTO {CONTROL_SCHEMA}.{} {what};\n  END IF;",
        INBOXES[0], INBOXES[1]
    )
}

/// Lines that name a target and nothing else.
pub(super) fn bare_lines(targets: &[Target]) -> String {
    let values: Vec<_> = targets.iter().map(|target| format!("(line_xid, {})", target.id())).collect();
    into_inbox(&format!("(xid, target) VALUES {}", values.join(", ")))
}

/// The row is looked at inside a block of its own: a column that was renamed, or given another type, must not fail the
/// application's statement. Nothing is written there, so the block costs no subtransaction id.
///
/// Each expression costs its preparation in every transaction: so there are few, and each is only reached where it is needed.
fn of_rows(subject: &Subject<'_>, live: Option<&TableFacts>, relaxed: bool) -> CaptureObject {
    let declared: Vec<_> = subject
        .line
        .iter()
        .map(|LineColumn { name, kind, .. }| format!("  now_{name} pg_catalog.{kind}; was_{name} pg_catalog.{kind};"))
        .collect();
    let unchanged = if relaxed {
        String::new()
    } else {
        format!("IF NOT ({}) THEN RETURN NULL; END IF;", changed(&subject.watched, live))
    };
    let body = format!(
        "DECLARE
  line_xid pg_catalog.int8 := pg_catalog.txid_current();
  is_readable boolean := TRUE;
  has_moved boolean;
{declared}
BEGIN
  BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
      {deleted}
    ELSE
      IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
        {unchanged}
        has_moved := {moved};
        IF has_moved THEN {was} END IF;
      END IF;
      {now}
    END IF;
  EXCEPTION WHEN OTHERS THEN
    is_readable := FALSE;
  END;
  IF NOT is_readable THEN
  {unreadable}
  RETURN NULL;
  END IF;
  IF {is_whole} THEN
  {line}
  END IF;
  IF has_moved AND {was_whole} THEN
  {old_line}
  END IF;
  RETURN NULL;
END",
        declared = declared.join("\n"),
        deleted = read(subject, "now", "OLD"),
        moved = images_differ(&subject.line.iter().map(|column| &column.source).collect::<Vec<_>>()),
        was = read(subject, "was", "OLD"),
        now = read(subject, "now", "NEW"),
        unreadable = bare_lines(&subject.otherwise),
        is_whole = is_whole(subject, "now"),
        was_whole = is_whole(subject, "was"),
        line = line(subject, "now"),
        old_line = line(subject, "was"),
    );
    function(&subject.row_function(), DEFINER_OF_ROWS, &body)
}

/// Whether an update changed anything that is exported, filtered by or keyed by. What counts is the image of a value: 1.5 and
/// 1.50, `Ada` and `ada` in citext, -0.0 and 0.0 differ. JSON comes last: comparing takes it out of storage.
fn changed(watched: &BTreeSet<String>, live: Option<&TableFacts>) -> String {
    let is_wide = |column: &&String| {
        live.and_then(|live| live.columns.get(*column))
            .is_some_and(|facts| matches!(facts.typname.as_str(), "json" | "jsonb"))
    };
    let (wide, narrow): (Vec<_>, Vec<_>) = watched.iter().partition(is_wide);
    let parts = [narrow, wide];
    let terms: Vec<_> =
        parts.iter().filter(|columns| !columns.is_empty()).map(|columns| images_differ(columns)).collect();
    terms.join(" OR ")
}

fn images_differ(columns: &[&String]) -> String {
    let row = |alias: &str| {
        let values: Vec<_> = columns.iter().map(|column| format!("{alias}.{}", identifier(column))).collect();
        format!("ROW({})::pg_catalog.record", values.join(", "))
    };
    format!("{} OPERATOR(pg_catalog.*<>) {}", row("OLD"), row("NEW"))
}

/// Reads the columns of the line from `row` into variables.
fn read(subject: &Subject<'_>, prefix: &str, row: &str) -> String {
    let read = |column: &LineColumn| format!("{prefix}_{} := {};", column.name, column.value(row));
    subject.line.iter().map(read).collect::<Vec<_>>().join(" ")
}

/// The condition that the variables say whose row it is, and which.
fn is_whole(subject: &Subject<'_>, prefix: &str) -> String {
    let required = subject.line.iter().filter(|column| column.is_required);
    required.map(|column| format!("{prefix}_{} IS NOT NULL", column.name)).collect::<Vec<_>>().join(" AND ")
}

/// Writes the line of the variables.
fn line(subject: &Subject<'_>, prefix: &str) -> String {
    let columns: Vec<_> = subject.line.iter().map(|column| column.name.as_str()).collect();
    let values: Vec<_> = columns.iter().map(|name| format!("{prefix}_{name}")).collect();
    into_inbox(&format!(
        "(xid, target, {}) VALUES (line_xid, {}, {})",
        columns.join(", "),
        subject.target.id(),
        values.join(", ")
    ))
}

/// TRUNCATE writes down all keys that it removes. Under an old snapshot it removes rows that it cannot see: then the
/// mapping is filled again; so it is where policies would hide rows from the function, which is refused to read them then.
fn of_truncate(subject: &Subject<'_>) -> CaptureObject {
    let names: Vec<_> = subject.line.iter().map(|column| column.name.as_str()).collect();
    let values: Vec<_> =
        subject.line.iter().map(|column| format!("({})::{}", column.value("s"), column.kind)).collect();
    let required = subject.line.iter().filter(|column| column.is_required);
    let required: Vec<_> = required.map(|column| format!("s.{} IS NOT NULL", identifier(&column.source))).collect();
    let lines = into_inbox(&format!(
        "(xid, target, {}) SELECT line_xid, {}, {} FROM {} s WHERE {}",
        names.join(", "),
        subject.target.id(),
        values.join(", "),
        table(&subject.on),
        required.join(" AND ")
    ));
    let body = format!(
        "DECLARE
  line_xid bigint := txid_current();
BEGIN
  BEGIN
  {lines}
  IF current_setting('transaction_isolation') = 'read committed' THEN
    RETURN NULL;
  END IF;
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  {otherwise}
  RETURN NULL;
END",
        otherwise = bare_lines(&subject.otherwise),
    );
    function(&subject.truncate_function(), &format!("{DEFINER} SET row_security = off"), &body)
}
