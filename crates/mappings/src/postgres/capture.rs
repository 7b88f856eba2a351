//! Capture: functions and triggers that notice every write (CAP-1, CAP-2, CAP-3), derived from all definitions at once.
//!
//! Triggers are ENABLE ALWAYS, so that writes under `session_replication_role = replica` are noticed too. Functions that
//! write elsewhere are SECURITY DEFINER: the application's role needs no rights in the control schema.

mod flag;
mod functions;
mod tenancies;
mod tombstones;
mod touches;

use super::facts::SourceFacts;
use super::names::CONTROL_SCHEMA;
use super::quote::{identifier, literal, table};
use crate::mapping::SourceTable;
use crate::set::MappingSet;

/// A function of the control schema, or a trigger on a source table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureObject {
    /// The table of a trigger; none for a function.
    pub table: Option<SourceTable>,
    /// A trigger's name, or a function's name with its argument types.
    pub name: String,
    /// The statement that creates it.
    pub definition: String,
}

impl CaptureObject {
    /// What is stored as the object's comment, to tell whether it is up to date: a hash of its definition.
    pub fn fingerprint(&self) -> String {
        // FNV-1a over 64 bits: this guards against change, not against attack.
        let hash = self
            .definition
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        format!("lockstep {hash:016x}")
    }

    /// Statements that create or replace it, to be run in one transaction.
    pub fn install(&self) -> Vec<String> {
        let comment = literal(&self.fingerprint());
        match &self.table {
            Some(on) => {
                let (name, on) = (identifier(&self.name), table(on));
                vec![
                    format!("DROP TRIGGER IF EXISTS {name} ON {on}"),
                    self.definition.clone(),
                    format!("ALTER TABLE {on} ENABLE ALWAYS TRIGGER {name}"),
                    format!("COMMENT ON TRIGGER {name} ON {on} IS {comment}"),
                ]
            }
            None => vec![
                self.definition.clone(),
                format!("COMMENT ON FUNCTION {CONTROL_SCHEMA}.{} IS {comment}", self.name),
            ],
        }
    }
}

/// Everything that capture installs, functions before the triggers that call them.
pub fn objects(set: &MappingSet, facts: &SourceFacts) -> Vec<CaptureObject> {
    let mut objects = functions::explicit(set);
    objects.extend(flag::objects(set, facts));
    objects.extend(tombstones::objects(set));
    objects.extend(touches::objects(set, facts));
    objects.extend(tenancies::objects(set));
    // Stable: functions stay in order, before all triggers.
    objects.sort_by_key(|object| object.table.is_some());
    objects
}

/// Attributes of every function that writes to tables its caller may have no right to.
const DEFINER: &str = "LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp";

/// A trigger function without arguments.
fn function(name: &str, attributes: &str, body: &str) -> CaptureObject {
    let quoted = identifier(name);
    CaptureObject {
        table: None,
        name: format!("{quoted}()"),
        definition: format!(
            "CREATE OR REPLACE FUNCTION {CONTROL_SCHEMA}.{quoted}() RETURNS trigger {attributes} AS $lockstep$\nBEGIN\n{body}\nEND\n$lockstep$"
        ),
    }
}

/// A trigger: `when` is `BEFORE INSERT` and the like, `how` what follows the table.
fn trigger(on: &SourceTable, name: &str, when: &str, how: &str, function: &str) -> CaptureObject {
    CaptureObject {
        table: Some(on.clone()),
        name: name.to_owned(),
        definition: format!(
            "CREATE TRIGGER {} {when} ON {} {how} EXECUTE FUNCTION {CONTROL_SCHEMA}.{}()",
            identifier(name),
            table(on),
            identifier(function)
        ),
    }
}

/// `OLD.c IS DISTINCT FROM NEW.c OR …`; JSON without an equality operator is compared as text.
fn any_changed<'a>(columns: impl IntoIterator<Item = &'a String>, live: Option<&super::facts::TableFacts>) -> String {
    let changed: Vec<_> = columns
        .into_iter()
        .map(|column| {
            let is_json = live.and_then(|live| live.get(column)).is_some_and(|column| column.typname == "json");
            let (name, cast) = (identifier(column), if is_json { "::text" } else { "" });
            format!("OLD.{name}{cast} IS DISTINCT FROM NEW.{name}{cast}")
        })
        .collect();
    changed.join(" OR ")
}
