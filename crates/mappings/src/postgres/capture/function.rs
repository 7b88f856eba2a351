//! The trigger functions: one line a row, whatever happened to it.

use super::super::inbox::{INBOXES, TURN_TRANSACTIONS};
use super::super::names::CONTROL_SCHEMA;
use super::super::quote::{identifier, table};
use super::subject::{LineColumn, Subject};
use super::{CaptureObject, Target};

/// Functions write as their owner: the application's role needs no right in the control schema. Everything in them is
/// looked up in `pg_catalog`, so that nobody can put something else in its place.
pub(super) const DEFINER: &str = "LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp";

pub(super) fn functions(subject: &Subject<'_>) -> [CaptureObject; 2] {
    [of_rows(subject), of_truncate(subject)]
}

/// `settings` come after [`DEFINER`].
fn function(name: &str, settings: &str, body: &str) -> CaptureObject {
    let quoted = identifier(name);
    CaptureObject {
        table: None,
        name: format!("{quoted}()"),
        definition: format!(
            "CREATE OR REPLACE FUNCTION {CONTROL_SCHEMA}.{quoted}() RETURNS trigger {DEFINER}{settings} AS $lockstep$\n{body}\n$lockstep$"
        ),
    }
}

/// Writes into the inbox whose turn it is for the transaction `line_xid`: `what` follows the name of the table.
pub(super) fn into_inbox(what: &str) -> String {
    format!(
        "IF line_xid & {TURN_TRANSACTIONS} = 0 THEN\n    INSERT INTO {CONTROL_SCHEMA}.{} {what};\n  ELSE\n    INSERT INTO {CONTROL_SCHEMA}.{} {what};\n  END IF;",
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
fn of_rows(subject: &Subject<'_>) -> CaptureObject {
    let Row { declared, moved } = Row::of(subject);
    let body = format!(
        "DECLARE
  line_xid bigint := txid_current();
  is_readable boolean := TRUE;
{declared}
BEGIN
  BEGIN
    IF TG_OP = 'DELETE' THEN
      {deleted}
    ELSE
      {now}
    END IF;
    IF TG_OP = 'UPDATE' THEN
      {was}
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
  IF TG_OP = 'UPDATE' AND ({moved}) AND {was_whole} THEN
  {old_line}
  END IF;
  RETURN NULL;
END",
        deleted = read(subject, "now", "OLD"),
        now = read(subject, "now", "NEW"),
        was = read(subject, "was", "OLD"),
        unreadable = bare_lines(&subject.otherwise),
        is_whole = is_whole(subject, "now"),
        was_whole = is_whole(subject, "was"),
        line = line(subject, "now"),
        old_line = line(subject, "was"),
    );
    function(&subject.row_function(), "", &body)
}

/// What depends on the columns of the line alone.
struct Row {
    declared: String,
    /// Whether the line of an updated row is another than before.
    moved: String,
}

impl Row {
    fn of(subject: &Subject<'_>) -> Self {
        let declare =
            |LineColumn { name, kind, .. }: &LineColumn| format!("  now_{name} {kind};\n  was_{name} {kind};");
        let moved = |LineColumn { name, .. }: &LineColumn| format!("was_{name} IS DISTINCT FROM now_{name}");
        Self {
            declared: subject.line.iter().map(declare).collect::<Vec<_>>().join("\n"),
            moved: subject.line.iter().map(moved).collect::<Vec<_>>().join(" OR "),
        }
    }
}

/// Reads the columns of the line from `row` into variables.
fn read(subject: &Subject<'_>, prefix: &str, row: &str) -> String {
    let read = |column: &LineColumn| format!("{prefix}_{} := {row}.{};", column.name, identifier(&column.source));
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
        subject.line.iter().map(|column| format!("(s.{})::{}", identifier(&column.source), column.kind)).collect();
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
    function(&subject.truncate_function(), " SET row_security = off", &body)
}
